"""Traces as a real Jaeger gives them back: one for each saga, whole, whatever became of it or of our processes."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.box.ports import free_layout
from tests.real.seeing.jaeger import Jaeger, Span, steps_of
from tests.unit.seeing.exposition import counting_buckets, families

from onebox.box import Box
from onebox.layout import Layout
from sagakit.adapters.otel import OtlpSpans
from sagakit.core.traces import Place, root_of, trace_of
from sagakit.core.traces import Span as Told

pytestmark = pytest.mark.real

SECONDS_MAX = 60.0
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
LISTENS = {"notification"}
"""It hears of every end; what it tells of the second before it is killed is nowhere else."""
DONE = {"order", "inventory", "payment", "shipping", "notification"}


@dataclass(frozen=True, slots=True)
class Traced:
    """A shop whose spans go to Jaeger."""

    box: Box
    layout: Layout
    client: httpx.AsyncClient

    async def order(self, headers: Mapping[str, str] | None = None, **more: object) -> dict[str, Any]:
        body = {
            "userId": "ann",
            "items": [{"productId": "p", "quantity": 1, "price": 5}],
            "timeoutSeconds": 600,
            **more,
        }
        answer = await self.client.post(f"{self.layout.url('order')}/orders", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        placed: dict[str, Any] = answer.json()
        return placed

    async def orders(self, number: int) -> list[str]:
        """Place so many orders, every second one orchestrated."""
        modes = ("choreography", "orchestration")
        placed = [self.order(mode=modes[place % 2]) for place in range(number)]
        return [order["id"] for order in await asyncio.gather(*placed)]

    async def until_ended(self) -> None:
        url = f"{self.layout.url('order')}/orders"
        end = time.monotonic() + SECONDS_MAX
        while (await self.client.get(url, params={"status": "pending", "limit": 1})).json()["orders"]:
            assert time.monotonic() < end, "some orders never ended"
            await asyncio.sleep(0.05)

    async def until_ready(self, service: str) -> None:
        end = time.monotonic() + SECONDS_MAX
        while True:
            assert time.monotonic() < end, f"{service} never became ready"
            with suppress(httpx.TransportError):
                if (await self.client.get(f"{self.layout.url(service)}/readyz")).is_success:
                    return
            await asyncio.sleep(0.05)

    async def saga(self, order_id: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get(f"{self.layout.url('order')}/sagas/{order_id}")).json()
        return found


@asynccontextmanager
async def shop(tmp_path: Path, endpoint: str, processes: int = 1, **environment: str) -> AsyncIterator[Traced]:
    layout = free_layout()
    settings = {"SAGAPLANE_TRACES_ENDPOINT": endpoint, **environment}
    async with Box(tmp_path, processes, settings, layout) as box, httpx.AsyncClient(timeout=30) as client:
        answer = await client.put(f"{layout.url('inventory')}/stock/p", json={"quantity": 100_000})
        answer.raise_for_status()
        yield Traced(box, layout, client)


def assert_whole(spans: list[Span], saga_id: str, caller: str = "") -> None:
    """Make sure that there is one root, that everything hangs below it, and that nothing is there twice."""
    assert max(Counter(span.id for span in spans).values()) == 1, "a span is there twice"
    roots = [span for span in spans if span.name == "saga begins"]
    assert [(root.id, root.parent) for root in roots] == [(root_of(saga_id), caller)]
    assert {span.parent for span in spans if span not in roots} == {root_of(saga_id)}
    assert {span.tags["saga.id"] for span in spans} == {saga_id}
    assert {span.tags["saga.correlation_id"] for span in spans} == {roots[0].tags["saga.correlation_id"]}
    assert not [span.warnings for span in spans if span.warnings]


def names(spans: Iterable[Span]) -> set[str]:
    return {span.name for span in spans}


@pytest.mark.parametrize("mode", ["choreography", "orchestration"])
async def test_a_saga_that_succeeds_is_one_trace_of_at_most_eight_spans(
    mode: str, jaeger: Jaeger, tmp_path: Path
) -> None:
    async with shop(tmp_path, jaeger.endpoint) as its:
        order = (await its.order(mode=mode))["id"]
        await its.until_ended()
        spans = await asyncio.to_thread(jaeger.settled, trace_of(order), services=DONE)
    assert_whole(spans, order)
    assert {span.service for span in spans} == DONE
    assert len(spans) <= 8
    [end] = [span for span in spans if span.name == "saga ends"]
    assert end.tags["saga.outcome"] == "completed"
    assert end.microseconds >= max(
        s.microseconds for s in spans if s.name.startswith("process") and s.service != "notification"
    )
    assert not [span for span in spans if "error" in span.tags]


async def test_a_compensation_links_to_what_it_takes_back(jaeger: Jaeger, tmp_path: Path) -> None:
    async with shop(tmp_path, jaeger.endpoint, INVENTORY_SUCCESS_RATE="0") as its:
        order = (await its.order())["id"]
        await its.until_ended()
    spans = jaeger.settled(trace_of(order))
    assert_whole(spans, order)
    by_name = {span.name: span for span in spans}
    assert by_name["compensate payment"].links == (by_name["process payment"].id,)
    assert by_name["compensate payment"].tags["saga.compensation"] is True
    assert "error" not in by_name["compensate payment"].tags, "to take something back is no error"
    refused = by_name["process inventory"]
    assert (refused.tags["error"], refused.tags["error.type"], refused.tags["saga.outcome"]) == (
        True,
        "refused",
        "refused",
    )
    assert by_name["saga ends"].tags["saga.outcome"] == "compensated"


async def test_a_saga_that_a_person_cancels_has_the_request_in_its_trace(jaeger: Jaeger, tmp_path: Path) -> None:
    async with shop(tmp_path, jaeger.endpoint, PAYMENT_LATENCY_SECONDS="1.0") as its:
        order = (await its.order())["id"]
        asked = f"{its.layout.url('order')}/orders/{order}/cancel"
        (await its.client.post(asked, json={"reason": "changed my mind"})).raise_for_status()
        await its.until_ended()
    spans = jaeger.settled(trace_of(order))
    assert_whole(spans, order)
    [abort] = [span for span in spans if span.name == "abort"]
    assert (abort.service, abort.tags["error.type"]) == ("order", "CANCELLED")


async def test_a_saga_that_takes_too_long_shows_how_late_that_was_noticed(jaeger: Jaeger, tmp_path: Path) -> None:
    async with shop(tmp_path, jaeger.endpoint, PAYMENT_LATENCY_SECONDS="2.0") as its:
        order = (await its.order(timeoutSeconds=1))["id"]
        await its.until_ended()
        metrics = (await its.client.get(f"{its.layout.url('order')}/metrics")).text
    spans = jaeger.settled(trace_of(order))
    assert_whole(spans, order)
    [abort] = [span for span in spans if span.name == "abort"]
    assert abort.tags["error.type"] == "DEADLINE_PASSED"
    assert abort.microseconds < 1_000_000, "a deadline is noticed within a second"
    assert 'saga_timeouts_total{code="DEADLINE_PASSED",definition="order/1"} 1.0' in metrics


async def test_a_saga_that_runs_is_found_by_its_correlation_id(jaeger: Jaeger, tmp_path: Path) -> None:
    async with shop(tmp_path, jaeger.endpoint, PAYMENT_LATENCY_SECONDS="10.0") as its:
        order = await its.order(correlationId="the-customers-own-7")
        asked = time.monotonic()
        while not (found := jaeger.traces_of("the-customers-own-7")):
            assert time.monotonic() - asked < 5, "not found within 5 s"
            await asyncio.sleep(0.05)
        assert found == [trace_of(order["id"])]
        assert (await its.saga(order["id"]))["endedAt"] is None, "it still runs"
        assert names(jaeger.trace(found[0])) >= {"saga begins"}


async def test_a_caller_decides_whether_there_is_a_trace_and_which(jaeger: Jaeger, tmp_path: Path) -> None:
    at = time.time_ns()
    spans_of_caller = OtlpSpans(jaeger.endpoint)
    place = Place(CALLER[3:35], CALLER[36:])
    spans_of_caller.tell(Told(service="web", place=place, name="checkout", begin=at, end=at + 60_000_000_000))
    spans_of_caller.start()
    await spans_of_caller.close()
    async with shop(tmp_path, jaeger.endpoint) as its:
        traced = (await its.order({"traceparent": f"{CALLER}-01"}))["id"]
        untraced = (await its.order({"traceparent": f"{CALLER.replace('0af7', '0bf7')}-00"}))["id"]
        await its.until_ended()
        spans = await asyncio.to_thread(jaeger.settled, CALLER[3:35], services={*DONE, "web"})
    assert [span.name for span in spans if span.id == CALLER[36:]] == ["checkout"]
    ours = [span for span in spans if span.service != "web"]
    assert_whole(ours, traced, caller=CALLER[36:])
    assert {span.service for span in ours} == DONE
    assert not jaeger.trace(CALLER[3:35].replace("0af7", "0bf7"))
    assert not jaeger.trace(trace_of(untraced))


async def test_two_hundred_sagas_each_have_one_whole_trace_though_processes_are_killed(
    jaeger: Jaeger, tmp_path: Path
) -> None:
    rates = {"PAYMENT_SUCCESS_RATE": "0.8", "INVENTORY_SUCCESS_RATE": "0.8", "SHIPPING_SUCCESS_RATE": "0.9"}
    async with shop(tmp_path, jaeger.endpoint, 5, PAYMENT_LATENCY_SECONDS="0.05", **rates) as its:
        orders = await its.orders(100)
        await its.box.kill_and_start("payment")
        orders += await its.orders(100)
        await its.box.kill_and_start("order")
        await its.until_ready("order")
        await its.until_ended()
        sagas = {order: await its.saga(order) for order in orders}
    assert {saga["phase"] for saga in sagas.values()} == {"Completed", "Compensated"}
    for order, saga in sagas.items():
        answered = {step["name"] for step in saga["steps"] if step["state"] != "idle"}
        spans = jaeger.settled(trace_of(order), steps=answered)
        assert_whole(spans, order)
        assert steps_of(spans) == answered, order
        if saga["phase"] == "Completed":
            assert {span.service for span in spans} | LISTENS == DONE


async def test_every_exemplar_leads_to_a_trace(jaeger: Jaeger, tmp_path: Path) -> None:
    async with shop(tmp_path, jaeger.endpoint, INVENTORY_SUCCESS_RATE="0.5") as its:
        orders = await its.orders(40)
        await its.until_ended()
        texts = [
            (
                await its.client.get(
                    f"{its.layout.url(name)}/metrics", headers={"Accept": "application/openmetrics-text"}
                )
            ).text
            for name in ("order", "payment", "inventory", "shipping")
        ]
    told = [family for text in texts for family in families(text)]
    for histogram in (its for its in told if its.name in ("saga_duration_seconds", "saga_step_duration_seconds")):
        assert not [bucket for bucket in counting_buckets(histogram) if bucket.exemplar is None]
    samples = [sample for family in told for sample in family.samples]
    shown = [(sample.name, sample.exemplar.labels) for sample in samples if sample.exemplar]
    assert {"saga_duration_seconds_bucket", "saga_step_duration_seconds_bucket", "saga_finished_total"} <= {
        name for name, _ in shown
    }
    for _, labels in shown:
        assert labels["correlation_id"] in orders
        assert labels["span_id"] in {span.id for span in jaeger.settled(labels["trace_id"])}


async def test_a_collector_that_is_away_costs_no_saga(tmp_path: Path) -> None:
    async with shop(tmp_path, "http://127.0.0.1:9") as its:
        await its.orders(50)
        await its.until_ended()
        metrics = (await its.client.get(f"{its.layout.url('order')}/metrics")).text
    assert 'saga_finished_total{definition="order/1",mode="choreography",outcome="completed"} 25.0' in metrics
    assert "saga_spans_exported_total 0.0" in metrics
