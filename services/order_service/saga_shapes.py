"""What an operator sees of a saga: a line of a list, the whole with what it waits for, and what it went through."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from sagakit.core.decide import cancel_refused
from sagakit.core.definition import Saga, Step
from sagakit.core.facts import AbortCode, AnyFact, Phase, StepStatus, Verb
from sagakit.core.messages import Mode
from sagakit.core.state import SagaState
from sagakit.core.waiting import WaitsFor, waiting
from sagakit.runtime.http.routes import Shape


class SagaLine(Shape, frozen=True, kw_only=True):
    """A saga in a list."""

    saga_id: str
    correlation_id: str
    definition: str
    mode: Mode
    phase: Phase
    suspended: bool
    reason: str | None
    started_at: datetime | None
    deadline: datetime | None
    ended_at: datetime | None
    version: int


class Sagas(Shape, frozen=True, kw_only=True):
    """One page of sagas, the latest begun first."""

    sagas: list[SagaLine]
    next_cursor: str | None
    as_of: datetime


class Undoing(Shape, frozen=True, kw_only=True):
    """How the compensation of a step stands."""

    command: str
    attempts: int
    asked_at: datetime | None
    done_at: datetime | None


class StepShape(Shape, frozen=True, kw_only=True):
    """How one step stands. `inDoubt`: it may have happened, its answer is not known yet."""

    name: str
    participant: str
    kind: str
    command: str
    state: StepStatus
    in_doubt: bool
    attempts: int
    asked_at: datetime | None
    answered_at: datetime | None
    reason: str | None
    code: str | None
    stuck: Annotated[str | None, Meta(description="The last error, when a person must decide.")]
    by_hand: Annotated[str | None, Meta(description="Who answered in the participant's place.")]
    compensation: Undoing | None


class WaitingFor(Shape, frozen=True, kw_only=True):
    """What the saga waits for, since when, and until when (null: without limit)."""

    kind: WaitsFor
    steps: list[str]
    since: datetime | None
    until: datetime | None
    sentence: str
    error: str | None
    verbs: Annotated[list[Verb], Meta(description="The verbs that help now.")]


class AbortShape(Shape, frozen=True, kw_only=True):
    """That the saga was asked to stop, by whom and why."""

    at: datetime
    code: AbortCode
    reason: str
    requested_by: str


class SagaDetail(SagaLine, frozen=True, kw_only=True):
    """A saga, whole. `cancelRefused`: it was asked to stop, and its pivot was faster."""

    definition_version: int
    steps: list[StepShape]
    abort: AbortShape | None
    cancel_refused: bool
    waiting_for: WaitingFor | None
    traceparent: str | None
    as_of: datetime


class VerbDone(Shape, frozen=True, kw_only=True):
    """What a verb did. Without `effect` the saga was already as it should be."""

    saga_id: str
    verb: Verb
    effect: bool
    phase: Phase
    version: int
    sentence: str


class HistoryEntry(Shape, frozen=True, kw_only=True):
    """One fact: its place, when it happened, its name, and what it says."""

    version: int
    at: datetime
    fact: str
    step: str | None
    details: dict[str, Any]


class History(Shape, frozen=True, kw_only=True):
    """One page of what a saga went through, the oldest first."""

    saga_id: str
    facts: list[HistoryEntry]
    next_cursor: str | None


def line_of(state: SagaState) -> SagaLine:
    """Return the saga as a line of a list."""
    return SagaLine(**_line(state))


def saga_detail(saga: Saga, state: SagaState, as_of: datetime) -> SagaDetail:
    """Return the saga, whole."""
    found = waiting(saga, state)
    doubted = found.steps if found and found.kind in (WaitsFor.ANSWER, WaitsFor.ABORT) else ()
    asked = state.abort
    return SagaDetail(
        **_line(state),
        definition_version=saga.version,
        steps=[_step(state, step, in_doubt=step.name in doubted) for step in saga.steps],
        abort=AbortShape(at=asked.at, code=asked.code, reason=asked.reason, requested_by=asked.requested_by)
        if asked
        else None,
        cancel_refused=cancel_refused(saga, state),
        waiting_for=WaitingFor(
            kind=found.kind,
            steps=list(found.steps),
            since=found.since,
            until=found.until,
            sentence=f"{state.saga_id} {found.sentence}",
            error=found.error,
            verbs=list(found.verbs),
        )
        if found
        else None,
        traceparent=state.traceparent,
        as_of=as_of,
    )


def history_of(facts: Sequence[tuple[int, AnyFact]]) -> list[HistoryEntry]:
    """Return facts with their versions as entries of a history."""
    return [
        HistoryEntry(
            version=version,
            at=fact.at,
            fact=type(fact).__name__,
            step=getattr(fact, "step", None),
            details=details_of(fact),
        )
        for version, fact in facts
    ]


def _line(state: SagaState) -> dict[str, Any]:
    return {
        "saga_id": state.saga_id,
        "correlation_id": state.correlation_id,
        "definition": state.definition,
        "mode": state.mode,
        "phase": state.phase,
        "suspended": state.suspended,
        "reason": state.reason,
        "started_at": state.started_at,
        "deadline": state.deadline,
        "ended_at": state.ended_at,
        "version": state.version,
    }


def _step(state: SagaState, step: Step, *, in_doubt: bool) -> StepShape:
    """Return how a step stands. An answer tells of one attempt at least, also where nobody asked on record."""
    known = state.step(step.name)
    acted = known.status is not StepStatus.BARRED and known.answered_at is not None
    compensation = None
    if step.compensation is not None:
        compensation = Undoing(
            command=step.compensation,
            attempts=max(known.undo_attempts, int(known.undone_at is not None)),
            asked_at=known.undo_asked_at,
            done_at=known.undone_at,
        )
    return StepShape(
        name=step.name,
        participant=step.participant,
        kind=step.kind.value,
        command=step.command,
        state=known.status,
        in_doubt=in_doubt,
        attempts=max(known.attempts, int(acted)),
        asked_at=known.asked_at,
        answered_at=known.answered_at,
        reason=known.reason,
        code=known.code,
        stuck=known.stuck,
        by_hand=known.by_hand,
        compensation=compensation,
    )


def details_of(fact: AnyFact) -> dict[str, Any]:
    """Return what the fact says beside its name, its time and its step."""
    kept: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(fact))
    return {_camel(name): value for name, value in kept.items() if name not in ("fact", "at", "step")}


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.title() for word in tail)
