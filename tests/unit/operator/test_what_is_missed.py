"""What could be missed for good: a write that failed, an answer that came late, a lapse, a silent deletion."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from kopf._cogs.clients import watching
from kopf._cogs.structs.references import Resource
from kopf._core.reactor import queueing
from tests.unit.operator.memory_api import Fault, MemoryCluster, refused
from tests.unit.operator.operators import KEY, NAME, NAMESPACE, ORDER, Operators, at_once, manifest
from tests.unit.operator.test_lease import Election

from saga_operator import handlers
from saga_operator.cluster import Body
from saga_operator.definitions import DefinitionKeeper
from saga_operator.engine import STALE_MAX
from saga_operator.orders import OrdersUnavailableError, RefusedOrderError
from saga_operator.reconcile import IN_DOUBT
from saga_operator.resources import FINALIZER, GROUP, ORDER_SAGA_PLURAL, STARTED_AT, VERSION
from saga_operator.sweeping import Sweeper
from sagakit.core.facts import Phase

MALFORMED = {**ORDER, "items": [{"productId": "prod-1", "quantity": 1, "price": "1.999"}]}
STATUS = f"patch {ORDER_SAGA_PLURAL}/status"
MANY = 350
"""More than kopf has workers."""
SOON = 8.0
"""Seconds; it takes twice as long where each worker stays with its object for five."""


def once(call: str, status: int) -> Callable[[str], Fault | None]:
    """Return a fate in which this call fails the first time."""
    left = [call]

    def fate(its: str) -> Fault | None:
        if its not in left:
            return None
        left.remove(its)
        return Fault(refused(status))

    return fate


@pytest.mark.parametrize("status", [409, 500, 503])
def test_why_a_resource_is_malformed_is_told_though_the_first_write_failed(status: int) -> None:
    world = Operators()
    world.start()
    world.api.fate = once(STATUS, status)
    world.api.make(ORDER_SAGA_PLURAL, manifest(order=MALFORMED))
    world.settle()
    assert "1.999" in its_status(world)["message"]


@pytest.mark.parametrize("status", [409, 500, 503])
def test_a_malformed_resource_may_leave_though_the_first_write_failed(status: int) -> None:
    world = Operators()
    operator = world.start()
    body = manifest(order=MALFORMED)
    body["metadata"]["finalizers"] = [FINALIZER]
    world.api.make(ORDER_SAGA_PLURAL, body)
    world.settle()
    world.api.fate = once(f"patch {ORDER_SAGA_PLURAL}", status)
    world.api.remove(*KEY)
    world.settle()
    assert world.api.order_saga(*KEY) is None
    assert not operator.engine.malformed


def malformed(**spec: Any) -> Operators:  # noqa: ANN401 - whatever a spec has
    world = Operators()
    world.start()
    world.api.make(ORDER_SAGA_PLURAL, manifest(order=MALFORMED, **spec))
    world.settle(1)
    return world


def test_a_malformed_resource_is_removed_when_it_has_been_told_for_long_enough() -> None:
    world = malformed(ttlSecondsAfterFinished=100)
    world.pass_time(90)
    world.kill(world.everyone[0])
    world.start()
    world.settle(5)
    assert world.api.order_saga(*KEY) is not None
    world.settle(20)
    assert world.api.order_saga(*KEY) is None


def test_a_malformed_resource_is_told_once_however_often_an_operator_starts() -> None:
    world = malformed()
    before = its_status(world)
    for _ in range(2):
        world.kill(world.everyone[0])
        world.start()
        world.settle(50)
        world.pass_time(50)
    assert its_status(world) == before
    assert world.api.calls[STATUS] == 1


@pytest.mark.parametrize("witness", ["mark", "status"])
def test_a_malformed_resource_for_which_something_was_begun_is_not_removed(witness: str) -> None:
    world = Operators()
    body = manifest(order=MALFORMED, ttlSecondsAfterFinished=0)
    body["metadata"]["finalizers"] = [FINALIZER]
    if witness == "mark":
        body["metadata"]["annotations"] = {STARTED_AT: "2026-01-01T12:00:00+00:00"}
    else:
        body["status"] = {"startTime": "2026-01-01T12:00:00Z"}
    world.api.make(ORDER_SAGA_PLURAL, body)
    world.start()
    world.settle(50)
    assert "deletionTimestamp" not in world.api.objects[ORDER_SAGA_PLURAL, *KEY]["metadata"]
    world.api.remove(*KEY)
    world.kill(world.everyone[0])
    world.start()
    world.settle(50)
    assert world.api.order_saga(*KEY) is not None


def test_the_generation_that_was_seen_is_written_though_that_was_refused_for_a_while() -> None:
    world = Operators()
    operator = world.start()
    world.api.make(ORDER_SAGA_PLURAL, manifest())
    world.settle()
    world.kill(operator)
    world.start()
    world.api.fate = once(STATUS, 403)
    world.api.edit(*KEY, timeoutSeconds=60)
    world.settle()
    body = world.api.order_saga(*KEY)
    assert body is not None
    assert body["status"]["observedGeneration"] == body["metadata"]["generation"] == 2


def test_an_end_in_the_year_9999_is_no_trouble() -> None:
    world = Operators()
    operator = world.start()
    world.api.make(ORDER_SAGA_PLURAL, manifest(sagaRef={"sagaId": "nobody"}, ttlSecondsAfterFinished=3600))
    body = world.api.order_saga(*KEY)
    assert body is not None
    body["status"] = {"phase": "Completed", "completionTime": "9999-12-31T23:59:59Z"}
    operator.engine.seen(body)
    at_once(operator.engine.look_at(KEY))
    assert operator.engine.counts["bugs"] == 0


def test_a_lapse_of_the_lead_that_is_over_when_somebody_looks_is_told() -> None:
    election = Election()
    one = election.candidates[0]
    at_once(one.step())
    election.seconds = 8
    election.api.slow = True
    election.go_on(one)
    lapsed = False
    while one in election._tries:
        election.seconds += 1.9
        lapsed = lapsed or not one.leads
        election.go_on(one)
    assert lapsed
    assert one.leads
    assert len(election.changes) == 3, election.changes


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_event_that_met_an_api_server_which_was_away_for_a_moment_is_told(status: int) -> None:
    world = Operators()
    operator = world.start()
    world.api.fate = once("create events", status)
    world.api.make(ORDER_SAGA_PLURAL, manifest())
    world.settle()
    reasons = {body["reason"] for place, body in world.api.objects.items() if place[0] == "events"}
    assert reasons == {"Completed"}
    assert operator.engine.acts.counts["events lost"] == 0


def test_no_status_is_written_by_who_ceases_to_lead_between_the_event_and_the_status() -> None:
    world = Operators()
    operator = world.start()
    written: list[str] = []

    def fate(call: str) -> Fault | None:
        if call == "create events":
            operator.leads = False
        if call == STATUS and not operator.leads:
            written.append(call)
        return None

    world.api.fate = fate
    world.api.make(ORDER_SAGA_PLURAL, manifest())
    world.settle(10)
    assert not operator.leads, "an Event was told"
    assert not written


class Late:
    """An order service that carries out what it is asked to place only later, and gives no answer meanwhile."""

    def __init__(self, world: Operators) -> None:
        self._desk = cast("Any", world.everyone[0].engine.acts.orders)
        self._place = self._desk.place
        self._desk.place = self.place
        self.sent: list[tuple[Body, str]] = []

    async def place(self, order: Body, key: str) -> str:
        self.sent.append((order, key))
        raise OrdersUnavailableError("no answer", undone=False)

    def carry_out(self) -> None:
        """Place the first."""
        self._desk.place = self._place
        at_once(self._place(*self.sent[0]))


def until(world: Operators, met: Callable[[], object], seconds: float = 60.0) -> None:
    """Let time pass until that is so."""
    end = world.clock.now() + timedelta(seconds=seconds)
    while not met():
        assert world.clock.now() < end
        if not world._busy():
            world.pass_time(0.1)


def wait(world: Operators, time: timedelta) -> None:
    """Let so much time pass."""
    end = world.clock.now() + time
    until(world, lambda: world.clock.now() >= end)


@pytest.mark.parametrize("killed", [False, True])
def test_what_was_sent_and_is_placed_late_is_taken_back_before_its_object_leaves(killed: bool) -> None:
    world = Operators()
    operator = world.start()
    late = Late(world)
    world.api.make(ORDER_SAGA_PLURAL, manifest(timeoutSeconds=600))
    until(world, lambda: late.sent)
    if killed:
        world.kill(operator)
        world.start()
    world.api.remove(*KEY)
    wait(world, IN_DOUBT / 2)
    late.carry_out()
    world.settle()
    assert not world.wrongs
    [story] = world.shop.stories.values()
    assert story.state is not None
    assert story.state.phase is Phase.COMPENSATED
    assert world.api.order_saga(*KEY) is None


def test_what_was_sent_and_is_placed_late_is_not_told_to_have_never_begun() -> None:
    world = Operators()
    world.start()
    late = Late(world)
    world.api.make(ORDER_SAGA_PLURAL, manifest(timeoutSeconds=5))
    until(world, lambda: late.sent)
    wait(world, timedelta(seconds=12))
    assert its_status(world).get("phase") != Phase.COMPENSATED
    late.carry_out()
    world.settle()
    [story] = world.shop.stories.values()
    assert story.state is not None
    assert its_status(world)["phase"] == story.state.phase
    assert its_status(world)["sagaId"] == story.state.saga_id
    assert not world.wrongs


def test_an_order_that_never_came_is_told_to_have_never_begun_once_that_is_sure() -> None:
    world = Operators()
    world.start()
    late = Late(world)
    world.api.make(ORDER_SAGA_PLURAL, manifest(timeoutSeconds=5))
    until(world, lambda: late.sent)
    world.settle()
    assert its_status(world)["reason"] == "DEADLINE_PASSED"
    assert not [story for story in world.shop.stories.values() if story.state is not None], "an order was placed"


def test_a_clash_with_the_order_that_we_sent_before_is_no_refusal() -> None:
    world = Operators()
    world.start()
    late = Late(world)

    async def clash(order: Body, key: str) -> str:
        if not late.sent:
            return await late.place(order, key)
        if not world.shop.stories:
            late.carry_out()
        raise RefusedOrderError("the key was used for another order", "", conflict=True)

    late._desk.place = clash
    world.api.make(ORDER_SAGA_PLURAL, manifest())
    world.settle()
    assert its_status(world)["phase"] == Phase.COMPLETED


def sweep(world: Operators, *namespaces: str) -> Sweeper:
    engine = world.everyone[0].engine
    cluster = MemoryCluster(world.api)
    keeper = DefinitionKeeper(cluster, *cast("Any", (None, None, world.clock, lambda: True)))
    return Sweeper(cluster, engine, keeper, namespaces)


@pytest.mark.parametrize("order", [ORDER, MALFORMED])
def test_what_was_deleted_while_nobody_watched_is_forgotten_after_the_next_watch(order: Body) -> None:
    world = Operators()
    operator = world.start()
    for name in (NAME, "order-2"):
        world.api.make(ORDER_SAGA_PLURAL, manifest(name, order=order))
    world.settle()
    sweeper = sweep(world)
    world.api.watchers.remove(operator.watch)
    world.api.remove(*KEY)
    at_once(sweeper.step())
    assert len(operator.engine.taken_up()) == 2, "nothing was looked at before there was another watch"
    sweeper._cluster.requests.watch_restarts += 1
    world.api.fate = once(f"list {ORDER_SAGA_PLURAL}", 503)
    at_once(sweeper.step())
    assert len(operator.engine.taken_up()) == 2, "nobody knows"
    at_once(sweeper.step())
    assert [*operator.engine.taken_up()] == [(NAMESPACE, "order-2")]


def test_a_namespace_that_was_deleted_keeps_nobody_from_sweeping_the_others() -> None:
    world = Operators()
    operator = world.start()
    body = manifest("order-2")
    body["metadata"]["namespace"] = "team-a"
    for each in (manifest(), body):
        world.api.make(ORDER_SAGA_PLURAL, each)
    world.settle()
    sweeper = sweep(world, "team-a", NAMESPACE)
    world.api.watchers.remove(operator.watch)
    world.api.remove(*KEY)
    world.api.remove("team-a", "order-2")
    world.api.forbidden = {"team-a"}
    sweeper._cluster.requests.watch_restarts += 1
    at_once(sweeper.step())
    assert [*operator.engine.taken_up()] == [("team-a", "order-2")], "of this one nobody knows"
    lists = world.api.calls[f"list {ORDER_SAGA_PLURAL}"]
    at_once(sweeper.step())
    assert world.api.calls[f"list {ORDER_SAGA_PLURAL}"] == lists, "what was swept is not looked at again"
    world.api.forbidden = set()
    at_once(sweeper.step())
    assert not operator.engine.taken_up()


def test_a_definition_that_was_deleted_while_nobody_watched_is_forgotten() -> None:
    world = Operators()
    world.start()
    sweeper = sweep(world)
    sweeper._keeper.seen({"metadata": {"namespace": NAMESPACE, "name": "gone"}, "spec": {"name": 7}})
    assert sweeper._keeper.malformed
    sweeper._cluster.requests.watch_restarts += 1
    at_once(sweeper.step())
    assert not sweeper._keeper.malformed


def test_what_was_taken_up_while_the_list_was_made_stays() -> None:
    world = Operators()
    engine = world.start().engine
    world.api.make(ORDER_SAGA_PLURAL, manifest())
    world.settle()
    before = engine.taken_up()
    engine.seen({"metadata": {"namespace": NAMESPACE, "name": NAME}}, gone=True)
    body = world.api.order_saga(*KEY)
    assert body is not None
    engine.seen(body)
    engine.went(before)
    assert KEY in engine.held


def test_moments_of_what_has_gone_do_not_pile_up() -> None:
    world = Operators()
    engine = world.start().engine
    for number in range(2 * STALE_MAX):
        body = manifest(f"order-{number}")
        body["metadata"] |= {"uid": f"uid-{number}", "creationTimestamp": world.clock.now().isoformat()}
        engine.seen(body)
        engine._wake((NAMESPACE, f"order-{number}"), world.clock.now() + timedelta(days=365))
        engine.seen(body, gone=True)
    assert len(engine._heap) <= STALE_MAX + 1


async def test_more_objects_than_kopf_has_workers_are_taken_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()
    all_seen = asyncio.Event()

    async def stream(**_: object) -> AsyncIterator[Body]:
        for number in range(MANY):
            yield {"type": None, "object": {"metadata": {"uid": f"uid-{number}", "resourceVersion": "1"}}}
        await asyncio.Event().wait()

    async def take(*, raw_event: Body, **_: object) -> None:
        seen.add(raw_event["object"]["metadata"]["uid"])
        if len(seen) == MANY:
            all_seen.set()

    monkeypatch.setattr(watching, "infinite_watch", stream)
    taking = asyncio.create_task(
        queueing.watcher(
            namespace=None,
            settings=handlers.settings(),
            resource=Resource(GROUP, VERSION, ORDER_SAGA_PLURAL),
            processor=cast("Any", take),
        )
    )
    try:
        await asyncio.wait_for(all_seen.wait(), SOON)
    finally:
        taking.cancel()
        await asyncio.wait([taking])


def its_status(world: Operators) -> Body:
    return (world.api.order_saga(*KEY) or {}).get("status") or {}
