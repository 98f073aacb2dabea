"""What the status of a resource says, made from what is known of its saga. Pure; nothing here is read back to decide.

Every phase has one vector of conditions (docs/kubernetes-conditions.md has the table); `phase` is a word for people.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from saga_operator.reconcile import Ending, Known, Plan, deadline_of, started_at
from saga_operator.resources import (
    REASON_LENGTH_MAX,
    STEP_TEXT_LENGTH_MAX,
    TRANSITIONS_MAX,
    Compensation,
    Condition,
    History,
    OrderSaga,
    SagaMode,
    Status,
    StepState,
    StepStatus,
    Transition,
    Truth,
)
from sagakit.core.definition import Saga, Step
from sagakit.core.facts import AbortCode, Phase, Verb
from sagakit.core.facts import StepStatus as Standing
from sagakit.core.messages import Mode
from sagakit.core.state import SagaState, pivot_succeeded
from sagakit.core.traces import sampled, trace_of
from sagakit.core.waiting import WaitsFor, waiting

SECOND = timedelta(seconds=1)
"""A time is written without what is less."""
SKEW_MAX = timedelta(hours=1)
"""How far the clock of who led before may be ahead; who wrote a time beyond that is nobody who leads."""
RETRYING = "Retrying"
"""The reason while something that is to be done cannot be done."""
TIMED_OUT = frozenset({AbortCode.DEADLINE_PASSED.value, AbortCode.STEP_TIMED_OUT.value})
NOT_A_WORD = re.compile(r"[^A-Za-z0-9]+")
WAITS = {
    WaitsFor.ANSWER: "AwaitingAnswer",
    WaitsFor.COMPENSATION: "AwaitingCompensation",
    WaitsFor.ABORT: "AwaitingAbort",
    WaitsFor.RESUME: "Suspended",
    WaitsFor.PERSON: "AwaitingPerson",
}


def report(its: OrderSaga, known: Known, plan: Plan, now: datetime) -> Status:
    """Return the status of the resource as everything stands now."""
    phase = phase_of(its, known, plan.ending)
    reason, message = _why(its, known, plan.ending, phase)
    state = known.state
    completed_at = _completed_at(its, known, plan.ending, phase, now)
    return Status(
        observed_generation=its.generation,
        phase=phase,
        reason=reason,
        message=message,
        step=_place(known),
        saga_id=known.saga_id,
        correlation_id=(state.correlation_id if state else "") or its.spec.correlation_id or known.saga_id,
        trace_id=trace_of(known.saga_id, state.traceparent) if state and sampled(state.traceparent) else None,
        definition=(state.definition if state else "") or None,
        mode=_mode(state.mode) if state else None,
        start_time=(state.started_at if state else None) or started_at(its),
        deadline=deadline_of(its, known),
        completion_time=completed_at,
        suspended=state.suspended if state else its.spec.suspend and not phase.terminal,
        cancel_refused=_cancel_refused(its, known),
        retries=known.retries,
        observed_retry_token=known.retry_token or its.status.observed_retry_token,
        history=History(service="order", path=f"/sagas/{known.saga_id}/history") if state else None,
        steps=tuple(_steps(known.definition, state)) if state and known.definition else (),
        conditions=_conditions(its, known, plan.ending, phase, reason, message, now),
        transitions=_transitions(its, phase, reason, completed_at or now),
    )


def report_malformed(sentence: str, generation: int, now: datetime, started_at: datetime | None = None) -> Status:
    """Return the status of a resource that means nothing. Its order cannot change, so nothing ever happens to it.

    When something was begun for it is kept, for it tells that.
    """

    def condition(kind: str, truth: Truth, reason: str, message: str = "") -> Condition:
        return Condition(
            type=kind, status=truth, reason=reason, message=message, last_transition_time=now,
            observed_generation=generation,
        )  # fmt: skip

    return Status(
        observed_generation=generation,
        phase=Phase.COMPENSATED,
        reason="Malformed",
        message=sentence,
        start_time=started_at,
        completion_time=now,
        conditions=(
            condition("Succeeded", Truth.FALSE, "Malformed", sentence),
            condition("Finished", Truth.TRUE, "Compensated"),
            condition("Compensated", Truth.TRUE, "NothingToTakeBack"),
            condition("Validated", Truth.FALSE, "Malformed", sentence),
            condition("Stalled", Truth.TRUE, "Malformed", sentence),
        ),
    )


def phase_of(its: OrderSaga, known: Known, ending: Ending | None) -> Phase:
    """Return the phase: the saga's own; without one, Pending until it is known that there never will be one."""
    if ending is not None:
        return Phase.COMPENSATED
    if known.state is not None:
        return known.state.phase
    return Phase(its.status.phase) if its.status.phase and Phase(its.status.phase).terminal else Phase.PENDING


