"""What the status says: one vector of conditions for each phase, within its bounds, and nothing new without news."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.largest import TEXTS
from tests.unit.operator.values import ABORT, DEADLINE, DONE, SECOND, T0, known_of, resource, running

from saga_operator.reconcile import Known, Presence, Refusal, reconcile
from saga_operator.report import report, report_malformed, word
from saga_operator.resources import STATUS_BYTES_MAX, OrderSaga, Status
from sagakit.core.facts import AbortAsked, AbortCode, Phase, StepStatus, Verb
from sagakit.core.messages import Mode
from sagakit.core.state import SagaState, StepState
from sagakit.testing.scenario import Scenario
from shop_contracts.order_saga import ORDER_SAGA

PAGE = Path(__file__).parents[3] / "docs" / "kubernetes-conditions.md"
TYPES = ("Succeeded", "Finished", "Compensated", "TimedOut", "Validated", "Reconciling", "Stalled")
IN_TIME, LATE = T0 + SECOND, DEADLINE + SECOND
ABORTED: dict[str, Any] = {"abort": ABORT, "reason": "DEADLINE_PASSED"}


def never(**changes: Any) -> Known:  # noqa: ANN401 - the attributes of Known
    return known_of(resource(), **changes)


SITUATIONS: dict[str, tuple[OrderSaga, Known, Any]] = {
    "Pending, not placed yet": (resource(), never(presence=Presence.ABSENT), IN_TIME),
    "Pending": (resource(), running(resource(), Phase.PENDING), IN_TIME),
    "Running": (resource(), running(resource(), Phase.RUNNING), IN_TIME),
    "Running, past its deadline": (resource(), running(resource(), Phase.RUNNING, **ABORTED), LATE),
    "Compensating": (resource(), running(resource(), Phase.COMPENSATING), IN_TIME),
    "Compensating, past its deadline": (resource(), running(resource(), Phase.COMPENSATING, **ABORTED), LATE),
    "NeedsIntervention": (resource(), running(resource(), Phase.NEEDS_INTERVENTION), IN_TIME),
    "Completed": (resource(), running(resource(), Phase.COMPLETED), IN_TIME),
    "Compensated": (resource(), running(resource(), Phase.COMPENSATED), IN_TIME),
    "Compensated, past its deadline": (resource(), running(resource(), Phase.COMPENSATED, **ABORTED), LATE),
    "Compensated, nothing had happened": (
        resource(),
        running(resource(), Phase.COMPENSATED, steps={"payment": StepState(StepStatus.REFUSED)}),
        IN_TIME,
    ),
    "Compensated, never placed in time": (resource(), never(presence=Presence.ABSENT), DEADLINE),
    "Compensated, cancelled before it began": (
        resource(begun=False, cancel=True),
        known_of(resource(begun=False), Presence.UNKNOWN),
        IN_TIME,
    ),
    "Compensated, refused by the order service": (resource(), never(refusal=Refusal("no such product")), IN_TIME),
    "Killed": (resource(), running(resource(), Phase.KILLED), IN_TIME),
}
VECTORS = {
    "Pending, not placed yet": "Unknown False False False Unknown True -",
    "Pending": "Unknown False False False True True -",
    "Running": "Unknown False False False True True -",
    "Running, past its deadline": "Unknown False False True True True -",
    "Compensating": "Unknown False False False True True -",
    "Compensating, past its deadline": "Unknown False False True True True -",
    "NeedsIntervention": "Unknown False False False True - True",
    "Completed": "True True False False True - -",
    "Compensated": "False True True False True - -",
    "Compensated, past its deadline": "False True True True True - -",
    "Compensated, nothing had happened": "False True True False True - -",
    "Compensated, never placed in time": "False True True True True - -",
    "Compensated, cancelled before it began": "False True True False True - -",
    "Compensated, refused by the order service": "False True True False False - True",
    "Killed": "False True False False True - -",
}
"""In the order of `TYPES`; `-` where the condition is left out. docs/kubernetes-conditions.md shows the same."""

TOLD_BY_THEIR_SAGA = [name for name, (_, known, _) in SITUATIONS.items() if known.state is not None]
"""The others are written once, and remembered by the engine as they were written."""


def told(situation: str) -> Status:
    its, known, now = SITUATIONS[situation]
    return report(its, known, reconcile(its, known, now), now)


def truths(status: Status) -> str:
    found = {condition.type: condition.status.value for condition in status.conditions}
    assert set(found) <= set(TYPES)
    assert len(found) == len(status.conditions), "a condition stands once"
    return " ".join(found.get(kind, "-") for kind in TYPES)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_situation_has_its_one_vector_of_conditions(situation: str) -> None:
    status = told(situation)
    assert status.phase == situation.partition(",")[0]
    assert truths(status) == VECTORS[situation]


def test_every_phase_is_in_the_table() -> None:
    assert {situation.partition(",")[0] for situation in VECTORS} == {phase.value for phase in Phase}
    assert set(VECTORS) == set(SITUATIONS)


def test_the_page_of_conditions_shows_this_table() -> None:
    lines = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    header, _, *rows = lines
    assert tuple(header[1:]) == TYPES
    assert {row[0]: " ".join(row[1:]) for row in rows} == VECTORS


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_condition_has_a_reason_and_the_generation_it_was_seen_of(situation: str) -> None:
    its, known, now = SITUATIONS[situation]
    its = msgspec.structs.replace(its, generation=7)
    status = report(its, known, reconcile(its, known, now), now)
    assert status.observed_generation == 7
    assert all(condition.reason and condition.observed_generation == 7 for condition in status.conditions)


def reread(its: OrderSaga, status: Status) -> OrderSaga:
    """Return the resource as it is read after this status was written."""
    return msgspec.structs.replace(its, status=resource(status=status).status)


@pytest.mark.parametrize("situation", TOLD_BY_THEIR_SAGA)
def test_a_status_that_is_told_again_is_the_same_though_time_has_passed(situation: str) -> None:
    its, known, now = SITUATIONS[situation]
    first = report(its, known, reconcile(its, known, now), now)
    its, later = reread(its, first), now + 10 * SECOND
    known = replace(known, spoken=True)
    again = report(its, known, reconcile(its, known, later), later)
    assert again.to_body() == first.to_body()


@pytest.mark.parametrize("situation", [name for name in TOLD_BY_THEIR_SAGA if VECTORS[name].split()[1] == "True"])
def test_what_has_ended_stays_as_it_ended(situation: str) -> None:
    its, known, now = SITUATIONS[situation]
    ended = report(its, known, reconcile(its, known, now), now)
    its, later = reread(its, ended), now + timedelta(days=1)
    assert report(its, known, reconcile(its, known, later), later).to_body() == ended.to_body()


def test_a_condition_keeps_its_time_for_as_long_as_its_truth_does_not_change() -> None:
    its, known = resource(), running(resource(), Phase.RUNNING)
    first = report(its, known, reconcile(its, known, IN_TIME), IN_TIME)
    its, later = reread(its, first), IN_TIME + 5 * SECOND
    done = running(its, Phase.COMPLETED)
    last = report(its, done, reconcile(its, done, later), later)
    times = {condition.type: condition.last_transition_time for condition in last.conditions}
    assert times["Succeeded"] == later
    assert times["TimedOut"] == times["Validated"] == IN_TIME
    assert [transition.phase for transition in last.transitions] == [Phase.RUNNING, Phase.COMPLETED]


@pytest.mark.parametrize("verdict", [{}, {"declined": {Verb.CANCEL: "past its pivot"}}])
def test_a_cancel_that_comes_after_the_pivot_is_shown_to_be_refused_at_once(verdict: dict[str, Any]) -> None:
    its = resource(cancel=True)
    past = dict.fromkeys(("payment", "inventory", "shipping"), DONE)
    known = replace(running(its, Phase.RUNNING, steps=past), **verdict)
    assert report(its, known, reconcile(its, known, IN_TIME), IN_TIME).cancel_refused
    early = running(its, Phase.RUNNING)
    assert not report(its, early, reconcile(its, early, IN_TIME), IN_TIME).cancel_refused


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("phase", Phase)
def test_a_status_stays_small_whatever_participants_say(phase: Phase, text: str) -> None:
    its = resource(correlationId="c" * 50)
    steps = {
        step.name: StepState(
            StepStatus.UNDOING if step.compensation else StepStatus.REFUSED,
            attempts=100,
            asked_at=T0,
            answered_at=T0,
            undo_asked_at=T0,
            undone_at=T0,
            reason=text,
            code=text,
            stuck=text if phase is Phase.NEEDS_INTERVENTION else None,
            stuck_at=T0,
        )
        for step in ORDER_SAGA.steps
    }
    abort = AbortAsked(at=T0, code=AbortCode.CANCELLED, reason=text, requested_by=text)
    known = replace(running(its, phase, steps=steps, reason=text, abort=abort), trouble=text)
    status = report(its, known, reconcile(its, known, T0), T0)
    assert len(msgspec.json.encode(status.to_body())) <= STATUS_BYTES_MAX


@given(text=st.text(max_size=200))
def test_every_reason_is_one_word(text: str) -> None:
    made = word(text)
    assert made
    assert made.isascii()
    assert made[0].isalpha()
    assert made.replace("_", "").isalnum()
    assert len(made) <= 64


def test_a_malformed_resource_has_failed_and_says_why() -> None:
    status = report_malformed("spec.order.items[0].price: nonsense", 3, T0)
    assert truths(status) == "False True True - False - True"
    assert status.message == "spec.order.items[0].price: nonsense"
    assert len(msgspec.json.encode(report_malformed("<" * 50_000, 3, T0).to_body())) <= STATUS_BYTES_MAX


@pytest.mark.parametrize("mode", Mode)
def test_the_steps_are_told_as_the_saga_has_them(mode: Mode) -> None:
    state: SagaState = Scenario(ORDER_SAGA, mode).started().when("PaymentCompleted", "InventoryFailed").state
    its = resource()
    known = known_of(its, state=state, definition=ORDER_SAGA, looked_at=T0)
    status = report(its, known, reconcile(its, known, T0), T0)
    steps = {step.name: step for step in status.steps}
    assert list(steps) == ["payment", "inventory", "shipping", "stock"]
    assert steps["inventory"].state == "Refused"
    assert steps["inventory"].reason == "InventoryRefused"
    assert (steps["payment"].compensation is not None) == (mode is Mode.ORCHESTRATION)
    assert steps["shipping"].state == "Idle"
    assert status.step is not None
    assert status.step.startswith("payment 1/4")
