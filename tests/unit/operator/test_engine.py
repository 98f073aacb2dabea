"""The engine and its acts over an API server, an order service and a log in memory: what it costs, what it bears."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import aiohttp
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.operator.memory_api import Fault, no_fault, refused
from tests.unit.operator.memory_shop import Desk, Shop
from tests.unit.operator.operators import KEY, NAME, NAMESPACE, Operators, is_held, manifest
from typing_extensions import override

from saga_operator.cluster import Body
from saga_operator.engine import SPACING_SECONDS
from saga_operator.held import Held
from saga_operator.orders import OrdersUnavailableError, RefusedOrderError
from saga_operator.orders import Told as Found
from saga_operator.resources import FINALIZER, ORDER_SAGA_PLURAL, STARTED_AT, Status
from sagakit.core.facts import Phase, StepStatus, Verb
from sagakit.core.messages import Message, Mode
from sagakit.core.part import ABORT
from sagakit.core.traces import Span, root_of
from sagakit.ports import LogUnavailableError
from sagakit.testing.script import Plays, Script

API_CALLS = (
    f"patch {ORDER_SAGA_PLURAL}",
    f"patch {ORDER_SAGA_PLURAL}/status",
    "create events",
)
ERRORS: dict[str, Callable[[], BaseException]] = {
    "429": lambda: refused(429),
    "409": lambda: refused(409),
    "500": lambda: refused(500),
    "timeout": TimeoutError,
    "disconnected": aiohttp.ServerDisconnectedError,
}


def world_with(script: Script | None = None, **spec: Any) -> Operators:  # noqa: ANN401 - whatever a spec has
    world = Operators(script=script)
    world.start()
    world.api.make(ORDER_SAGA_PLURAL, manifest(**spec))
    return world


def ended(world: Operators) -> Body:
    """Return the resource once everything has come to rest."""
    world.settle()
    assert world.wrongs == []
    body = world.api.order_saga(*KEY)
    assert body is not None
    assert not is_held(body)
    return body


def writes(world: Operators) -> int:
    return sum(number for call, number in world.api.calls.items() if not call.startswith(("get", "list")))


def slowly(world: Operators, seconds: float = 0.4) -> None:
    """Let the participants answer one after the other, with time between, and the operator listen."""
    for _ in range(80):
        while world.see(world.everyone[0]) or world.listen(world.everyone[0]) or world.work(world.everyone[0]):
            pass
        if not world.shop.deliver():
            world.shop.find_out(Plays.SUCCEEDS_SLOWLY)
        world.pass_time(seconds)


@pytest.mark.parametrize("hurry", [True, False])
def test_a_saga_that_succeeds_costs_at_most_six_writes(hurry: bool) -> None:
    world = world_with()
    if not hurry:
        slowly(world, 0.05)
    assert ended(world)["status"]["phase"] == "Completed"
    assert writes(world) <= 6, world.api.calls


@pytest.mark.parametrize("hurry", [True, False])
@pytest.mark.parametrize("refuses", ["payment", "inventory", "shipping"])
def test_a_saga_that_is_compensated_costs_at_most_eight_writes(hurry: bool, refuses: str) -> None:
    world = world_with(Script({refuses: Plays.REFUSES}))
    if not hurry:
        slowly(world, 0.05)
    assert ended(world)["status"]["phase"] == "Compensated"
    assert writes(world) <= 8, world.api.calls


def test_a_saga_that_times_out_costs_at_most_eight_writes() -> None:
    world = world_with(Script({"inventory": Plays.IS_AWAY, "shipping": Plays.SUCCEEDS_LATE}), timeoutSeconds=5)
    assert ended(world)["status"]["phase"] in ("Completed", "Compensated")
    assert writes(world) <= 8, world.api.calls


def test_two_writes_of_a_status_are_a_second_apart_however_fast_a_saga_goes() -> None:
    world = world_with(Script({"shipping": Plays.REFUSES}))
    statuses: list[tuple[Any, Any]] = []

    def note(_: str, plural: str, body: Body) -> None:
        if plural == ORDER_SAGA_PLURAL and (not statuses or statuses[-1][0] != body.get("status")):
            statuses.append((body.get("status"), world.clock.now()))

    world.api.watchers.append(note)
    slowly(world, 0.1)
    ended(world)
    times = [at for status, at in statuses if status is not None]
    assert len(times) > 1
    assert all(later - at >= timedelta(seconds=SPACING_SECONDS) for at, later in pairwise(times))


def test_a_saga_at_rest_costs_no_write_however_often_it_is_looked_at() -> None:
    world = world_with(suspend=True)
    world.settle(60)
    before = writes(world)
    world.everyone[0].engine.begin()
    world.settle(600)
    assert writes(world) == before


def test_a_saga_that_has_ended_costs_no_write_when_another_operator_begins_to_lead() -> None:
    world = world_with()
    ended(world)
    before, status = writes(world), world.api.order_saga(*KEY)
    world.kill(world.everyone[0])
    world.start()
    world.settle()
    assert writes(world) == before
    assert world.api.order_saga(*KEY) == status


@pytest.mark.parametrize("situation", ["refused", "late", "cancelled"])
def test_a_saga_that_never_began_stays_as_it_ended(situation: str) -> None:
    world = world_with(suspend=situation == "cancelled", timeoutSeconds=5)
    if situation == "refused":
        world.shop.refusal = RefusedOrderError("there is no product prod-1", "/items", conflict=False)
    if situation == "late":
        world.everyone[0].engine.acts.orders.fate = (  # type: ignore[attr-defined]
            lambda call: Fault(OrdersUnavailableError("nobody answers", undone=True)) if call == "place" else None
        )
    if situation == "cancelled":
        world.settle(10)
        world.api.edit(*KEY, cancel=True)
    status = ended(world)["status"]
    reason = {"refused": "InvalidOrder", "late": "DEADLINE_PASSED", "cancelled": "CANCELLED"}[situation]
    assert (status["phase"], status["reason"]) == ("Compensated", reason)
    before = writes(world)
    world.kill(world.everyone[0])
    world.start()
    world.settle()
    assert world.api.objects[ORDER_SAGA_PLURAL, *KEY]["status"] == status
    assert writes(world) == before
    world.api.edit(*KEY, retryToken="again")
    changed = ended(world)["status"]
    assert changed["observedGeneration"] == world.api.objects[ORDER_SAGA_PLURAL, *KEY]["metadata"]["generation"]
    assert {k: v for k, v in changed.items() if k not in ("observedGeneration", "conditions")} == {
        k: v for k, v in status.items() if k not in ("observedGeneration", "conditions")
    }


def test_an_order_that_was_never_placed_ends_though_the_operator_hears_its_own_request_to_abort() -> None:
    """The order service was away until after the deadline: whether the order is placed was not known."""
    world = world_with(timeoutSeconds=5)
    desk: Any = world.everyone[0].engine.acts.orders
    desk.fate = lambda _: Fault(OrdersUnavailableError("nobody answers"))
    slowly(world)
    assert world.shop.aborts(next(iter(world.shop.stories)))
    desk.fate = lambda _: None
    status = ended(world)["status"]
    assert (status["phase"], status["reason"]) == ("Compensated", "DEADLINE_PASSED")


@pytest.mark.parametrize("call", API_CALLS)
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("happened", [False, True])
@pytest.mark.parametrize("plays", [Plays.SUCCEEDS, Plays.REFUSES])
def test_an_api_server_that_fails_at_a_call_delays_a_saga_and_changes_nothing_else(
    call: str, error: str, happened: bool, plays: Plays
) -> None:
    world = world_with(Script({"inventory": plays}))
    failures = {"left": 3}

    def fate(each: str) -> Fault | None:
        if each != call or not failures["left"]:
            return None
        failures["left"] -= 1
        return Fault(ERRORS[error](), happened)

    world.api.fate = fate
    status = ended(world)["status"]
    assert failures["left"] < 3, f"{call} was never made"
    assert status["phase"] == ("Completed" if plays is Plays.SUCCEEDS else "Compensated")
    assert len(world.shop.orders) == 1
    assert world.everyone[0].engine.counts["bugs"] == 0


@pytest.mark.parametrize("call", ["place", "find", "publish"])
@pytest.mark.parametrize("happened", [False, True])
def test_an_order_service_or_a_log_that_fails_at_a_call_delays_a_saga_and_changes_nothing_else(
    call: str, happened: bool
) -> None:
    world = world_with(Script({"inventory": Plays.IS_AWAY}), timeoutSeconds=10)
    acts: Any = world.everyone[0].engine.acts
    failures = {"left": 3}

    def fate(each: str) -> Fault | None:
        if each != call or not failures["left"]:
            return None
        failures["left"] -= 1
        if call == "publish":
            return Fault(LogUnavailableError("no broker answers"), happened)
        return Fault(OrdersUnavailableError("nobody answers", undone=not happened), happened)

    acts.orders.fate = acts.log.fate = fate
    if call == "find":
        world.kill(world.everyone[0])
        world.start().engine.acts.orders.fate = fate  # type: ignore[attr-defined]
        world.pass_time(0)
    status = ended(world)["status"]
    assert status["phase"] == "Compensated"
    assert len(world.shop.orders) == 1
    (story,) = world.shop.stories.values()
    assert story.tracker.state.step("payment").status in (StepStatus.COMPENSATED, StepStatus.BARRED)
    assert len({message.id for message in world.shop.said if message.type == ABORT}) == 1


async def nothing_to_tell(held: Held) -> bool:
    del held
    return True


def test_a_thousand_deadlines_are_kept_in_their_order_and_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Operators(script=Script({"payment": Plays.IS_AWAY}))
    operator = world.start()
    monkeypatch.setattr(operator.engine, "_report", nothing_to_tell)  # a thousand statuses are not the question
    for number in range(1000):
        world.api.make(ORDER_SAGA_PLURAL, manifest(f"order-{number}", timeoutSeconds=5 + number * 7919 % 20))
        while world.see(operator) or world.work(operator):
            pass
        world.pass_time(0.003)
    deadlines = {story.voice.saga_id: story.voice.deadline for story in world.shop.stories.values()}
    spoken: list[tuple[str, timedelta]] = []

    def note(_: str, message: Message) -> None:
        if message.type == ABORT:
            spoken.append((message.saga_id, world.clock.now() - deadlines[message.saga_id]))

    world.shop.listeners[:] = [note]
    end = max(deadlines.values()) + timedelta(seconds=1)
    while world.clock.now() < end:
        world.pass_time(max(operator.engine.call_due(), 0.001))
        while world.work(operator):
            pass
    assert [saga_id for saga_id, _ in spoken] == sorted(deadlines, key=lambda saga_id: deadlines[saga_id])
    assert all(timedelta(0) <= late <= timedelta(milliseconds=2) for _, late in spoken)


MALFORMED: list[Any] = [
    None, [], "", 7, {}, {"spec": None}, {"spec": []}, {"spec": {}}, {"spec": "x"},
    {"spec": {"order": None}}, {"spec": {"order": {}}}, {"spec": {"order": []}}, {"spec": {"order": "x"}},
    {"spec": {"order": {"userId": ""}}}, {"spec": {"order": {"userId": "u", "items": []}}},
    {"spec": {"order": {"userId": "u", "items": [{}]}}}, {"spec": {"order": {"userId": "u", "items": "x"}}},
    {"spec": {"order": {"userId": 5, "items": [{"productId": "p", "quantity": 1, "price": "1"}]}}},
    *({"spec": {"order": {"userId": "u", "items": [{"productId": "p", "quantity": quantity, "price": price}]}}}
      for quantity, price in ((0, "1"), (-1, "1"), ("1", "1"), (1.5, "1"), (10**9, "1"), (None, "1"), (True, "1"),
                              (1, ""), (1, "-1"), (1, "x"), (1, "1.234"), (1, 1), (1, None), (1, "1e3"), (1, "NaN"))),
    {"spec": {"sagaRef": {}}}, {"spec": {"sagaRef": {"sagaId": ""}}}, {"spec": {"sagaRef": {"sagaId": "a b"}}},
    {"spec": {"sagaRef": {"sagaId": "x"}, "order": {}}}, {"spec": {"sagaRef": {"sagaId": "x"}, "mode": "Both"}},
    {"spec": {"sagaRef": {"sagaId": "x"}, "timeoutSeconds": 0}},
    {"spec": {"sagaRef": {"sagaId": "x"}, "timeoutSeconds": "30"}},
    {"spec": {"sagaRef": {"sagaId": "x"}, "timeoutSeconds": 10**12}},
    {"spec": {"sagaRef": {"sagaId": "x"}, "suspend": "yes"}}, {"spec": {"sagaRef": {"sagaId": "x"}, "cancel": 1}},
    {"spec": {"sagaRef": {"sagaId": "x"}, "cancelReason": "why"}},
    {"spec": {"sagaRef": {"sagaId": "x"}, "deletionPolicy": "Keep"}},
    {"spec": {"sagaRef": {"sagaId": "x"}, "retryPolicy": {"limit": -1}}},
    {"spec": {"sagaRef": {"sagaId": "x"}, "retryPolicy": []}},
    {"spec": {"sagaRef": {"sagaId": "x"}, "ttlSecondsAfterFinished": -1}},
    {"spec": {"sagaRef": {"sagaId": "x"}, "definitionRef": {"name": "order", "version": 1}}},
    {"spec": {"sagaRef": {"sagaId": "x"}, "idempotencyKey": "k"}},
    {"spec": {"sagaRef": {"sagaId": "x"}, "correlationId": "c"}},
    {"spec": {"sagaRef": {"sagaId": "x" * 51}}},
]  # fmt: skip
STATUS_FIELDS = [field.encode_name for field in msgspec.structs.fields(Status)]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
FLAT = LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(st.text(max_size=8), LEAVES, max_size=3)
PLAIN = FLAT | st.lists(FLAT, max_size=3) | st.dictionaries(st.text(max_size=8), FLAT, max_size=3)


def test_there_are_at_least_fifty_malformed_bodies() -> None:
    assert len(MALFORMED) >= 50


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_resource_stops_nobody_and_is_told_why_it_means_nothing(body: Any) -> None:  # noqa: ANN401
    world = world_with()
    metadata = {"namespace": NAMESPACE, "name": "bad"}
    made = {**(body if isinstance(body, dict) else {"spec": body}), "metadata": metadata}
    world.api.make(ORDER_SAGA_PLURAL, made)
    assert ended(world)["status"]["phase"] == "Completed", "the other order goes on"
    bad = world.api.order_saga(NAMESPACE, "bad")
    assert bad is not None
    assert bad["status"]["phase"] == "Compensated"
    assert next(c for c in bad["status"]["conditions"] if c["type"] == "Validated")["status"] == "False"
    assert bad["status"]["message"]
    assert world.everyone[0].engine.counts["bugs"] == 0
    world.api.remove(NAMESPACE, "bad")
    world.settle(10)
    assert world.api.order_saga(NAMESPACE, "bad") is None


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=st.dictionaries(st.sampled_from(("spec", "status", "kind")), PLAIN, max_size=3), gone=st.booleans())
def test_whatever_the_watch_brings_stops_nobody(body: dict[str, Any], gone: bool) -> None:
    body["metadata"] = {"namespace": NAMESPACE, "name": "ghost", "uid": "uid-ghost"}
    world = world_with()
    operator = world.everyone[0]
    operator.engine.seen(body, gone=gone)
    assert ended(world)["status"]["phase"] == "Completed"
    assert operator.engine.counts["bugs"] == 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    status=st.dictionaries(st.sampled_from(STATUS_FIELDS), PLAIN, max_size=6),
    annotations=PLAIN,
    field=st.sampled_from(("status", STARTED_AT)),
)
def test_a_status_or_a_mark_that_somebody_else_wrote_stops_nobody(status: Any, annotations: Any, field: str) -> None:  # noqa: ANN401
    world = Operators()
    world.start()
    body = manifest()
    if field == "status":
        body["status"] = status
    else:
        body["metadata"]["annotations"] = {STARTED_AT: str(annotations)}
    world.api.make(ORDER_SAGA_PLURAL, body)
    assert ended(world)["status"]["phase"] in ("Completed", "Compensated")
    assert world.everyone[0].engine.counts["bugs"] == 0


def test_a_saga_is_let_go_at_its_end_also_where_somebody_else_wrote_another_end() -> None:
    world = world_with()
    slowly(world, 0.05)
    ended(world)
    world.api.make(ORDER_SAGA_PLURAL, manifest(name="other"))
    operator = world.everyone[0]
    while not is_held(world.api.order_saga(NAMESPACE, "other") or {"metadata": {}}):
        assert world.see(operator) or world.work(operator)
    world.api.objects[ORDER_SAGA_PLURAL, NAMESPACE, "other"]["status"] = {
        "phase": "Killed",
        "completionTime": "2026-01-01T00:00:00Z",
    }
    world.settle()
    other = world.api.order_saga(NAMESPACE, "other")
    assert other is not None
    assert other["status"]["phase"] == "Killed"
    assert not is_held(other)


@pytest.mark.parametrize("plays", [Plays.SUCCEEDS, Plays.SUCCEEDS_SLOWLY])
def test_a_deletion_that_is_seen_before_the_answer_to_an_earlier_write_is_not_forgotten(plays: Plays) -> None:
    world = world_with(Script({"inventory": plays}), timeoutSeconds=600)
    (operator,) = world.everyone
    write = world.api.patch_namespaced_custom_object_status

    async def overtaken(*args: Any, **more: Any) -> Body:  # noqa: ANN401 - as the client library has it
        answer = await write(*args, **more)
        if "deletionTimestamp" not in world.api.objects[ORDER_SAGA_PLURAL, *KEY]["metadata"]:
            world.api.remove(*KEY)
            while world.see(operator):
                pass
        return answer

    world.api.patch_namespaced_custom_object_status = overtaken  # type: ignore[method-assign]
    world.settle(60)
    assert world.wrongs == []
    assert world.api.order_saga(*KEY) is None


@pytest.mark.parametrize("conflicts", [1, 5])
def test_what_changed_under_an_operator_that_did_not_hear_of_it_is_read_again(conflicts: int) -> None:
    world = world_with()
    (operator,) = world.everyone
    while not is_held(world.api.order_saga(*KEY)):
        assert world.see(operator) or world.work(operator)
    for number in range(conflicts):
        stored = world.api.objects[ORDER_SAGA_PLURAL, *KEY]
        stored["metadata"] |= {"resourceVersion": f"{number}-unheard"}
    assert ended(world)["status"]["phase"] == "Completed"


def refusing(call: str) -> Callable[[str], Fault | None]:
    """Return the fate of an API server that lets an operator do all but this."""
    return lambda its: Fault(refused(403, f"cannot {its}")) if its == call else None


@pytest.mark.parametrize("deleted", [False, True])
def test_a_status_that_could_not_be_written_for_a_while_is_written_afterwards(deleted: bool) -> None:
    world = world_with()
    world.api.fate = refusing(f"patch {ORDER_SAGA_PLURAL}/status")
    if deleted:
        slowly(world, 0.05)
        world.api.remove(*KEY)
    world.settle(60)
    body = world.api.order_saga(*KEY)
    assert not is_held(body), "the saga does not wait for that, nor does what the object holds"
    if not deleted:
        assert "phase" not in (body or {}).get("status", {})
        world.api.fate = no_fault
        assert ended(world)["status"]["phase"] == "Completed"


def test_what_an_operator_may_not_do_is_told_in_the_status_and_done_when_it_may() -> None:
    world = world_with()
    world.api.fate = refusing(f"patch {ORDER_SAGA_PLURAL}")
    world.settle(20)
    status = world.api.objects[ORDER_SAGA_PLURAL, *KEY]["status"]
    assert (status["phase"], status["reason"]) == ("Pending", "Retrying")
    assert f"cannot patch {ORDER_SAGA_PLURAL}" in status["message"]
    world.api.fate = no_fault
    assert ended(world)["status"]["phase"] == "Completed"


@pytest.mark.parametrize("change", [{"steps": []}, {"observedGeneration": 99}, {"message": "all is well"}], ids=str)
def test_a_status_that_somebody_overwrote_is_written_again(change: Body) -> None:
    world = world_with(timeoutSeconds=600, suspend=True)
    world.settle(60)
    stored = world.api.objects[ORDER_SAGA_PLURAL, *KEY]
    before = stored["status"]
    world.api.overwrite_status(*KEY, **change)
    assert world.api.objects[ORDER_SAGA_PLURAL, *KEY]["status"] != before
    world.settle(60)
    assert world.api.objects[ORDER_SAGA_PLURAL, *KEY]["status"] == before


def test_a_running_saga_of_which_somebody_wrote_that_it_ended_is_held_and_taken_back_when_it_is_deleted() -> None:
    world = world_with(Script({"inventory": Plays.SUCCEEDS_SLOWLY}))
    operator = world.everyone[0]
    while not world.shop.stories:
        assert world.see(operator) or world.work(operator)
    world.api.overwrite_status(*KEY, phase="Completed", completionTime="2026-01-01T00:00:00Z")
    world.kill(operator)
    world.start()
    for _ in range(3):
        while world.see(world.everyone[0]) or world.work(world.everyone[0]):
            pass
        assert is_held(world.api.order_saga(*KEY))
        world.pass_time(2.0)
    world.api.remove(*KEY)
    world.settle()
    assert world.wrongs == []
    assert world.api.order_saga(*KEY) is None
    foreign = [body for place, body in world.api.objects.items() if place[0] == "events"]
    assert any(body["reason"] == "StatusForeign" for body in foreign)


def test_an_event_has_a_name_and_a_note_that_an_api_server_takes_whatever_the_resource_is_called() -> None:
    world = Operators()
    world.start()
    name = "a" * 235 + "-" + "b" * 17
    world.api.make(ORDER_SAGA_PLURAL, manifest(name=name, suspend=True))
    world.settle(10)
    reason = "\N{CJK UNIFIED IDEOGRAPH-5BA2}" * 500
    world.api.edit(NAMESPACE, name, cancel=True, cancelReason=reason)
    world.settle(60)
    events = [body for place, body in world.api.objects.items() if place[0] == "events"]
    assert events
    for each in events:
        assert all(part[-1].isalnum() for part in each["metadata"]["name"].split("."))
        assert len(each["metadata"]["name"]) <= 253
        assert len(each["note"].encode()) <= 1024
    assert any(reason[:100] in each["note"] for each in events)


def test_a_malformed_resource_for_which_something_was_begun_is_not_let_go() -> None:
    world = Operators()
    world.start()
    marks = {"finalizers": [FINALIZER], "annotations": {STARTED_AT: "2026-01-01T12:00:00+00:00"}}
    body = {"metadata": {"namespace": NAMESPACE, "name": NAME, **marks}, "spec": {}}
    world.api.make(ORDER_SAGA_PLURAL, body)
    world.api.remove(NAMESPACE, NAME)
    world.settle(60)
    assert is_held(world.api.order_saga(*KEY))


def test_a_resource_made_again_under_its_name_is_another_saga_and_with_its_key_the_same() -> None:
    for key, sagas in ((None, 2), ("key-1", 1)):
        spec: dict[str, Any] = {"idempotencyKey": key} if key else {}
        world = world_with(**spec)
        ended(world)
        world.api.remove(*KEY)
        world.api.make(ORDER_SAGA_PLURAL, manifest(**spec))
        assert ended(world)["status"]["phase"] == "Completed"
        begun = [story for story in world.shop.stories.values() if story.state is not None]
        assert len(begun) == sagas


def test_an_order_that_is_late_by_the_clock_of_the_order_service_ends_as_late_and_not_as_invalid() -> None:
    world = world_with(timeoutSeconds=5)
    world.shop.refusal = RefusedOrderError("the deadline has passed", "/deadline", conflict=False)
    status = ended(world)["status"]
    assert (status["phase"], status["reason"]) == ("Compensated", "DEADLINE_PASSED")
    assert "the deadline has passed" in status["message"]


@pytest.mark.parametrize("key", [{}, {"idempotencyKey": "key-1"}], ids=["without a key", "with a key"])
def test_an_order_whose_id_or_correlation_id_is_somebody_elses_ends_as_a_conflict(key: dict[str, Any]) -> None:
    world = world_with(correlationId="trip-7", timeoutSeconds=5, **key)
    world.shop.refusal = RefusedOrderError("'trip-7' belongs to another saga", "/correlationId", conflict=True)
    status = ended(world)["status"]
    assert (status["phase"], status["reason"]) == ("Compensated", "Conflict")
    assert "belongs to another saga" in status["message"]


def test_a_saga_that_is_stuck_is_retried_by_its_token_and_by_its_policy() -> None:
    for spec in ({}, {"retryPolicy": {"limit": 1, "backoffSeconds": 5}}):
        world = world_with(Script({"payment": Plays.GIVES_UP}), timeoutSeconds=3600, **spec)
        world.settle(60)
        if not spec:
            body = world.api.order_saga(*KEY)
            assert body is not None
            assert body["status"]["phase"] == Phase.NEEDS_INTERVENTION
            world.api.edit(*KEY, retryToken="once")
        status = ended(world)["status"]
        assert status["phase"] == "Completed"
        assert status.get("observedRetryToken") == (None if spec else "once")
        assert status["retries"] == bool(spec)


def test_an_event_tells_each_transition_once_also_when_it_is_told_again() -> None:
    world = world_with(Script({"shipping": Plays.REFUSES}))
    slowly(world)
    ended(world)
    events = [body for place, body in world.api.objects.items() if place[0] == "events"]
    reasons = [body["reason"] for body in events]
    assert len(reasons) == len(set(reasons))
    assert "Compensated" in reasons
    assert all(body["note"] and body["regarding"]["name"] == NAME for body in events)


def test_an_operator_that_does_not_lead_does_nothing() -> None:
    world = world_with()
    world.elect(world.everyone[0], leads=False)
    world.settle(60)
    assert writes(world) == 0
    world.elect(world.everyone[0], leads=True)
    assert ended(world)["status"]["phase"] == "Completed"


def test_an_adopted_saga_is_shown_and_never_placed() -> None:
    world = Operators()
    world.start()
    world.api.make(ORDER_SAGA_PLURAL, manifest(sagaRef={"sagaId": "bulk-1"}))
    world.settle(20)
    body = world.api.order_saga(*KEY)
    assert body is not None
    assert body["status"]["reason"] == "SagaNotFound"
    world.shop.begin("bulk-1", Mode.CHOREOGRAPHY, world.clock.now() + timedelta(seconds=30))
    status = ended(world)["status"]
    assert (status["phase"], status["sagaId"]) == ("Completed", "bulk-1")
    assert world.shop.orders == {}


def test_a_saga_that_a_person_cancels_elsewhere_is_shown_as_it_went() -> None:
    world = world_with(Script({"payment": Plays.IS_AWAY}))
    for _ in range(12):
        world.step()
    for saga_id in world.shop.stories:
        world.shop.person(saga_id, Verb.CANCEL)
    assert ended(world)["status"]["phase"] in ("Compensated", "Completed")


async def test_the_loops_do_the_same_by_themselves() -> None:
    world = world_with()
    operator = world.everyone[0]
    running = asyncio.create_task(operator.engine.run(4))
    for _ in range(2000):
        await asyncio.sleep(0)
        world.see(operator)
        world.listen(operator)
        world.shop.deliver()
        world.clock.time += timedelta(milliseconds=5)
        operator.engine.call_due()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    body = world.api.order_saga(*KEY)
    assert body is not None
    assert body["status"]["phase"] == "Completed"
    assert not is_held(body)


def begun(world: Operators) -> str:
    """Return the saga once it waits for a payment that does not come."""
    (operator,) = world.everyone
    while world.see(operator) or world.listen(operator) or world.work(operator) or world.shop.deliver():
        pass
    (saga_id,) = world.shop.stories
    return saga_id


async def test_a_deadline_that_passes_before_a_failed_look_is_tried_again_is_kept() -> None:
    world = world_with(Script({"payment": Plays.IS_AWAY}), timeoutSeconds=60)
    saga_id, (operator,) = begun(world), world.everyone
    world.orders_are_away = True
    for seconds in (31.0, 1.0, 2.0, 4.0, 8.0, 13.5):
        world.pass_time(seconds)
        while world.work(operator):
            pass
        await operator.engine.speak_in_time()
        assert world.shop.aborts(saga_id) == []
    world.pass_time(0.6)
    assert not world.work(operator), "it is tried again before the deadline"
    await operator.engine.speak_in_time()
    await operator.engine.speak_in_time()
    (abort,) = world.shop.aborts(saga_id)
    assert abort.source == "operator"


def shown(world: Operators) -> Body:
    body = world.api.order_saga(*KEY)
    assert body is not None
    status: Body = body["status"]
    return status


def test_who_leads_anew_leaves_the_status_of_a_running_saga_while_the_order_service_is_away() -> None:
    world = world_with(Script({"inventory": Plays.SUCCEEDS_SLOWLY}))
    (first,) = world.everyone
    for _ in range(3):
        while world.see(first) or world.listen(first) or world.work(first) or world.shop.deliver():
            pass
        world.pass_time(1.0)
    before = shown(world)
    assert (before["phase"], before["steps"][0]["state"]) == ("Running", "Succeeded")
    world.kill(first)
    world.orders_are_away = True
    second = world.start()
    for _ in range(3):
        while world.see(second) or world.work(second):
            pass
        world.pass_time(2.0)
    status = shown(world)
    said = ("reason", "message", "conditions")
    assert {name: its for name, its in status.items() if name not in said} == {
        name: its for name, its in before.items() if name not in said
    }
    assert status["reason"] == "Retrying"
    assert "order" in status["message"]
    told = {each["type"]: each for each in status["conditions"]}
    assert told["Reconciling"]["message"] == told["Succeeded"]["message"] == status["message"]
    assert {kind: each["status"] for kind, each in told.items()} == {
        each["type"]: each["status"] for each in before["conditions"]
    }
    world.orders_are_away = False
    assert ended(world)["status"]["phase"] == "Completed"
    assert [each["phase"] for each in shown(world)["transitions"]].count("Running") == 1


class SilentDesk(Desk):
    """An order service that takes every question and answers none."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(shop)
        self.asked = asyncio.Event()

    @override
    async def find(self, saga_id: str) -> Found | None:
        self.asked.set()
        await asyncio.Event().wait()
        return await super().find(saga_id)


