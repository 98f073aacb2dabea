"""Events tell each transition once, however many there are, whatever becomes of a write, and whoever leads."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice

import pytest
from tests.unit.operator.memory_api import CrashError, Fault, no_fault, refused
from tests.unit.operator.operators import KEY, Operator, Operators, manifest
from tests.unit.operator.values import SECOND, T0, resource, running, state_in

from saga_operator.cluster import Body
from saga_operator.engine import SPACING_SECONDS
from saga_operator.reconcile import Plan, Presence, saga_id_of
from saga_operator.report import report
from saga_operator.resources import ORDER_SAGA_PLURAL, TRANSITIONS_MAX, Status, Transition
from saga_operator.resources.writing import LIMITS
from sagakit.core.facts import Phase
from shop_contracts.order_saga import ORDER_SAGA

TIMES = 3 * TRANSITIONS_MAX
PHASES = tuple(islice(cycle((Phase.RUNNING, Phase.NEEDS_INTERVENTION)), TIMES))
LATE = T0 + timedelta(hours=1)


def learn(world: Operators, operator: Operator, phase: Phase) -> None:
    """Let the operator know that the saga stands so, and do what is to be done then."""
    while world.see(operator):
        pass
    held = operator.engine.held[KEY]
    state = state_in(phase, saga_id=saga_id_of(held.resource), deadline=LATE)
    now = world.clock.now()
    held.know(presence=Presence.PRESENT, state=state, definition=ORDER_SAGA, looked_at=now, trouble="")
    operator.engine.visit(KEY)
    while operator in world.everyone and world.work(operator):
        pass


def begun() -> tuple[Operators, Operator]:
    world = Operators()
    operator = world.start()
    world.api.make(ORDER_SAGA_PLURAL, manifest(timeoutSeconds=3600))
    world.see(operator)
    world.pass_time(SPACING_SECONDS)
    return world, operator


def told(world: Operators) -> Counter[str]:
    """Return how often each phase was told."""
    return Counter(body["reason"] for place, body in world.api.objects.items() if place[0] == "events")


def transitions(world: Operators) -> list[Body]:
    body = world.api.order_saga(*KEY)
    assert body is not None
    return [*body.get("status", {}).get("transitions", ())]


def test_each_transition_is_told_however_many_there_were_before() -> None:
    world, operator = begun()
    for phase in PHASES:
        learn(world, operator, phase)
        world.pass_time(SPACING_SECONDS)
    assert told(world) == Counter(PHASES)


def test_a_transition_is_told_once_also_where_a_shorter_status_drops_those_before_meanwhile() -> None:
    world, operator = begun()
    for phase in PHASES:
        world.api.fate = lambda call: Fault(refused(500)) if call.endswith("/status") else None
        learn(world, operator, phase)
        world.api.fate = no_fault
        world.api.overwrite_status(*KEY, transitions=transitions(world)[-min(each.transitions for each in LIMITS) :])
        world.pass_time(SPACING_SECONDS)
        learn(world, operator, phase)
        assert transitions(world)[-1]["phase"] == phase
        world.pass_time(SPACING_SECONDS)
    assert told(world) == Counter(PHASES)


@pytest.mark.parametrize("happened", [True, False])
def test_a_transition_is_told_once_by_two_leaders_of_whom_one_died_over_the_status(happened: bool) -> None:
    world, operator = begun()
    for phase in PHASES:
        world.api.fate = lambda call: Fault(CrashError(), happened) if call.endswith("/status") else None
        learn(world, operator, phase)
        world.api.fate = no_fault
        (operator,) = world.everyone
        world.pass_time(SPACING_SECONDS)
        learn(world, operator, phase)
        assert transitions(world)[-1]["phase"] == phase
        world.pass_time(SPACING_SECONDS)
    assert told(world) == Counter(PHASES)


def test_transitions_that_two_leaders_write_within_one_second_are_each_told() -> None:
    world, leader = begun()
    other = world.start()
    world.elect(other, leads=False)
    world.pass_time(SPACING_SECONDS)
    for number, phase in enumerate(PHASES):
        learn(world, leader, phase)
        assert transitions(world)[-1]["phase"] == phase
        if number % 2:
            world.pass_time(SPACING_SECONDS)
        else:
            world.elect(leader, leads=False)
            world.elect(other, leads=True)
            leader, other = other, leader
    assert told(world) == Counter(PHASES)


def test_transitions_of_a_leader_whose_clock_is_behind_that_of_the_one_before_are_each_told() -> None:
    world, leader = begun()
    other = world.start()
    world.elect(other, leads=False)
    for number, phase in enumerate(PHASES):
        if number == TRANSITIONS_MAX:
            world.elect(leader, leads=False)
            world.pass_time(-2 * SPACING_SECONDS)
            world.elect(other, leads=True)
            leader = other
        world.pass_time(SPACING_SECONDS)
        learn(world, leader, phase)
        assert transitions(world)[-1]["phase"] == phase
    assert told(world) == Counter(PHASES)


def test_a_transition_whose_event_and_status_were_both_refused_is_told_when_they_are_taken() -> None:
    world, operator = begun()
    for phase in PHASES:
        world.api.fate = lambda _: Fault(refused(503))
        learn(world, operator, phase)
        world.api.fate = no_fault
        world.pass_time(SPACING_SECONDS)
        learn(world, operator, phase)
        assert transitions(world)[-1]["phase"] == phase
        world.pass_time(SPACING_SECONDS)
    assert told(world) == Counter(PHASES)


def test_a_transition_is_later_than_the_one_before_by_a_second_at_least_unless_that_is_nonsense() -> None:
    for before, at, time in (
        (T0, T0 + SECOND, T0 + SECOND),
        (T0, T0 + SECOND / 2, T0 + SECOND),
        (T0, T0, T0 + SECOND),
        (T0 + 60 * SECOND, T0, T0 + 61 * SECOND),
        (datetime.max.replace(tzinfo=UTC), T0, T0),
    ):
        its = resource(status=Status(transitions=(Transition(time=before, phase=Phase.RUNNING),)))
        known = running(its, Phase.NEEDS_INTERVENTION)
        assert report(its, known, Plan(), at).transitions[-1].time == time
