"""The tracker folds what participants say into each saga's state; the orchestrator is the same fold, and commands.

It is a handler of the consumer loop on the side of the initiator, and where sagas begin and wishes are granted. All
of it works within a transaction that the caller opened.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec.structs import replace

from sagakit.core.contracts import Contracts, UnreadableError, encode_data
from sagakit.core.deadlines import due_at, due_now
from sagakit.core.decide import Answer, Conflict, Wish, abort, ask, close, observe
from sagakit.core.definition import Saga, Step
from sagakit.core.facts import (
    AbortAsked,
    AnyFact,
    ByHand,
    SagaCompensated,
    SagaCompleted,
    SagaKilled,
    SagaResumed,
    SagaStarted,
    SagaSuspended,
    StepAsked,
    StepCompensated,
    StepFailed,
    StepStuck,
    StepSucceeded,
    Verb,
    VerbAsked,
    encode_fact,
)
from sagakit.core.messages import EMPTY, Message, Mode, message_id
from sagakit.core.part import ABORT, KILLED, REPAIRS, RESUMED, STUCK, SUSPENDED
from sagakit.core.state import SagaState, evolve
from sagakit.core.traces import took
from sagakit.ports import Draft, Query, Table, Transaction
from sagakit.runtime.parking import PARKED, parked, release_started, said_on
from sagakit.runtime.topics import SAGAS_EVENTS, commands_topic
from sagakit.runtime.wire import draft

DEADLINES_PER_SCAN = 1000

SAGAS: Table[SagaState] = Table(
    "sagas",
    SagaState,
    "saga_id",
    (("due_at",), ("phase", "started_at"), ("reason", "phase", "started_at")),
)


class Correlation(msgspec.Struct, frozen=True):
    """Whose correlation id it is, where a saga did not take its own id for it."""

    correlation_id: str
    saga_id: str


CORRELATIONS = Table("correlations", Correlation, "correlation_id")


class Speech(Protocol):
    """The initiator's words: what the saga's own events and commands say."""

    def completed(self, state: SagaState, at: datetime) -> msgspec.Struct:
        """Return the data of the saga's completed event."""

    def cancelled(self, state: SagaState, reason: str, at: datetime) -> msgspec.Struct:
        """Return the data of the saga's cancelled event."""

    def command(self, command: str, saga_input: msgspec.Raw) -> msgspec.Struct:
        """Return the data of a command, made from the saga's input."""


class Change(msgspec.Struct, frozen=True):
    """What one saga went through in this transaction: its state before and after, and the facts between."""

    before: SagaState
    after: SagaState
    facts: tuple[AnyFact, ...]


Projection = Callable[[Transaction, Sequence[Change]], Awaitable[None]]


class StartSaga(msgspec.Struct, frozen=True, kw_only=True):
    """A saga to begin: its id, the fact it begins with, and the message that caused it, if one did."""

    saga_id: str
    fact: SagaStarted
    causation_id: str = ""