async def test_a_deadline_does_not_wait_for_an_order_service_that_does_not_answer() -> None:
    world = world_with(Script({"payment": Plays.IS_AWAY}), timeoutSeconds=60)
    saga_id, engine = begun(world), world.everyone[0].engine
    engine.acts.orders, aborted = (desk := SilentDesk(world.shop)), asyncio.Event()
    world.shop.listeners.append(lambda _, message: aborted.set() if message.type == ABORT else None)
    running = asyncio.create_task(engine.run(1))
    world.pass_time(31)
    async with asyncio.timeout(10):
        await desk.asked.wait()
        world.pass_time(30)
        await aborted.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(world.shop.aborts(saga_id)) == 1
    assert engine.counts["bugs"] == 0


class Told:
    """What is told of traces."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def tell(self, span: Span) -> None:
        self.spans.append(span)


@pytest.mark.parametrize("traced", [True, False])
def test_the_operator_is_in_the_trace_of_a_saga_that_is_traced_once_and_as_the_next_leader_says_it(
    traced: bool,
) -> None:
    world = world_with()
    slowly(world, 0.05)
    told = Told()
    for operator in (world.everyone[0], world.start()):
        operator.engine.acts.witness.spans = told
        world.settle()
        (held,) = operator.engine.held.values()
        state = world.shop.stories[held.known.saga_id].state
        assert state is not None
        traceparent = f"00-{'a' * 32}-{root_of(state.saga_id)}-{'01' if traced else '00'}"
        held.know(state=replace(state, traceparent=traceparent))
        held.traced = False
        operator.engine.acts.trace(held)
        operator.engine.acts.trace(held)
    if not traced:
        assert told.spans == []
        return
    first, second = told.spans
    (saga_id,) = world.shop.stories
    assert first == second
    assert (first.service, first.place.trace_id, first.parent_id) == ("operator", "a" * 32, root_of(saga_id))
    assert first.end > first.begin


class TracedDesk(Desk):
    """An order service whose sagas are all traced."""

    @override
    async def find(self, saga_id: str) -> Found | None:
        found = await super().find(saga_id)
        traceparent = f"00-{'a' * 32}-{root_of(saga_id)}-01"
        return found and Found(replace(found.state, traceparent=traceparent), found.as_of)


@pytest.mark.parametrize(("seconds", "spans"), [(1, 1), (120, 0)])
def test_the_next_leader_is_in_the_trace_of_a_saga_that_ended_just_before_and_its_status_stays(
    seconds: float, spans: int
) -> None:
    world = world_with()
    slowly(world, 0.05)
    (first,) = world.everyone
    world.kill(first)
    world.pass_time(seconds)
    before, told = writes(world), Told()
    acts = world.start().engine.acts
    acts.witness.spans, acts.orders = told, TracedDesk(world.shop)
    assert ended(world)["status"]["phase"] == "Completed"
    assert writes(world) == before
    assert [(span.service, span.parent_id) for span in told.spans] == [
        ("operator", root_of(*world.shop.stories))
    ] * spans


def test_a_saga_that_had_ended_is_in_its_trace_once_the_order_service_is_back() -> None:
    world = world_with()
    slowly(world, 0.05)
    world.kill(world.everyone[0])
    acts, told = world.start().engine.acts, Told()
    acts.witness.spans, acts.orders = told, TracedDesk(world.shop, world.api.fate)
    world.orders_are_away = True
    while world.work(world.everyone[0]):
        pass
    assert told.spans == []
    assert ended(world)["status"]["phase"] == "Completed"
    assert len(told.spans) == 1


def test_a_status_that_was_about_to_be_written_when_the_operator_begins_to_lead_is_written() -> None:
    world = world_with(suspend=True)
    operator = world.everyone[0]
    while world.see(operator) or world.work(operator):
        pass
    operator.engine.begin()
    assert ended(world)["status"]["reason"] == "Suspended"
