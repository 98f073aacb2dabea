"""What every service answers beside its own routes."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.http.services import build_all

from sagakit.ports import StoreUnavailableError
from sagakit.runtime.metrics import CATALOGUE, COUNTS, Consuming
from sagakit.runtime.service import Service


@pytest.fixture
def service() -> Service:
    return build_all()["payment"]


def client_of(service: Service) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url="http://payment")


async def test_a_process_that_lives_is_healthy_also_when_it_is_not_ready(service: Service) -> None:
    async with client_of(service) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        not_ready = await client.get("/readyz")
        assert not_ready.status_code == 503
        assert not_ready.headers["content-type"] == "application/problem+json"
        reasons = ["payment definitions: not all read yet", "payment consumer: no partitions yet"]
        assert not_ready.json()["reasons"] == reasons


async def test_a_service_is_ready_when_it_has_its_partitions_and_no_loop_fails(service: Service) -> None:
    async with client_of(service) as client:
        for consumer in service.consumers:
            await consumer.step()
        assert (await client.get("/readyz")).status_code == 200
        service.runner.loops[0].trouble = "payment relay: the log is full"
        assert (await client.get("/readyz")).json()["reasons"] == ["payment relay: the log is full"]


async def test_metrics_say_what_the_loops_counted(service: Service) -> None:
    consumer = next(consumer for consumer in service.consumers if consumer.name == "payment consumer")
    assert isinstance(consumer, Consuming)
    consumer.consumed["orders.events"] += 3
    async with client_of(service) as client:
        await client.get("/payments/order-1")
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=1.0.0")
    assert answer.headers["content-type"].count("charset") == 1
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["saga_messages_consumed_total", "payment consumer", "orders.events"] == 3
    assert samples["saga_messages_sent_total", "payment relay", "payments.events"] == 0
    assert samples["saga_outbox_pending",] == 0
    assert samples["saga_loop_failing", "payment relay"] == 0
    assert samples["saga_http_requests_total", "GET", "/payments/{orderId}", "404"] == 1


async def test_a_scrape_goes_on_without_the_database(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away() -> int:
        raise StoreUnavailableError("locked")

    monkeypatch.setattr(service.store, "outbox_depth", away)
    async with client_of(service) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert "saga_outbox_pending" not in answer.text


def test_every_metric_says_its_unit_and_ends_as_its_kind_does() -> None:
    for named in CATALOGUE:
        assert named.name.startswith(("saga_", "messaging_"))
        assert named.unit
        assert named.meaning.endswith(".")
        assert named.name.endswith("_total") == (named.kind == "counter")
    assert len({named.name for named in CATALOGUE}) == len(CATALOGUE)


def test_what_is_counted_at_scrape_time_stands_in_the_catalogue() -> None:
    assert set(COUNTS.values()) <= set(CATALOGUE)


async def test_the_page_of_the_document_asks_nothing_of_elsewhere(service: Service) -> None:
    async with client_of(service) as client:
        page = await client.get("/docs")
        document = (await client.get("/openapi.json")).json()
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert document["openapi"] == "3.1.0"
    assert {"/payments/{orderId}", "/payments", "/healthz", "/readyz", "/metrics"} <= document["paths"].keys()
