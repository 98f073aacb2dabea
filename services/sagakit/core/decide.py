"""Every decision about a saga as a whole lives in this file; no clock, no id and no IO does.

`observe` turns what a participant said into facts, `ask` what a person or a deadline wants, and `work` says which
commands are owed. Facts are the edge, work is the level: after a crash the log is folded, `work` is asked again, and
the participant recognises the command by its id. In choreography `work` owes nothing: the participants owe it to each
other.
"""

from dataclasses import dataclass
from datetime import datetime

from sagakit.core.definition import Saga, Step
from sagakit.core.facts import (
    AbortAsked,
    AbortCode,
    AnyFact,
    Phase,
    SagaCompensated,
    SagaCompleted,
    SagaKilled,
    SagaResumed,
    SagaSuspended,
    StepAsked,
    StepCompensated,
    StepFailed,
    StepStatus,
    StepStuck,
    StepSucceeded,
    Verb,
    VerbAsked,
)
from sagakit.core.messages import Mode
from sagakit.core.state import SagaState, evolve, pivot_succeeded

Answer = StepSucceeded | StepFailed | StepCompensated | StepStuck


@dataclass(frozen=True, slots=True)
class Conflict:
    """The wish cannot be granted as the saga stands; the sentence says why. Nothing was changed."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks of a saga, who, why, and when. `step` concerns retry, skip and mark-done only."""

    verb: Verb
    actor: str
    reason: str
    at: datetime
    step: str | None = None


def observe(saga: Saga, state: SagaState, answer: Answer) -> list[AnyFact]:
    """Return the facts that follow from an answer: the answer itself, if it is news, and what it brings about.

    What is repeated, or comes after the end, is no news and yields nothing.
    """
    if state.phase.terminal or not _is_news(state, answer):
        return []
    return close(saga, state, [answer])


def close(saga: Saga, state: SagaState, facts: list[AnyFact]) -> list[AnyFact]:
    """Return the facts, with the commands owed and the end of the saga behind them when they bring those about."""
    for fact in facts:
        state = evolve(saga, state, fact)
    at = facts[-1].at if facts else state.started_at
    assert at is not None, "a saga that is closed has begun"
    owed: list[AnyFact] = list(work(saga, state, at))
    if _all_succeeded(state, saga.steps):
        owed = [SagaCompleted(at=at)]
    elif state.phase is not Phase.RUNNING and taken_back(saga, state):
        owed = [SagaCompensated(at=at, reason=state.reason or "UNKNOWN")]
    return [*facts, *owed]


def taken_back(saga: Saga, state: SagaState) -> bool:
    """Tell whether a step failed and everything that could have happened stands at refused, barred or compensated.

    A stage can only have begun when every step of the stage before it succeeded, so the walk ends at the first stage
    that did not wholly succeed.
    """
    for stage in saga.stages:
        statuses = [state.step(step.name).status for step in stage]
        if not all(status.settled for status in statuses):
            return False
        if not all(status.happened for status in statuses):
            return True
    return False


def work(saga: Saga, state: SagaState, at: datetime) -> list[StepAsked]:
    """Return the commands that the orchestrator owes now: none in choreography, none that was asked before."""
    if state.mode is not Mode.ORCHESTRATION or state.phase.terminal:
        return []
    if any(step.status.settled for step in state.steps.values()):
        return [
            StepAsked(at=at, step=step.name, compensating=True)
            for number, stage in enumerate(saga.stages)
            for step in stage
            if state.step(step.name).status is StepStatus.SUCCEEDED and undo_is_owed(saga, state, number)
        ]
    stage = next((s for s in saga.stages if not _all_succeeded(state, s)), ())
    if state.suspended or (state.abort is not None and any(step.can_bar for step in stage)):
        return []
    return [StepAsked(at=at, step=step.name) for step in stage if state.step(step.name).status is StepStatus.IDLE]


def undo_is_owed(saga: Saga, state: SagaState, number: int) -> bool:
    """Tell whether the successes of stage `number` are to be taken back now.

    Either the stage itself joined with a failure among its members, or everything of the stage after it is settled.
    """
    statuses = [state.step(step.name).status for step in saga.stages[number]]
    if any(status.failed for status in statuses):
        return all(status.failed or status.happened for status in statuses)
    if number + 1 == len(saga.stages) or not all(status.happened for status in statuses):
        return False
    return all(state.step(step.name).status.settled for step in saga.stages[number + 1])


