"""The state of a saga: the fold of its facts. Nothing here decides."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from sagakit.core.definition import Saga
from sagakit.core.facts import (
    TERMINAL,
    AbortAsked,
    AnyFact,
    Phase,
    SagaCompensated,
    SagaCompleted,
    SagaKilled,
    SagaResumed,
    SagaStarted,
    SagaSuspended,
    StepAsked,
    StepCompensated,
    StepFailed,
    StepStatus,
    StepStuck,
    StepSucceeded,
    VerbAsked,
)
from sagakit.core.messages import EMPTY, Mode


class StepState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of one step. `asked_at` and `answered_at` concern the action, `undo_…` its compensation."""

    status: StepStatus = StepStatus.IDLE
    attempts: int = 0
    asked_at: datetime | None = None
    answered_at: datetime | None = None
    undo_attempts: int = 0
    undo_asked_at: datetime | None = None
    undone_at: datetime | None = None
    reason: str | None = None
    code: str | None = None
    stuck: str | None = None
    stuck_at: datetime | None = None
    by_hand: str | None = None


IDLE = StepState()


class SagaState(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is known of one saga. `input` is kept only where commands are sent from it (orchestration).

    `due_at` is when it is to be asked to abort next.
    """

    saga_id: str
    version: int = 0
    phase: Phase = Phase.PENDING
    definition: str = ""
    mode: Mode = Mode.CHOREOGRAPHY
    correlation_id: str = ""
    traceparent: str | None = None
    input: msgspec.Raw = EMPTY
    started_at: datetime | None = None
    deadline: datetime | None = None
    ended_at: datetime | None = None
    steps: dict[str, StepState] = {}
    abort: AbortAsked | None = None
    suspended: bool = False
    suspended_at: datetime | None = None
    reason: str | None = None
    controls: int = 0
    due_at: datetime | None = None

    def step(self, name: str) -> StepState:
        """Return what is known of the step, also when it is nothing."""
        return self.steps.get(name, IDLE)


def evolve(saga: Saga, state: SagaState, fact: AnyFact) -> SagaState:
    """Return the state after one more fact. `saga` is its definition."""
    del saga  # what a fact means is in the fact; a definition of a later kind may need it
    changes = _CHANGES[type(fact)](state, fact)
    changes["version"] = state.version + 1
    return replace(state, **changes)


def fold(saga: Saga, saga_id: str, facts: list[AnyFact]) -> SagaState:
    """Return the state after all these facts, the oldest first."""
    state = SagaState(saga_id=saga_id)
    for fact in facts:
        state = evolve(saga, state, fact)
    return state


def pivot_succeeded(saga: Saga, state: SagaState) -> bool:
    """Tell whether the saga can only go forward: its pivot, or lacking one its last compensatable stage, succeeded.

    A saga in which nobody can refuse goes forward from the beginning.
    """
    steps = state.steps
    for step in saga.point_of_no_return:
        known = steps.get(step.name)
        if known is None or known.status is not StepStatus.SUCCEEDED:
            return False
    return True


Changes = dict[str, Any]


def _started(state: SagaState, fact: SagaStarted) -> Changes:
    del state  # it has nothing yet
    return {
        "phase": Phase.PENDING,
        "definition": fact.definition,
        "mode": fact.mode,
        "correlation_id": fact.correlation_id,
        "traceparent": fact.traceparent,
        "deadline": fact.deadline,
        "started_at": fact.at,
        "input": fact.input if fact.mode is Mode.ORCHESTRATION else EMPTY,
    }


def _asked(state: SagaState, fact: StepAsked) -> Changes:
    was = state.step(fact.step)
    if fact.compensating:
        step = replace(was, status=StepStatus.UNDOING, undo_attempts=was.undo_attempts + 1, undo_asked_at=fact.at)
    else:
        step = replace(was, status=StepStatus.BEGUN, attempts=was.attempts + 1, asked_at=fact.at)
    return _with(state, fact.step, step)


def _succeeded(state: SagaState, fact: StepSucceeded) -> Changes:
    by_hand = fact.by_hand.actor if fact.by_hand else None
    was = state.step(fact.step)
    step = replace(was, status=StepStatus.SUCCEEDED, answered_at=fact.at, stuck=None, by_hand=by_hand)
    return _with(state, fact.step, step)


def _failed(state: SagaState, fact: StepFailed) -> Changes:
    status = StepStatus.BARRED if fact.barred else StepStatus.REFUSED
    was = state.step(fact.step)
    step = replace(was, status=status, answered_at=fact.at, reason=fact.reason, code=fact.code, stuck=None)
    return {**_with(state, fact.step, step), "reason": state.reason or fact.code or fact.reason}


def _compensated(state: SagaState, fact: StepCompensated) -> Changes:
    by_hand = fact.by_hand.actor if fact.by_hand else None
    was = state.step(fact.step)
    step = replace(was, status=StepStatus.COMPENSATED, undone_at=fact.at, stuck=None, by_hand=by_hand)
    return _with(state, fact.step, step)


def _stuck(state: SagaState, fact: StepStuck) -> Changes:
    was = state.step(fact.step)
    if fact.compensating:
        return _with(state, fact.step, replace(was, stuck=fact.error, stuck_at=fact.at, undo_attempts=fact.attempts))
    return _with(state, fact.step, replace(was, stuck=fact.error, stuck_at=fact.at, attempts=fact.attempts))


def _verb(state: SagaState, fact: VerbAsked) -> Changes:
    changes = _with(state, fact.step, replace(state.step(fact.step), stuck=None))
    return {**changes, "controls": state.controls + 1}


def _abort(state: SagaState, fact: AbortAsked) -> Changes:
    return {"abort": fact, "reason": state.reason or fact.code, "controls": state.controls + 1}


def _suspended(state: SagaState, fact: SagaSuspended | SagaResumed) -> Changes:
    held = isinstance(fact, SagaSuspended)
    return {"suspended": held, "suspended_at": fact.at if held else None, "controls": state.controls + 1}


def _ended(state: SagaState, fact: SagaCompleted | SagaCompensated | SagaKilled) -> Changes:
    del state
    ended: Changes = {"ended_at": fact.at, "suspended": False}
    match fact:
        case SagaCompleted():
            return {**ended, "phase": Phase.COMPLETED, "reason": None}
        case SagaCompensated():
            return {**ended, "phase": Phase.COMPENSATED, "reason": fact.reason}
        case SagaKilled():
            return {**ended, "phase": Phase.KILLED, "reason": "KILLED"}


_CHANGES: dict[type, Callable[[SagaState, Any], Changes]] = {
    SagaStarted: _started,
    StepAsked: _asked,
    StepSucceeded: _succeeded,
    StepFailed: _failed,
    StepCompensated: _compensated,
    StepStuck: _stuck,
    VerbAsked: _verb,
    AbortAsked: _abort,
    SagaSuspended: _suspended,
    SagaResumed: _suspended,
    SagaCompleted: _ended,
    SagaCompensated: _ended,
    SagaKilled: _ended,
}


def _with(state: SagaState, name: str, step: StepState) -> Changes:
    steps = {**state.steps, name: step}
    return {"steps": steps, "phase": _phase(state.phase, steps)}


def _phase(before: Phase, steps: dict[str, StepState]) -> Phase:
    """Return the phase that the steps amount to; the end of a saga is a fact of its own."""
    if before in _ENDS:
        return before
    phase = Phase.PENDING
    for step in steps.values():
        if step.stuck is not None:
            return Phase.NEEDS_INTERVENTION
        if step.status in _GOING_BACK:
            phase = Phase.COMPENSATING
        elif phase is Phase.PENDING and step.status is not StepStatus.IDLE:
            phase = Phase.RUNNING
    return phase


_ENDS = tuple(TERMINAL)
_GOING_BACK = (StepStatus.REFUSED, StepStatus.BARRED, StepStatus.COMPENSATED, StepStatus.UNDOING)