def _why(its: OrderSaga, known: Known, ending: Ending | None, phase: Phase) -> tuple[str, str]:
    """Return why it stands so: a word and a sentence."""
    state = known.state
    if ending is not None:
        return ending.reason, ending.sentence
    if state is None:
        return _why_pending(its, known)
    if phase is Phase.COMPLETED:
        return "Completed", "every step succeeded"
    if phase is Phase.KILLED:
        return "KILLED", "a person ended the saga and left everything as it was"
    if phase is Phase.COMPENSATED:
        return word(state.reason or "UNKNOWN"), _ended_sentence(state)
    if known.trouble:
        return RETRYING, known.trouble
    found = waiting(known.definition, state) if known.definition is not None else None
    if found is None:
        return phase.value, "the order service is to conclude"
    if found.kind is not WaitsFor.ANSWER or state.reason is None:
        return WAITS[found.kind] if state.reason is None else word(state.reason), found.sentence
    return word(state.reason), found.sentence


def _why_pending(its: OrderSaga, known: Known) -> tuple[str, str]:
    if its.spec.saga_ref is not None and known.trouble == "" and known.looked_at is not None:
        return "SagaNotFound", f"the order service has no saga {known.saga_id}; it is looked for again"
    if known.trouble:
        return RETRYING, f"the order is not known to be placed: {known.trouble}"
    if its.spec.suspend and its.spec.saga_ref is None:
        return "Suspended", "suspend is true: the order is placed when it is false"
    if started_at(its) is None and its.spec.saga_ref is None:
        return "NotStarted", "nothing is begun while the platform is being taken away"
    return "Placing", "the order is being placed"


def _ended_sentence(state: SagaState) -> str:
    """Return what was taken back and why, in one line."""
    undone = [name for name, step in state.steps.items() if step.status is Standing.COMPENSATED]
    failed = [(name, step) for name, step in state.steps.items() if step.status.failed]
    why = "; ".join(f"{name} {step.status.value}: {step.reason or step.code or 'no reason'}" for name, step in failed)
    took = f"taken back: {', '.join(undone)}" if undone else "nothing had to be taken back"
    return f"{why or state.reason or 'compensated'}; {took}"


def _completed_at(its: OrderSaga, known: Known, ending: Ending | None, phase: Phase, now: datetime) -> datetime | None:
    if not phase.terminal:
        return None
    if known.state is not None and known.state.ended_at is not None and ending is None:
        return known.state.ended_at
    return its.status.completion_time or now


def _place(known: Known) -> str | None:
    """Return where the saga is, for a column: a step, and its number of how many."""
    saga, state = known.definition, known.state
    if saga is None or state is None:
        return None
    names = [step.name for step in saga.steps]
    done = [step for step in names if state.step(step).status is Standing.SUCCEEDED]
    if state.phase is Phase.COMPLETED:
        return f"{len(names)}/{len(names)}"
    if state.phase is Phase.COMPENSATED:
        return None
    found = waiting(saga, state)
    if found is None or not found.steps:
        return f"{len(done)}/{len(names)}"
    return f"{'+'.join(found.steps)} {names.index(found.steps[0]) + 1}/{len(names)}"[:STEP_TEXT_LENGTH_MAX]


def _cancel_refused(its: OrderSaga, known: Known) -> bool:
    """Tell whether a cancel lost against the pivot: told by the saga's state, or by the order service when asked."""
    state = known.state
    if state is None or not its.spec.cancel or state.phase is Phase.COMPENSATED:
        return False
    if state.phase is Phase.COMPLETED:
        return True
    return Verb.CANCEL in known.declined or (known.definition is not None and pivot_succeeded(known.definition, state))


def _steps(saga: Saga, state: SagaState) -> Iterator[StepStatus]:
    for step in saga.steps:
        known = state.step(step.name)
        acted = known.answered_at is not None and known.status is not Standing.BARRED
        yield StepStatus(
            name=step.name,
            participant=step.participant,
            state=StepState.of(known.status),
            attempts=max(known.attempts, int(acted)),
            start_time=known.asked_at,
            completion_time=known.answered_at,
            reason=word(why) if (why := known.code or known.reason) else None,
            message=known.stuck or known.reason,
            stuck=known.stuck is not None,
            compensation=_compensation(state, step),
        )


