"""The state of a saga: the fold of its facts. Nothing here decides."""

from datetime import datetime

import msgspec
from msgspec.structs import replace

from sagakit.core.definition import Group, Saga, StepKind
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
    by_hand: str | None = None


IDLE = StepState()


class SagaState(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is known of one saga. `input` is kept only where commands are sent from it (orchestration).

    `due_at` is when it is to be asked to abort next; `own_correlation_id` is set when the id is not the saga's own.
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
    reason: str | None = None
    controls: int = 0
    due_at: datetime | None = None
    own_correlation_id: str | None = None

    def step(self, name: str) -> StepState:
        """Return what is known of the step, also when it is nothing."""
        return self.steps.get(name, IDLE)


def evolve(saga: Saga, state: SagaState, fact: AnyFact) -> SagaState:
    """Return the state after one more fact."""
    after = replace(_apply(state, fact), version=state.version + 1)
    phase = _phase(saga, after, fact)
    return after if phase is after.phase else replace(after, phase=phase)


def fold(saga: Saga, saga_id: str, facts: list[AnyFact]) -> SagaState:
    """Return the state after all these facts, the oldest first."""
    state = SagaState(saga_id=saga_id)
    for fact in facts:
        state = evolve(saga, state, fact)
    return state


def pivot_succeeded(saga: Saga, state: SagaState) -> bool:
    """Tell whether the saga can only go forward: its pivot, or lacking one its last compensatable stage, succeeded."""
    pivot = point_of_no_return(saga)
    return bool(pivot) and all(state.step(step.name).status is StepStatus.SUCCEEDED for step in pivot)


def point_of_no_return(saga: Saga) -> Group:
    """Return the stage after whose success the saga only goes forward."""
    stages = [stage for stage in saga.stages if stage[0].kind is not StepKind.RETRIABLE]
    return stages[-1] if stages else ()


def _apply(state: SagaState, fact: AnyFact) -> SagaState:
    match fact:
        case StepSucceeded() | StepFailed() | StepCompensated() | StepStuck() | StepAsked() | VerbAsked():
            steps = {**state.steps, fact.step: _step(state.step(fact.step), fact)}
            if isinstance(fact, StepFailed):
                return replace(state, steps=steps, reason=state.reason or fact.reason)
            if isinstance(fact, VerbAsked):
                return replace(state, steps=steps, controls=state.controls + 1)
            return replace(state, steps=steps)
        case SagaStarted():
            return replace(
                state,
                definition=fact.definition,
                mode=fact.mode,
                correlation_id=fact.correlation_id,
                own_correlation_id=fact.correlation_id if fact.correlation_id != state.saga_id else None,
                traceparent=fact.traceparent,
                deadline=fact.deadline,
                started_at=fact.at,
                input=fact.input if fact.mode is Mode.ORCHESTRATION else EMPTY,
            )
        case AbortAsked():
            return replace(state, abort=fact, reason=state.reason or fact.code, controls=state.controls + 1)
        case SagaSuspended() | SagaResumed():
            return replace(state, suspended=isinstance(fact, SagaSuspended), controls=state.controls + 1)
        case SagaCompleted():
            return replace(state, ended_at=fact.at, reason=None, suspended=False)
        case SagaCompensated():
            return replace(state, ended_at=fact.at, reason=fact.reason, suspended=False)
        case SagaKilled():
            return replace(state, ended_at=fact.at, reason="KILLED", suspended=False)


def _step(
    step: StepState, fact: StepSucceeded | StepFailed | StepCompensated | StepStuck | StepAsked | VerbAsked
) -> StepState:
    match fact:
        case StepAsked(compensating=False):
            return replace(step, status=StepStatus.BEGUN, attempts=step.attempts + 1, asked_at=fact.at)
        case StepAsked():
            return replace(step, status=StepStatus.UNDOING, undo_attempts=step.undo_attempts + 1, undo_asked_at=fact.at)
        case StepSucceeded():
            by_hand = fact.by_hand.actor if fact.by_hand else None
            return replace(step, status=StepStatus.SUCCEEDED, answered_at=fact.at, stuck=None, by_hand=by_hand)
        case StepFailed():
            status = StepStatus.BARRED if fact.barred else StepStatus.REFUSED
            return replace(step, status=status, answered_at=fact.at, reason=fact.reason, code=fact.code, stuck=None)
        case StepCompensated():
            by_hand = fact.by_hand.actor if fact.by_hand else None
            return replace(step, status=StepStatus.COMPENSATED, undone_at=fact.at, stuck=None, by_hand=by_hand)
        case StepStuck(compensating=True):
            return replace(step, stuck=fact.error, undo_attempts=fact.attempts)
        case StepStuck():
            return replace(step, stuck=fact.error, attempts=fact.attempts)
        case VerbAsked():
            return replace(step, stuck=None)


def _phase(saga: Saga, state: SagaState, fact: AnyFact) -> Phase:
    match fact:
        case SagaCompleted():
            return Phase.COMPLETED
        case SagaCompensated():
            return Phase.COMPENSATED
        case SagaKilled():
            return Phase.KILLED
        case SagaStarted():
            return Phase.PENDING
    if state.phase in TERMINAL:
        return state.phase
    steps = state.steps.values()
    if any(step.stuck is not None for step in steps):
        return Phase.NEEDS_INTERVENTION
    if any(step.status.settled or step.status is StepStatus.UNDOING for step in steps):
        return Phase.COMPENSATING
    if any(step.status is not StepStatus.IDLE for step in steps):
        return Phase.RUNNING
    return state.phase