class Tracker:
    """The initiator's view of all its sagas."""

    def __init__(
        self,
        initiator: str,
        *,
        sagas: Iterable[Saga],
        speech: Speech,
        contracts: Contracts,
        project: Projection | None = None,
    ) -> None:
        """Take the definitions that this service initiates."""
        self.duplicates: Counter[str] = Counter()
        """How many messages were no news, by their topic."""
        self.sagas: dict[str, Saga] = {}
        self.topics: frozenset[str] = frozenset()
        self._initiator = initiator
        self._speech = speech
        self._contracts = contracts
        self.project = project
        self.traced: Callable[[str, str | None], str | None] | None = None
        """Returns the `traceparent` of a saga that begins, given its caller's; without it, that is the caller's."""
        self._answers: dict[str, dict[str, tuple[Step, str]]] = {}
        self._wanted: set[str] = {STUCK}
        for saga in sagas:
            self.learn(saga)

    def learn(self, saga: Saga) -> None:
        """Follow one more saga."""
        self.sagas[saga.ref] = saga
        answers: dict[str, tuple[Step, str]] = {}
        for step in saga.steps:
            for role in ("success", "failure", "compensated"):
                event = getattr(step, role)
                if event:
                    answers[event] = (step, role)
        self._answers[saga.ref] = answers
        self._wanted |= answers.keys()
        self.topics |= {saga.participant(step.participant).events_topic for step in saga.steps}

    def wants(self, message_type: str) -> bool:
        """Tell whether a message of this type is an answer of some step."""
        return message_type in self._wanted

    def committed(self) -> None:
        """Nothing waits for the commit."""

    def failed(self) -> None:
        """Nothing was kept outside the transaction."""

    async def handle(self, transaction: Transaction, messages: Sequence[Message], now: datetime) -> None:
        """Fold the answers into their sagas, and say what follows."""
        turn = Turn(self, transaction, now)
        await turn.open({message.saga_id for message in messages})
        heard_now = [message for message in messages if self._follows(turn.states.get(message.saga_id))]
        repeated = await _repeated_stucks(transaction, heard_now, now)
        strangers = []
        for message in messages:
            state = turn.states.get(message.saga_id)
            if state is None:
                strangers.append(parked(message, self._came_on(message), message.saga_id, now))
                continue
            saga = self.sagas.get(state.definition)
            if saga is None:  # another instance knows it, and began the saga
                strangers.append(parked(message, "", state.definition, now))
                continue
            answer = None if message.id in repeated else self.interpret(state, message)
            facts = observe(saga, state, answer) if answer else []
            if not facts:
                self.duplicates[self._came_on(message)] += 1
            turn.apply(message.saga_id, facts, message.id)
        if strangers:
            await transaction.save(PARKED, strangers)
        await turn.save()

    def _follows(self, state: SagaState | None) -> bool:
        """Tell whether the saga has begun, by a definition that is known here."""
        return state is not None and state.definition in self.sagas

    def _came_on(self, message: Message) -> str:
        """Return the topic that an answer came on; nothing, when its definition is not known here."""
        saga = self.sagas.get(message.definition)
        return said_on(saga, message) if saga is not None else ""

    async def start(self, transaction: Transaction, starts: Sequence[StartSaga], now: datetime) -> list[SagaState]:
        """Begin these sagas; none of their ids may have begun before."""
        turn = Turn(self, transaction, now)
        for start in starts:
            state = SagaState(saga_id=start.saga_id)
            turn.states[start.saga_id] = state
            fact = start.fact
            if self.traced is not None:
                fact = replace(fact, traceparent=self.traced(start.saga_id, fact.traceparent))
            facts: Sequence[AnyFact] = [fact]
            if fact.mode is Mode.ORCHESTRATION:  # else nobody is owed a command
                facts = close(self.sagas[fact.definition], state, [fact])
            turn.apply(start.saga_id, facts, start.causation_id)
        await turn.save()
        begun = [turn.states[start.saga_id] for start in starts]
        own = [
            Correlation(state.correlation_id, state.saga_id) for state in begun if state.correlation_id != state.saga_id
        ]
        if own:
            await transaction.save(CORRELATIONS, own)
        early = await release_started(transaction, turn.states.keys())
        if early:
            await self.handle(transaction, early, now)
        return begun

    async def wish(
        self,
        transaction: Transaction,
        saga_ids: Sequence[str],
        verb: Verb,
        actor: str,
        reason: str,
        now: datetime,
        step: str | None = None,
    ) -> dict[str, Conflict | SagaState]:
        """Grant a person's wish to each of these sagas, or say why not; an unknown saga is absent from the result."""
        turn = Turn(self, transaction, now)
        await turn.open(saga_ids)
        result: dict[str, Conflict | SagaState] = {}
        for saga_id, state in list(turn.states.items()):
            saga = self.sagas.get(state.definition)
            if saga is None:
                result[saga_id] = Conflict(f"{saga_id}: its definition {state.definition} is not known here")
                continue
            facts = ask(saga, state, Wish(verb, actor, reason, now, step))
            if isinstance(facts, Conflict):
                result[saga_id] = facts
                continue
            turn.apply(saga_id, facts, "")
            result[saga_id] = turn.states[saga_id]
        await turn.save()
        return result

    async def enforce_deadlines(self, transaction: Transaction, now: datetime) -> list[Change]:
        """Ask every saga that is due to abort; returns those asked."""
        due = await transaction.select(SAGAS, Query(by="due_at", below=now, limit=DEADLINES_PER_SCAN))
        turn = Turn(self, transaction, now)
        turn.states = {state.saga_id: state for state in due}
        for state in due:
            saga = self.sagas.get(state.definition)
            reason = due_now(saga, state, now) if saga else None
            if reason is not None:
                code, sentence = reason
                turn.apply(state.saga_id, abort(state, code, sentence, self._initiator, now), "")
        return await turn.save()

    def interpret(self, state: SagaState, message: Message) -> Answer | None:
        """Return what the message says of its saga, as a fact; None when it says nothing to us."""
        if message.type == STUCK:
            return _stuck(self.sagas[state.definition], message)
        found = self._answers[state.definition].get(message.type)
        if found is None:
            return None
        step, role = found
        said = _said(message.data)
        if role == "failure":
            return StepFailed(
                at=message.time,
                step=step.name,
                reason=said.reason,
                code=said.error_code,
                barred=said.barred,
                data=message.data,
            )
        kind = StepSucceeded if role == "success" else StepCompensated
        return kind(at=message.time, step=step.name, data=message.data, by_hand=said.resolved_by)

    def announce(self, saga: Saga, state: SagaState, fact: AnyFact, cause: str) -> tuple[str, Message] | None:
        """Return what is to be said because of a fact, or nothing."""
        topic, kind, step, attempt, data = self._words(saga, state, fact)
        if kind is None:
            return None
        return (
            topic,
            Message(
                id=message_id(state.saga_id, step, kind, attempt),
                type=kind,
                source=self._initiator,
                time=fact.at,
                saga_id=state.saga_id,
                correlation_id=state.correlation_id,
                causation_id=cause,
                mode=state.mode,
                definition=state.definition,
                attempt=attempt,
                data_version=self._contracts.version_of(kind),
                deadline=state.deadline,
                traceparent=state.traceparent,
                took_milliseconds=_took(state, fact),
                data=data,
            ),
        )

    def _words(self, saga: Saga, state: SagaState, fact: AnyFact) -> tuple[str, str | None, str, int, msgspec.Raw]:
        own = saga.initiator.events_topic
        match fact:
            case SagaStarted():
                return own, saga.started, "", 0, fact.input
            case SagaCompleted():
                return own, saga.completed, "", 0, encode_data(self._speech.completed(state, fact.at))
            case SagaCompensated():
                return own, saga.cancelled, "", 0, encode_data(self._speech.cancelled(state, fact.reason, fact.at))
            case StepAsked():
                step = saga.step(fact.step)
                command = step.compensation if fact.compensating else step.command
                assert command is not None, f"{step.name} has no compensation"
                data = encode_data(self._speech.command(command, state.input))
                return commands_topic(step.participant), command, fact.step, fact.attempt, data
            case VerbAsked():
                command = next(name for name, verb in REPAIRS.items() if verb is fact.verb)
                told = {"sagaId": state.saga_id, "step": fact.step, "reason": fact.reason, "requestedBy": fact.actor}
                return (
                    commands_topic(saga.step(fact.step).participant),
                    command,
                    fact.step,
                    fact.attempt,
                    encode_data(told),
                )
            case AbortAsked():
                told = {
                    "sagaId": state.saga_id,
                    "code": fact.code,
                    "reason": fact.reason,
                    "requestedBy": fact.requested_by,
                }
                return SAGAS_EVENTS, ABORT, "", 0, encode_data(told)
            case SagaSuspended() | SagaResumed():
                kind = SUSPENDED if isinstance(fact, SagaSuspended) else RESUMED
                told = {"sagaId": state.saga_id, "reason": fact.reason, "requestedBy": fact.actor}
                return SAGAS_EVENTS, kind, "", state.controls, encode_data(told)
            case SagaKilled():
                told = {"sagaId": state.saga_id, "reason": fact.reason, "requestedBy": fact.actor}
                return SAGAS_EVENTS, KILLED, "", 0, encode_data(told)
            case _:
                return "", None, "", 0, EMPTY


