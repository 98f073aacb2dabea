"""What a saga waits for, since when and until when: derived from its definition and state, in either mode.

In choreography nobody asked on record, so what is in doubt follows from the definition: everything before the frontier
(the first stage that did not wholly happen) is known, everything behind it has not begun.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sagakit.core.decide import undo_is_owed
from sagakit.core.definition import Group, Saga, Step
from sagakit.core.facts import StepStatus, Verb
from sagakit.core.messages import Mode
from sagakit.core.state import SagaState

REPAIRING = (Verb.RETRY, Verb.SKIP, Verb.MARK_DONE)


class WaitsFor(enum.StrEnum):
    """The kinds of waiting. `ABORT`: it was asked to stop, and somebody has not said yet whether she acted before."""

    ANSWER = "answer"
    COMPENSATION = "compensation"
    ABORT = "abort"
    RESUME = "resume"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a saga waits for: the steps concerned, since when, until when (None: without limit), and what helps."""

    kind: WaitsFor
    steps: tuple[str, ...]
    since: datetime | None
    until: datetime | None
    verbs: tuple[Verb, ...]
    sentence: str
    error: str | None = None


def waiting(saga: Saga, state: SagaState) -> Waiting | None:
    """Return what the saga waits for; None when it has ended and waits for nothing any more."""
    if state.phase.terminal:
        return None
    stuck = [step for step in saga.steps if state.step(step.name).stuck is not None]
    if stuck:
        return _for_a_person(state, stuck)
    number, open_steps = _frontier(saga, state)
    if open_steps:
        return _for_answers(saga, state, number, open_steps)
    owed = [
        (place, step)
        for place, stage in enumerate(saga.stages)
        if undo_is_owed(saga, state, place)
        for step in stage
        if state.step(step.name).status in (StepStatus.SUCCEEDED, StepStatus.UNDOING)
    ]
    return _for_compensation(saga, state, owed) if owed else None


def _frontier(saga: Saga, state: SagaState) -> tuple[int, list[Step]]:
    """Return the first stage that did not wholly happen, and its steps whose answer is not known."""
    for number, stage in enumerate(saga.stages):
        if not all(state.step(step.name).status.happened for step in stage):
            undecided = (StepStatus.IDLE, StepStatus.BEGUN)
            return number, [step for step in stage if state.step(step.name).status in undecided]
    return len(saga.stages), []


def _for_a_person(state: SagaState, stuck: Sequence[Step]) -> Waiting:
    """Return the wait for a person, described by the step that is stuck for the longest."""
    first = min(stuck, key=lambda step: str(state.step(step.name).stuck_at))
    known = state.step(first.name)
    undoing = known.status.happened
    what = f"the compensation {first.compensation}" if undoing else first.command
    attempts = known.undo_attempts if undoing else known.attempts
    sentence = (
        f"step {first.name} is stuck{_since(known.stuck_at)}: {first.participant} gave up {what} "
        f"after {attempts} {_plural('attempt', attempts)} ({known.stuck}); "
        "a person decides: retry, skip or mark-done, or kill to leave everything as it is"
    )
    names = tuple(step.name for step in stuck)
    return Waiting(WaitsFor.PERSON, names, known.stuck_at, None, (*REPAIRING, Verb.KILL), sentence, known.stuck)


def _for_answers(saga: Saga, state: SagaState, number: int, steps: Sequence[Step]) -> Waiting:
    names = tuple(step.name for step in steps)
    joining = any(state.step(step.name).status.failed for step in saga.stages[number])
    may_bar = all(step.can_bar for step in steps)
    begun = all(state.step(name).status is StepStatus.BEGUN for name in names)
    since: datetime | None
    if state.abort is not None and may_bar:
        since = state.abort.at
        sentence = (
            f"was asked to abort ({state.abort.code}){_since(since)}; waits until {_and(names)} "
            f"{_plural('answer', len(names), verb=True)}: done before, or barred for good"
        )
        return Waiting(WaitsFor.ABORT, names, since, None, (), sentence)
    if state.suspended and not begun:
        since = state.suspended_at
        sentence = f"is suspended{_since(since)}: {_and(names)} will not begin until it is resumed"
        return Waiting(WaitsFor.RESUME, names, since, _until(state, steps, None), (Verb.RESUME, Verb.CANCEL), sentence)
    since = _began(saga, state, number, names)
    until = _until(state, steps, since)
    events = " or ".join(event for step in steps for event in (step.success, step.failure) if event)
    sentence = (
        f"waits for {_and(names)} to answer ({events}){_since(since)}"
        f"{'; a sibling failed, and the group joins when all have answered' if joining else ''}"
        f"{_ends(state, until)}"
    )
    verbs = (Verb.CANCEL, Verb.SUSPEND) if may_bar else ()
    return Waiting(WaitsFor.ANSWER, names, since, until, verbs, sentence)


def _for_compensation(saga: Saga, state: SagaState, owed: Sequence[tuple[int, Step]]) -> Waiting:
    names = tuple(step.name for _, step in owed)
    since = min((moment for number, step in owed if (moment := _owed_at(saga, state, number, step))), default=None)
    undone = " and ".join(f"{step.compensation} → {step.compensated}" for _, step in owed)
    sentence = (
        f"compensates ({state.reason or 'UNKNOWN'}): waits for {_and(names)} to be taken back ({undone})"
        f"{_since(since)}; it is tried again until it works or a person is asked"
    )
    return Waiting(WaitsFor.COMPENSATION, names, since, None, (), sentence)


def _began(saga: Saga, state: SagaState, number: int, names: Sequence[str]) -> datetime | None:
    """Return when the steps were asked; where nobody asks, when the last step before them succeeded."""
    asked = [moment for name in names if (moment := state.step(name).asked_at)]
    if state.mode is Mode.ORCHESTRATION and asked:
        return min(asked)
    return _answered(state, saga.stages[number - 1]) if number else state.started_at


def _owed_at(saga: Saga, state: SagaState, number: int, step: Step) -> datetime | None:
    """Return when the compensation was asked; where nobody asks, when what it follows upon was known."""
    known = state.step(step.name)
    if known.undo_asked_at is not None:
        return known.undo_asked_at
    if any(state.step(sibling.name).status.failed for sibling in saga.stages[number]):
        return _answered(state, saga.stages[number])
    return _answered(state, saga.stages[number + 1])


def _answered(state: SagaState, stage: Group) -> datetime | None:
    known = [state.step(step.name) for step in stage]
    return max((moment for step in known if (moment := step.undone_at or step.answered_at)), default=None)


def _until(state: SagaState, steps: Sequence[Step], since: datetime | None) -> datetime | None:
    """Return when it is asked to abort for want of these answers: never, when they come after the pivot."""
    if state.abort is not None or not all(step.can_bar for step in steps):
        return None
    limits = [since + timedelta(seconds=s.timeout_seconds) for s in steps if since is not None and s.timeout_seconds]
    return min([moment for moment in (state.deadline, *limits) if moment is not None], default=None)


def _since(moment: datetime | None) -> str:
    return f" since {moment.isoformat(timespec='milliseconds')}" if moment else ""


def _ends(state: SagaState, until: datetime | None) -> str:
    if until is not None:
        which = "deadline" if until == state.deadline else "time limit"
        return f", until its {which} at {until.isoformat(timespec='milliseconds')}; then it is asked to abort"
    return ", without limit: its pivot has succeeded and it only goes forward" if state.abort is None else ""


def _and(names: Sequence[str]) -> str:
    return " and ".join(names)


def _plural(word: str, count: int, *, verb: bool = False) -> str:
    return word + "s" if (count == 1) == verb else word