def _compensation(state: SagaState, step: Step) -> Compensation | None:
    """Return how the step is taken back, once that has begun."""
    known = state.step(step.name)
    if step.compensation is None or known.status not in (Standing.UNDOING, Standing.COMPENSATED):
        return None
    return Compensation(
        command=step.compensation,
        attempts=max(known.undo_attempts, int(known.undone_at is not None)),
        start_time=known.undo_asked_at,
        completion_time=known.undone_at,
    )


def _conditions(
    its: OrderSaga,
    known: Known,
    ending: Ending | None,
    phase: Phase,
    reason: str,
    message: str,
    now: datetime,
) -> tuple[Condition, ...]:
    """Return the vector of conditions; one whose truth did not change keeps its time."""
    before = {condition.type: condition for condition in its.status.conditions}

    def condition(kind: str, truth: Truth, why: str, said: str = "") -> Condition:
        was = before.get(kind)
        since = was.last_transition_time if was is not None and was.status == truth else now
        return Condition(
            type=kind, status=truth, reason=why, message=said, last_transition_time=since,
            observed_generation=its.generation,
        )  # fmt: skip

    valid = _validity(known, ending, phase)
    timed_out = reason in TIMED_OUT or _aborted_in_time(known.state)
    found = [
        condition("Succeeded", _succeeded(phase), reason, message),
        condition("Finished", _truth(phase.terminal), phase.value if phase.terminal else "InProgress"),
        condition("Compensated", *_compensated(phase, known.state)),
        condition("TimedOut", _truth(timed_out), "DeadlinePassed" if timed_out else "InTime"),
        condition("Validated", valid, *_valid_words(valid, ending)),
    ]
    if phase is Phase.NEEDS_INTERVENTION or (ending is not None and not ending.valid):
        found.append(condition("Stalled", Truth.TRUE, reason, message))
    elif not phase.terminal:
        found.append(condition("Reconciling", Truth.TRUE, reason, message))
    return tuple(found)


def _succeeded(phase: Phase) -> Truth:
    if not phase.terminal:
        return Truth.UNKNOWN
    return _truth(phase is Phase.COMPLETED)


def _compensated(phase: Phase, state: SagaState | None) -> tuple[Truth, str]:
    if phase is Phase.COMPENSATING:
        return Truth.FALSE, "InProgress"
    if phase is not Phase.COMPENSATED:
        return Truth.FALSE, "NotNeeded" if phase is Phase.COMPLETED else "NotAsked"
    undone = state is not None and any(step.status is Standing.COMPENSATED for step in state.steps.values())
    return Truth.TRUE, "TakenBack" if undone else "NothingToTakeBack"


def _validity(known: Known, ending: Ending | None, phase: Phase) -> Truth:
    if ending is not None:
        return _truth(ending.valid)
    return Truth.TRUE if known.state is not None or phase.terminal else Truth.UNKNOWN


def _valid_words(valid: Truth, ending: Ending | None) -> tuple[str, str]:
    if ending is not None and not ending.valid:
        return ending.reason, ending.sentence
    return ("Valid", "") if valid is Truth.TRUE else ("NotYetJudged", "the order service has not seen it yet")


def _aborted_in_time(state: SagaState | None) -> bool:
    return state is not None and state.abort is not None and state.abort.code.value in TIMED_OUT


def _transitions(its: OrderSaga, phase: Phase, reason: str, at: datetime) -> tuple[Transition, ...]:
    """Return the last changes of the phase, with this one when it is a change."""
    before: Sequence[Transition] = its.status.transitions
    if before and before[-1].phase is phase:
        return tuple(before)
    time = at if phase.terminal or not before else _after(before[-1].time, at)
    return (*before, Transition(time=time, phase=phase, reason=reason))[-TRANSITIONS_MAX:]


def _after(before: datetime, at: datetime) -> datetime:
    """Return the time in a second of its own: each transition is known by that, and leaders differ in their clocks."""
    return before + SECOND if -SECOND < before - at < SKEW_MAX else at


def _truth(holds: bool) -> Truth:  # noqa: FBT001 - a condition is what it is about
    return Truth.TRUE if holds else Truth.FALSE


def _mode(mode: Mode) -> SagaMode:
    return SagaMode[mode.name]


def word(reason: str) -> str:
    """Return the reason as one word, as conditions have it: a code as it is, a sentence in CamelCase."""
    if reason and reason[0].isalpha() and reason.replace("_", "").isalnum() and reason.isascii():
        return reason[:REASON_LENGTH_MAX]
    parts = [part for part in NOT_A_WORD.split(reason) if part]
    joined = "".join(part[:1].upper() + part[1:] for part in parts)
    return (joined if joined[:1].isalpha() else f"Reason{joined}")[:REASON_LENGTH_MAX]
