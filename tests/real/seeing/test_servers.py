"""Traces and exemplars of the shop as processes on Kafka and PostgreSQL, one of which is killed in the middle."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.observability.prometheus import Prometheus
from tests.real.engine import Engine
from tests.real.kafka import Broker
from tests.real.seeing.events import events_of_sagas
from tests.real.seeing.jaeger import Jaeger, steps_of
from tests.real.seeing.test_traces import DONE, assert_whole
from tests.real.shop import Shop, say, shop, until
from typing_extensions import override

from onebox.layout import SERVICES, Layout
from sagakit.core.traces import trace_of

pytestmark = pytest.mark.real

ORDERS = 200
MODES = ("choreography", "orchestration")
LUCK = {"PAYMENT_SUCCESS_RATE": "0.8", "INVENTORY_SUCCESS_RATE": "0.8", "SHIPPING_SUCCESS_RATE": "0.9"}
STEP = "saga_step_duration_seconds_count"
FOUND_SECONDS_MAX = 5.0
SCRAPED_SECONDS_MAX = 30.0
LATE = "asked to abort: DEADLINE_PASSED"
LATE_SECONDS_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Doors(Layout):
    """Where the processes of a shop are."""

    ports: Mapping[str, int] = field(default_factory=dict)

    @override
    def port(self, service: str) -> int:
        return self.ports[service]


@pytest.fixture
def its(kafka: Broker, shop_database_url: str, topic_prefix: str, tmp_path: Path, jaeger: Jaeger) -> Iterator[Shop]:
    more = {"SAGAPLANE_TRACES_ENDPOINT": jaeger.endpoint, **LUCK}
    with shop(kafka.bootstrap_servers, shop_database_url, topic_prefix, tmp_path, seed=7, more=more) as opened:
        opened.settings["payment"] = {"PAYMENT_LATENCY_SECONDS": "0.2"}
        opened.open()
        yield opened


def place(its: Shop, number: int, **more: object) -> str:
    """Place an order and return its id."""
    body = {
        "userId": "ann",
        "items": [{"productId": "prod-1", "quantity": 1, "price": 5}],
        "timeoutSeconds": 600,
        **more,
    }
    body.setdefault("mode", MODES[number % 2])
    with httpx.Client(timeout=30, trust_env=False) as client:
        answer = client.post(f"{its.first('order').url}/orders", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def saga(its: Shop, order_id: str) -> dict[str, Any]:
    answer = its.first("order").get(f"/sagas/{order_id}")
    assert answer is not None
    found: dict[str, Any] = answer.json()
    return found


def scraping(its: Shop, engine: Engine, tmp_path: Path) -> Prometheus:
    """Return a Prometheus that looks at these processes; it is not started yet."""
    doors = Doors(ports={service: its.first(service).port for service in SERVICES})
    return Prometheus.create(engine, doors, tmp_path / "prometheus")


def test_two_hundred_sagas_each_have_one_whole_trace_though_a_service_is_killed(its: Shop, jaeger: Jaeger) -> None:
    payment = its.first("payment")
    with ThreadPoolExecutor(8) as customers:
        placing = [customers.submit(place, its, number) for number in range(ORDERS)]
        until(lambda: payment.metric(STEP) >= 20, 60, "some payments are made")
        payment.kill()
        late = place(its, 0, timeoutSeconds=1)
        until(lambda: LATE in its.first("order").output(), LATE_SECONDS_MAX, "the order service says what is late")
        payment.start()
        orders = [each.result() for each in placing]
    payment.wait_until_ready()
    its.settle()
    sagas = {order: saga(its, order) for order in orders}
    phases = [its["phase"] for its in sagas.values()]
    say(f"{ORDERS} sagas: { ({phase: phases.count(phase) for phase in set(phases)}) }")
    assert set(phases) == {"Completed", "Compensated"}
    for order, told in sagas.items():
        answered = {step["name"] for step in told["steps"] if step["state"] != "idle"}
        spans = jaeger.settled(trace_of(order), steps=answered, services=["notification"])
        assert_whole(spans, order)
        assert steps_of(spans) == answered, order
        if told["phase"] == "Completed":
            assert {span.service for span in spans} == DONE
            assert len(spans) <= 8
        assert {span.tags["messaging.system"] for span in spans} == {"kafka"}
    for order in orders[:: ORDERS // 20]:
        assert jaeger.traces_of(order) == [trace_of(order)], "one correlation id, one trace"
    lines = [line for instance in its.all() for line in instance.output().splitlines()]
    said = events_of_sagas(lines, {order: trace_of(order) for order in (*orders, late)})
    assert LATE in said[late]
    assert jaeger.traces_of(late) == [trace_of(late)]


def test_a_saga_that_runs_is_found_by_its_correlation_id_within_five_seconds(its: Shop, jaeger: Jaeger) -> None:
    its.first("payment").terminate(20)
    order = place(its, 0, correlationId="the-customers-own-8")
    asked = time.monotonic()
    until(lambda: bool(jaeger.traces_of("the-customers-own-8")), FOUND_SECONDS_MAX, "the saga is found")
    say(f"found after {time.monotonic() - asked:.1f} s")
    assert jaeger.traces_of("the-customers-own-8") == [trace_of(order)]
    assert saga(its, order)["endedAt"] is None, "it still runs"


def test_exemplars_in_prometheus_open_the_traces_of_their_sagas(
    its: Shop, jaeger: Jaeger, engine: Engine, tmp_path: Path
) -> None:
    prometheus = scraping(its, engine, tmp_path)
    prometheus.start()
    try:
        begin = time.time()
        orders = {place(its, number) for number in range(20)}
        its.settle()
        shown: list[dict[str, str]] = []

        def scraped() -> bool:
            told = prometheus.ask("query_exemplars", query="saga_duration_seconds_bucket", start=begin, end=time.time())
            shown[:] = [each["labels"] for series in told for each in series["exemplars"]]
            return bool(shown)

        until(scraped, SCRAPED_SECONDS_MAX, "Prometheus has exemplars")
    finally:
        prometheus.remove()
    for labels in shown:
        assert labels["correlation_id"] in orders
        assert labels["span_id"] in {span.id for span in jaeger.settled(labels["trace_id"])}