def abort(state: SagaState, code: AbortCode, reason: str, requested_by: str, at: datetime) -> list[AnyFact]:
    """Return the one request to abort, or nothing when it was made before or the saga has ended."""
    if state.phase.terminal or state.abort is not None:
        return []
    return [AbortAsked(at=at, code=code, reason=reason, requested_by=requested_by)]


def ask(saga: Saga, state: SagaState, wish: Wish) -> list[AnyFact] | Conflict:
    """Return the facts that a person's wish brings about (none: it has no effect any more), or why it cannot be."""
    match wish.verb:
        case Verb.CANCEL:
            return _cancel(saga, state, wish)
        case Verb.KILL:
            if state.phase.terminal:
                return _ended(state, "killed")
            return [SagaKilled(at=wish.at, actor=wish.actor, reason=wish.reason)]
        case Verb.SUSPEND:
            if state.phase.terminal:
                return _ended(state, "suspended")
            return [] if state.suspended else [SagaSuspended(at=wish.at, actor=wish.actor, reason=wish.reason)]
        case Verb.RESUME:
            if state.phase.terminal:
                return _ended(state, "resumed")
            if not state.suspended:
                return []
            return close(saga, state, [SagaResumed(at=wish.at, actor=wish.actor, reason=wish.reason)])
        case Verb.RETRY | Verb.SKIP | Verb.MARK_DONE:
            return _intervene(saga, state, wish)


def cancel_refused(saga: Saga, state: SagaState) -> bool:
    """Tell whether an abort was asked and lost against the pivot: the saga goes forward."""
    return state.abort is not None and pivot_succeeded(saga, state)


def _cancel(saga: Saga, state: SagaState, wish: Wish) -> list[AnyFact] | Conflict:
    if state.phase is Phase.KILLED or any(step.status.settled for step in state.steps.values()):
        return []
    if state.phase is Phase.COMPLETED:
        return _ended(state, "cancelled")
    if pivot_succeeded(saga, state):
        return Conflict(
            f"{state.saga_id} is past its pivot: from there on it only goes forward and cannot be cancelled"
        )
    return abort(state, AbortCode.CANCELLED, wish.reason, wish.actor, wish.at)


def _intervene(saga: Saga, state: SagaState, wish: Wish) -> list[AnyFact] | Conflict:
    if state.phase.terminal:
        return _ended(state, "repaired")
    if wish.step is not None and wish.step not in {step.name for step in saga.steps}:
        return Conflict(f"{saga.ref} has no step {wish.step!r}; it has {', '.join(step.name for step in saga.steps)}")
    stuck = [step.name for step in saga.steps if state.step(step.name).stuck is not None]
    chosen = stuck if wish.step is None else [name for name in stuck if name == wish.step]
    if not chosen:
        where = f"step {wish.step!r}" if wish.step else "no step"
        return Conflict(
            f"{state.saga_id}: {where} is {'not ' if wish.step else ''}waiting for a person ({state.phase})"
        )
    return [
        VerbAsked(
            at=wish.at, verb=wish.verb, step=name, actor=wish.actor, reason=wish.reason, attempt=state.controls + place
        )
        for place, name in enumerate(chosen)
    ]


def _ended(state: SagaState, wished: str) -> Conflict:
    return Conflict(f"{state.saga_id} has ended ({state.phase}) and cannot be {wished} any more")


def _is_news(state: SagaState, answer: Answer) -> bool:
    status = state.step(answer.step).status
    match answer:
        case StepSucceeded():
            return status in (StepStatus.IDLE, StepStatus.BEGUN)
        case StepFailed():
            return status in (StepStatus.IDLE, StepStatus.BEGUN)
        case StepCompensated():
            return status is not StepStatus.COMPENSATED
        case StepStuck():
            return not (status.settled or (status is StepStatus.SUCCEEDED and not answer.compensating))


def _all_succeeded(state: SagaState, steps: tuple[Step, ...]) -> bool:
    for step in steps:
        known = state.steps.get(step.name)
        if known is None or known.status is not StepStatus.SUCCEEDED:
            return False
    return True