class Turn:
    """One transaction's worth of tracking: states in, facts, states and messages out."""

    def __init__(self, tracker: Tracker, transaction: Transaction, now: datetime) -> None:
        """Begin with no saga."""
        self.states: dict[str, SagaState] = {}
        self._its = tracker
        self._tx = transaction
        self._now = now
        self._before: dict[str, SagaState] = {}
        self._facts: dict[str, list[AnyFact]] = {}
        self._out: list[Draft] = []

    async def open(self, saga_ids: Iterable[str]) -> None:
        """Take these sagas up, as far as they exist."""
        self.states = await self._tx.load(SAGAS, saga_ids)

    def apply(self, saga_id: str, facts: Sequence[AnyFact], cause: str) -> None:
        """Evolve the saga by these facts, and remember what is to be said because of them."""
        if not facts:
            return
        state = self.states[saga_id]
        saga = self._its.sagas[state.definition or _definition(facts)]
        self._before.setdefault(saga_id, state)
        self._facts.setdefault(saga_id, []).extend(facts)
        for fact in facts:
            state = evolve(saga, state, fact)
            if isinstance(fact, Answer):
                continue
            out = self._its.announce(saga, state, fact, cause)
            if out is not None:
                self._out.append(draft(*out))
                cause = cause if isinstance(fact, StepAsked) else out[1].id
            if isinstance(fact, SagaKilled):
                self._out.append(self._cancelled(saga, state, fact))
        due = due_at(saga, state)
        self.states[saga_id] = state if due == state.due_at else replace(state, due_at=due)

    async def save(self) -> list[Change]:
        """Write everything: facts, states, views, and what is to be said."""
        if not self._facts:
            return []
        changes = []
        for saga_id, facts in self._facts.items():
            before = self._before[saga_id]
            await self._tx.append(saga_id, [encode_fact(fact) for fact in facts], before.version, self._now)
            changes.append(Change(before, self.states[saga_id], tuple(facts)))
        await self._tx.save(SAGAS, [change.after for change in changes])
        if self._its.project is not None:
            await self._its.project(self._tx, changes)
        await self._tx.send(self._out)
        return changes

    def _cancelled(self, saga: Saga, state: SagaState, fact: SagaKilled) -> Draft:
        closing = SagaCompensated(at=fact.at, reason="KILLED")
        out = self._its.announce(saga, state, closing, message_id(state.saga_id, "", KILLED))
        assert out is not None, "the end of a saga is always said"
        return draft(*out)


