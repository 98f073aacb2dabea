"""What is known of the saga of each resource: folded from what is said in the log, or told by the order service.

The same answers may come from both, twice and in any order across topics: a step only ever moves on. Nothing here
decides, and no IO is done.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NoReturn

import msgspec
from msgspec.structs import replace

from sagakit.core.contracts import UnreadableError
from sagakit.core.decide import observe
from sagakit.core.definition import Saga
from sagakit.core.facts import (
    AbortAsked,
    AnyFact,
    Phase,
    SagaCompensated,
    SagaCompleted,
    SagaKilled,
    SagaResumed,
    SagaSuspended,
    StepStatus,
)
from sagakit.core.messages import Message
from sagakit.core.part import ABORT, KILLED, RESUMED, SUSPENDED, Abort
from sagakit.core.state import SagaState, StepState, evolve
from sagakit.runtime.tracker import Tracker
from shop_contracts.catalogue import SHOP
from shop_contracts.order_saga import ORDER_SAGA

_RANKS = {
    StepStatus.IDLE: 0,
    StepStatus.BEGUN: 1,
    StepStatus.SUCCEEDED: 2,
    StepStatus.REFUSED: 2,
    StepStatus.BARRED: 2,
    StepStatus.UNDOING: 3,
    StepStatus.COMPENSATED: 4,
}
KILLED_REASON = "KILLED"


class UnknownDefinitionError(LookupError):
    """The saga runs by a definition that is not known here yet. It comes with the topic of definitions; try again."""


class _Told(msgspec.Struct, frozen=True, rename="camel"):
    """What a person's word to all participants says, and what an order's end says."""

    reason: str = ""
    requested_by: str = ""


class Sagas:
    """The fold of the messages of sagas, by the definitions known."""

    def __init__(self, definitions: Iterable[Saga] = (ORDER_SAGA,)) -> None:
        """Know these definitions from the beginning."""
        self._answers = Tracker("operator", sagas=definitions, speech=_Mute(), contracts=SHOP)

    @property
    def definitions(self) -> dict[str, Saga]:
        """What is known, by its ref."""
        return self._answers.sagas

    def learn(self, saga: Saga) -> None:
        """Know one more definition."""
        self._answers.learn(saga)

    def definition(self, ref: str) -> Saga:
        """Return the definition of that ref.

        Raises:
            UnknownDefinitionError: when there is none yet.
        """
        try:
            return self.definitions[ref]
        except KeyError:
            raise UnknownDefinitionError(f"the definition {ref} is not known here yet") from None

    def hear(self, state: SagaState | None, message: Message) -> SagaState:
        """Return what is known after this message; the very same state when it is no news.

        Raises:
            UnknownDefinitionError: when the saga's definition is not known yet.
            UnreadableError: when the message says nothing that can be read.
        """
        saga = self.definition(message.definition)
        before = state or _begun(message)
        if message.type == saga.started:
            return before if before.started_at is not None else replace(before, started_at=message.time)
        try:
            facts = self._facts(saga, before, message)
        except msgspec.DecodeError as error:
            raise UnreadableError(f"{message.type}: {error}") from error
        after = before
        for fact in facts:
            after = replace(evolve(saga, after, fact), version=before.version, controls=_controls(before, message))
        return before if after == before else after

    def proves(self, message: Message) -> bool:
        """Tell whether this is said only of a saga that has begun.

        A request to abort may come from us, about an order that was never placed, and a participant bars itself for it.
        """
        saga = self.definitions.get(message.definition)
        return message.type != ABORT and not _fails(saga, message)

    def _facts(self, saga: Saga, state: SagaState, message: Message) -> list[AnyFact]:
        """Return what the message adds; an answer that is news brings no conclusions here, for those are heard too.

        The end may be heard before what led to it, because there is no order across topics: the steps are completed.
        """
        if message.type == saga.completed:
            return [] if state.phase.terminal else [SagaCompleted(at=message.time)]
        if message.type == saga.cancelled:
            return [] if state.phase.terminal else [_cancelled(message)]
        if message.type in _CONTROLS:
            return [] if state.phase.terminal else _control(state, message)
        answer = self._answers.interpret(state, message)
        return list(observe(saga, replace(state, phase=Phase.RUNNING), answer)[:1]) if answer is not None else []


def merged(known: SagaState | None, told: SagaState, at: datetime) -> SagaState:
    """Return what is known when the order service told this at that time: each step as far as either has it.

    The service knows what people asked and what it decided; the log may be ahead of it in what participants said.
    """
    if known is None or told.phase.terminal:
        return told
    if known.phase.terminal:
        return known
    steps = {name: _further(known.step(name), told.step(name), at) for name in {**told.steps, **known.steps}}
    return replace(
        told,
        steps=steps,
        phase=_phase(steps.values()),
        abort=told.abort or known.abort,
        reason=told.reason or known.reason,
        controls=max(known.controls, told.controls),
    )


def _phase(steps: Iterable[StepState]) -> Phase:
    """Return the phase that the steps of a saga amount to that has not ended."""
    phase = Phase.PENDING
    for step in steps:
        if step.stuck is not None:
            return Phase.NEEDS_INTERVENTION
        if step.status.settled or step.status is StepStatus.UNDOING:
            phase = Phase.COMPENSATING
        elif step.status is not StepStatus.IDLE and phase is Phase.PENDING:
            phase = Phase.RUNNING
    return phase


def _further(known: StepState, told: StepState, at: datetime) -> StepState:
    """Return the step of which more is known. Of a stuck one the service knows whether somebody helped since."""
    if _RANKS[known.status] > _RANKS[told.status]:
        return known
    if known.stuck is not None and told.stuck is None and known.stuck_at is not None and known.stuck_at > at:
        return replace(told, stuck=known.stuck, stuck_at=known.stuck_at)
    return told


def _fails(saga: Saga | None, message: Message) -> bool:
    return saga is not None and any(step.failure == message.type for step in saga.steps)


def _begun(message: Message) -> SagaState:
    """Return what any message of a saga tells of the saga as a whole."""
    return SagaState(
        saga_id=message.saga_id,
        definition=message.definition,
        mode=message.mode,
        correlation_id=message.correlation_id,
        traceparent=message.traceparent,
        deadline=message.deadline,
    )


def _cancelled(message: Message) -> SagaCompensated | SagaKilled:
    reason = _told(message).reason
    if reason == KILLED_REASON:
        return SagaKilled(at=message.time, actor="", reason=reason)
    return SagaCompensated(at=message.time, reason=reason)


def _control(state: SagaState, message: Message) -> list[AnyFact]:
    """Return a word to all participants as a fact. Suspensions are numbered, and an older one is no news."""
    if message.type == ABORT:
        if state.abort is not None:
            return []
        said = msgspec.json.decode(message.data, type=Abort)
        return [AbortAsked(at=message.time, code=said.code, reason=said.reason, requested_by=said.requested_by)]
    told = _told(message)
    if message.type == KILLED:
        return [SagaKilled(at=message.time, actor=told.requested_by, reason=told.reason)]
    if message.attempt <= state.controls:
        return []
    kind = SagaSuspended if message.type == SUSPENDED else SagaResumed
    return [kind(at=message.time, actor=told.requested_by, reason=told.reason)]


def _controls(state: SagaState, message: Message) -> int:
    """Return the number of the last suspension or resumption heard: what else is counted so is not heard here."""
    return max(state.controls, message.attempt) if message.type in (SUSPENDED, RESUMED) else state.controls


def _told(message: Message) -> _Told:
    return msgspec.json.decode(message.data, type=_Told)


_CONTROLS = frozenset({ABORT, KILLED, SUSPENDED, RESUMED})


class _Mute:
    """The operator speaks for no saga: nothing is ever announced through its tracker."""

    def completed(self, state: SagaState, at: datetime) -> NoReturn:
        raise NotImplementedError

    def cancelled(self, state: SagaState, reason: str, at: datetime) -> NoReturn:
        raise NotImplementedError

    def command(self, command: str, saga_input: msgspec.Raw) -> NoReturn:
        raise NotImplementedError
