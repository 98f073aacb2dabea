"""Definitions that come by Kafka: read from a topic with gaps, and learned by a shop at work, in several instances."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.real.kafka import Broker
from tests.real.shop import Shop, say, shop, until
from tests.unit.definitions.town import short

from sagakit.adapters.kafka import KafkaLog, KafkaSettings
from sagakit.core.definition import Saga
from sagakit.runtime.definitions import Definitions, defined
from sagakit.runtime.topics import SAGAS_DEFINITIONS
from shop_contracts.catalogue import SHOP
from shop_contracts.definitions import definition_of, read_definition
from shop_contracts.order_saga import ORDER_SAGA

pytestmark = pytest.mark.real

CAREFUL = definition_of(short("careful"))
COMPACTED_SECONDS_MAX = 90.0
LEARNED_SECONDS_MAX = 20.0
ENDS = ("OrderConfirmed", "OrderCancelled")
MODES = ("choreography", "orchestration")
KINDS: Mapping[str, Mapping[str, Any]] = {
    "confirmed": {"quantity": 2, "price": "9.99"},
    "payment refused": {"quantity": 1, "price": "20000"},
    "inventory refused": {"quantity": 999_999, "price": "0.01"},
}
LUCKY = {f"{service}_SUCCESS_RATE": "1" for service in ("PAYMENT", "INVENTORY", "SHIPPING")}


class Pupil:
    def __init__(self) -> None:
        self.learned: list[Saga] = []

    def learn(self, saga: Saga) -> None:
        self.learned.append(saga)


@pytest.fixture
async def log(kafka: Broker, topic_prefix: str) -> AsyncIterator[KafkaLog]:
    """A log whose definitions are compacted at every occasion; deleting is allowed too, so that the first can go."""
    kafka.create_topic(
        f"{topic_prefix}{SAGAS_DEFINITIONS}",
        partitions=2,
        cleanup_policy="compact,delete",
        retention_ms=-1,
        segment_ms=100,
        min_cleanable_dirty_ratio="0.01",
    )
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, topic_prefix=topic_prefix)
    opened = await KafkaLog.open(settings, [SAGAS_DEFINITIONS])
    yield opened
    await opened.close()


async def learned(log: KafkaLog) -> list[Saga]:
    """Return what a service that starts now learns."""
    pupil = Pupil()
    definitions = Definitions("test", log.for_reader(), SHOP, known=[ORDER_SAGA], read=read_definition, learner=pupil)
    while await definitions.step():
        pass
    assert definitions.ready
    return pupil.learned


async def say_again_and_again(log: KafkaLog, sagas: list[Saga], times: int) -> None:
    for _ in range(times):
        await log.publish([defined(saga, "test", datetime.now(UTC)) for saga in sagas])
        await asyncio.sleep(0.15)  # so that the broker begins a new segment, which it does by its own clock


async def test_a_compacted_topic_is_read_over_its_gaps(log: KafkaLog) -> None:
    sagas = [replace(CAREFUL, version=number) for number in range(1, 9)]
    await say_again_and_again(log, sagas, 5)
    ends = await log.ends([SAGAS_DEFINITIONS])
    began = time.monotonic()
    while True:
        positions = dict.fromkeys(ends, 0)
        kept = await log.for_reader().fetch(positions, 1000)
        if len(kept) < sum(ends.values()) / 2 and all(record.offset > 0 for record in kept):
            break
        assert time.monotonic() - began < COMPACTED_SECONDS_MAX, f"the broker keeps {len(kept)} records"
        await asyncio.sleep(0.5)
        await log.publish([defined(sagas[0], "test", datetime.now(UTC))])
    say(f"{len(kept)} records are kept of {sum(ends.values())}, the first at {min(record.offset for record in kept)}")
    found = await learned(log)
    assert sorted(saga.version for saga in found) == list(range(1, 9))


async def test_a_topic_whose_first_records_are_gone_is_read_from_where_it_begins(log: KafkaLog) -> None:
    old = [replace(CAREFUL, version=number) for number in range(1, 9)]
    await log.publish([defined(saga, "test", datetime.now(UTC)) for saga in old])
    await asyncio.sleep(0.05)
    moment = datetime.now(UTC)
    new = [replace(CAREFUL, version=number) for number in range(9, 17)]
    await log.publish([defined(saga, "test", datetime.now(UTC)) for saga in new])
    assert await log.prune(SAGAS_DEFINITIONS, moment) > 0
    assert {9, 10, 11, 12, 13, 14, 15, 16} <= {saga.version for saga in await learned(log)}
    assert 1 not in {saga.version for saga in await learned(log)}


@pytest.fixture
def its(kafka: Broker, shop_database_url: str, topic_prefix: str, tmp_path: Path) -> Iterator[Shop]:
    with shop(kafka.bootstrap_servers, shop_database_url, topic_prefix, tmp_path, seed=1, more=LUCKY) as opened:
        yield opened


def test_definitions_are_learned_by_a_shop_at_work_and_their_orders_end_as_they_should(its: Shop) -> None:
    its.open(each=2)
    with its.under_load() as load:
        define(its, short("careful"))
        first = {kind: place(its, "careful/1", kind) for kind in KINDS}
        define(its, short("careful", 2, "payment", "inventory", "shipping", "stock", timeoutSeconds=60))
        second = {kind: place(its, "careful/2", kind) for kind in KINDS}
        killed = its.first("shipping")
        killed.kill()
        third = {kind: place(its, "careful/1", kind) for kind in KINDS}
        killed.start()
        killed.wait_until_ready()
        its.served_seconds("shipping", time.monotonic())
        assert load.trouble is None
    its.settle()
    for placed, version in ((first, 1), (second, 2), (third, 1)):
        for kind, orders in placed.items():
            for order_id in orders:
                check(its, order_id, kind, version)
    its.demand_clean()


def define(its: Shop, said: Mapping[str, Any]) -> None:
    """Make a definition known, and return when every instance of the order service tells it."""
    ref = f"{said['name']}/{said['version']}"
    body = {key: value for key, value in said.items() if key not in ("name", "version")}
    answer = httpx.put(f"{its.first('order').url}/definitions/{ref}", json=body, timeout=30, trust_env=False)
    assert answer.is_success, answer.text
    for instance in its.instances["order"]:

        def known(instance: Any = instance) -> bool:  # noqa: ANN401
            found = instance.get(f"/definitions/{ref}")
            return found is not None and found.is_success

        seconds = until(known, LEARNED_SECONDS_MAX, f"{instance.name} knows {ref}")
        say(f"{instance.name} knows {ref} after {seconds:.2f} s")


def place(its: Shop, ref: str, kind: str) -> list[str]:
    """Place an order of this kind in each mode, at each instance, at once after the definition is known there."""
    placed = []
    for instance in its.instances["order"]:
        for mode in MODES:
            key = f"{ref}-{kind}-{mode}-{instance.name}-{len(its.load.placed) if its.load else 0}"
            body = {
                "userId": "ann",
                "items": [{"productId": "prod-1", **KINDS[kind]}],
                "mode": mode,
                "definition": ref,
                "timeoutSeconds": 120,
            }
            headers = {"Idempotency-Key": key.replace(" ", "-")}
            answer = httpx.post(f"{instance.url}/orders", json=body, headers=headers, timeout=10, trust_env=False)
            assert answer.status_code == httpx.codes.CREATED, answer.text
            placed.append(answer.json()["id"])
            assert its.load is not None
            its.load.placed[key] = placed[-1]
    return placed


def check(its: Shop, order_id: str, kind: str, version: int) -> None:
    """Demand that the order ended as its kind does, by the steps of its version."""
    answer = its.first("order").get(f"/orders/{order_id}/events")
    assert answer is not None
    told = sorted(answer.json()["events"], key=lambda event: event["at"])  # topics overtake each other
    said = [event["type"] for event in told if event["type"] not in ENDS]
    said += [event["type"] for event in told if event["type"] in ENDS]
    steps = ["InventoryReserved", "PaymentCompleted"] if version == 1 else ["PaymentCompleted", "InventoryReserved"]
    ends = {
        ("confirmed", version): [*steps, "ShipmentScheduled", "ReservationConsumed", "OrderConfirmed"],
        ("payment refused", 1): ["InventoryReserved", "PaymentFailed", "InventoryReleased", "OrderCancelled"],
        ("payment refused", 2): ["PaymentFailed", "OrderCancelled"],
        ("inventory refused", 1): ["InventoryFailed", "OrderCancelled"],
        ("inventory refused", 2): ["PaymentCompleted", "InventoryFailed", "PaymentRefunded", "OrderCancelled"],
    }
    events = [kind for kind in said if not kind.startswith(("Charge", "Refund", "Reserve", "Release", "Sched", "Cons"))]
    assert events == ["OrderCreated", *ends[kind, version]], f"{order_id} ({kind}, version {version}): {said}"
