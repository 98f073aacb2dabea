"""The operator tells every metric that the catalogue says it tells, and counts what it could not do."""

import asyncio
from collections.abc import Callable

import pytest
from tests.unit.operator.memory_api import Fault, MemoryCluster, refused
from tests.unit.operator.operators import KEY, Operator, Operators, manifest
from typing_extensions import override

from saga_operator.engine import Engine
from saga_operator.following import Follower
from saga_operator.held import Key
from saga_operator.lease import Leadership
from saga_operator.materializing import Materializer
from saga_operator.metrics import samples
from saga_operator.resources import ORDER_SAGA_PLURAL
from sagakit.adapters.memory import MemoryLog
from sagakit.adapters.otel.exporter import OtlpSpans
from sagakit.runtime import catalogue
from sagakit.runtime.catalogue import CATALOGUE, Named
from sagakit.runtime.metrics import Distributed, Value
from sagakit.runtime.witness import TIMED_OUT
from shop_contracts.catalogue import SHOP
from shop_contracts.order_saga import ORDER_SAGA

TURNS_MAX = 1000
OF_THE_CLIENT = {catalogue.API_FAILURES, catalogue.K8S_REQUESTS, catalogue.K8S_DURATION}
"""Counted by the client of the API server, which this world has not: tests/unit/operator has it."""
STATUS = f"patch {ORDER_SAGA_PLURAL}/status"


def told(world: Operators, operator: Operator) -> dict[tuple[Named, *tuple[str, ...]], Value]:
    """Return what the operator tells at a scrape."""
    engine, cluster = operator.engine, MemoryCluster(world.api)
    leadership = Leadership(cluster, "operator", "shop", "a", lease_seconds=15, renew_seconds=10)
    follower = Follower(MemoryLog(world.clock), engine, SHOP, lambda: True)
    materializer = Materializer(
        "Never",
        0,
        "shop",
        cluster=cluster,
        orders=engine.acts.orders,
        engine=engine,
        leads=lambda: True,
        watching=lambda: True,
    )
    return {(named, *labels): value for named, labels, value in samples(engine, leadership, follower, materializer)}


def world_with(fate: Callable[[str], Fault | None] | None = None) -> tuple[Operators, Operator]:
    """Return a world with one resource that has come to rest, in which calls to the API server fare so."""
    world = Operators()
    operator = world.start()
    if fate is not None:
        world.api.fate = fate
    world.api.make(ORDER_SAGA_PLURAL, manifest())
    while world.see(operator) or world.listen(operator) or world.work(operator) or world.shop.deliver():
        pass
    return world, operator


def always(call: str) -> Callable[[str], Fault | None]:
    """Return a fate in which this call is refused each time."""
    return lambda its: Fault(refused(422)) if its == call else None


def test_nothing_is_counted_that_did_not_happen() -> None:
    world, operator = world_with()
    found = told(world, operator)
    assert (found[catalogue.STATUSES_REFUSED,], found[catalogue.EVENTS_LOST,]) == (0, 0)
    assert found[catalogue.LONGEST_RUNNING,] == 0


def test_how_late_aborts_were_begins_at_zero_whoever_began_the_sagas() -> None:
    """A new leader aborts all that became due before it led: a series that began with those would have no rate."""
    world = Operators()
    found = told(world, world.start())
    for code in TIMED_OUT:
        its = found[catalogue.LATENESS, ORDER_SAGA.ref, code.value]
        assert isinstance(its, Distributed)
        assert its.buckets[-1][1] == 0
    assert not [named for named, *_ in found if named is catalogue.TIMEOUTS], "the order service counts them"


def test_a_status_that_the_api_server_refuses_is_counted() -> None:
    world, operator = world_with(always(STATUS))
    world.pass_time(60)
    while world.work(operator):
        pass
    refusals = told(world, operator)[catalogue.STATUSES_REFUSED,]
    assert refusals == operator.engine.acts.counts["statuses refused"]
    assert refusals != 0


def test_an_event_that_the_api_server_does_not_take_is_counted() -> None:
    world, operator = world_with(always("create events"))
    world.pass_time(60)
    while world.work(operator):
        pass
    lost = told(world, operator)[catalogue.EVENTS_LOST,]
    assert lost == operator.engine.acts.counts["events lost"]
    assert lost != 0


def test_what_became_of_the_spans_of_the_operator_is_told_where_there_is_a_collector() -> None:
    world, operator = world_with()
    assert (catalogue.SPANS,) not in told(world, operator)
    spans = OtlpSpans("http://127.0.0.1:9/v1/traces")
    spans.counts.update(exported=3, dropped=2)
    operator.engine.acts.witness.spans = spans
    found = told(world, operator)
    assert (found[catalogue.SPANS,], found[catalogue.SPANS_DROPPED,], found[catalogue.SPANS_WAITING,]) == (3, 2, 0)


class Slow(Engine):
    """An engine whose looks last until they are let go."""

    let_go: asyncio.Event

    @override
    async def look_at(self, key: Key) -> None:
        await self.let_go.wait()
        await super().look_at(key)


@pytest.fixture
def slow() -> tuple[Operators, Operator]:
    world = Operators()
    operator = world.start()
    its = operator.engine
    operator.engine = Slow(its.acts, its.sagas, its.clock, its.leads, its.draining)
    operator.engine.let_go = asyncio.Event()
    return world, operator


async def test_how_long_a_look_lasts_and_a_resource_waited_is_told(slow: tuple[Operators, Operator]) -> None:
    world, operator = slow
    engine = operator.engine
    assert isinstance(engine, Slow)
    engine.visit(KEY)
    engine.visit(("shop", "order-2"))
    working = asyncio.create_task(engine.run(1))
    for _ in range(TURNS_MAX):
        found = told(world, operator)
        if found[catalogue.LONGEST_RUNNING,] != 0:
            break
        await asyncio.sleep(0)
    first, depth = found[catalogue.LONGEST_RUNNING,], found[catalogue.QUEUE_DEPTH,]
    assert isinstance(first, float)
    assert first > 0
    assert depth == 1
    assert waited(found) == 1, "the other one waits still"
    engine.let_go.set()
    for _ in range(TURNS_MAX):
        found = told(world, operator)
        if waited(found) == 2 and found[catalogue.LONGEST_RUNNING,] == 0:
            break
        await asyncio.sleep(0)
    working.cancel()
    assert (waited(found), found[catalogue.LONGEST_RUNNING,]) == (2, 0)


def waited(found: dict[tuple[Named, *tuple[str, ...]], Value]) -> float:
    """Return how many resources have waited, and wait no longer."""
    its = found[catalogue.QUEUE_LATENCY,]
    assert isinstance(its, Distributed)
    return its.buckets[-1][1]


async def test_every_metric_of_the_operator_is_told(slow: tuple[Operators, Operator]) -> None:
    world, operator = slow
    engine = operator.engine
    assert isinstance(engine, Slow)
    engine.let_go.set()
    world.api.fate = always("create events")
    world.api.make(ORDER_SAGA_PLURAL, manifest())
    while world.see(operator):
        pass
    working = asyncio.create_task(engine.run(1))
    expected = {named for named in CATALOGUE if named.teller == "operator"} - OF_THE_CLIENT
    for _ in range(TURNS_MAX):
        world.pass_time(0.4)
        names = {named for named, *_ in told(world, operator)}
        if expected <= names:
            break
        await asyncio.sleep(0)
    working.cancel()
    assert expected <= names