class _Said(msgspec.Struct, frozen=True, rename="camel"):
    """What the tracker reads in the data of any answer."""

    reason: str = "UNKNOWN"
    error_code: str | None = None
    barred: bool = False
    resolved_by: ByHand | None = None


class _StuckSaid(msgspec.Struct, frozen=True, rename="camel"):
    step: str
    compensating: bool
    attempts: int
    error: str


_decode_said = msgspec.json.Decoder(_Said).decode


def _took(state: SagaState, fact: AnyFact) -> int:
    """Return for how many milliseconds the saga had run when it ended, or had been due when it was asked to abort."""
    match fact:
        case SagaCompleted() | SagaCompensated():
            return took(state.started_at, fact.at)
        case AbortAsked():
            return took(state.due_at, fact.at)
        case _:
            return 0


def _said(data: msgspec.Raw) -> _Said:
    return _decode_said(data)


async def _repeated_stucks(transaction: Transaction, messages: Sequence[Message], now: datetime) -> set[str]:
    """Return the ids of StepStuck that were heard before.

    Other answers show by the state whether they are news; of a stuck step, a person may have asked a retry since.
    """
    ids = [message.id for message in messages if message.type == STUCK]
    return set(ids) - await transaction.claim(ids, now) if ids else set()


def _stuck(saga: Saga, message: Message) -> StepStuck:
    said = msgspec.json.decode(message.data, type=_StuckSaid)
    if said.step not in {step.name for step in saga.steps}:
        text = f"{STUCK}: {saga.ref} has no step {said.step!r}"
        raise UnreadableError(text)
    return StepStuck(
        at=message.time, step=said.step, compensating=said.compensating, attempts=said.attempts, error=said.error
    )


def _definition(facts: Sequence[AnyFact]) -> str:
    first = facts[0]
    assert isinstance(first, SagaStarted), "a saga begins by being started"
    return first.definition


__all__ = ["CORRELATIONS", "SAGAS", "Change", "Correlation", "Speech", "StartSaga", "Tracker"]
