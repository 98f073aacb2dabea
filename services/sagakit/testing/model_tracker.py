"""The initiator made of core functions only: it folds answers, sends what is owed, keeps time, and grants wishes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from sagakit.core.contracts import encode_data
from sagakit.core.deadlines import due_at, due_now
from sagakit.core.decide import Answer, Conflict, Wish, abort, ask, close, observe
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
    decode_fact,
    encode_fact,
)
from sagakit.core.messages import Message
from sagakit.core.part import ABORT, KILLED, RESUMED, STUCK, SUSPENDED
from sagakit.core.state import SagaState, evolve, fold
from sagakit.testing.voice import REPAIR_COMMANDS, Voice


class _Said(msgspec.Struct, frozen=True, rename="camel"):
    reason: str = "UNKNOWN"
    barred: bool = False
    step: str = ""
    compensating: bool = False
    resolved_by: ByHand | None = None


@dataclass(slots=True)
class ModelTracker:
    """The initiator of one saga: its facts and, as their fold, its state."""

    voice: Voice
    facts: list[AnyFact] = field(default_factory=list)
    stuck_heard: set[str] = field(default_factory=set)
    state: SagaState = field(init=False)

    def __post_init__(self) -> None:
        """Begin with no fact."""
        self.state = SagaState(saga_id=self.voice.saga_id)

    @property
    def topics(self) -> frozenset[str]:
        """What it listens to: every event of every step."""
        saga = self.voice.saga
        return frozenset(saga.participant(step.participant).events_topic for step in saga.steps)

    def start(self, now: datetime) -> list[Message]:
        """Begin the saga, and return what is said."""
        first = SagaStarted(
            at=now,
            definition=self.voice.saga.ref,
            mode=self.voice.mode,
            correlation_id=self.voice.saga_id,
            deadline=self.voice.deadline,
            input=encode_data({"sagaId": self.voice.saga_id}),
        )
        return self._record(close(self.voice.saga, self.state, [first]), "")

    def take(self, message: Message) -> list[Message]:
        """Take an answer, and return what is said because of it."""
        answer = self._answer(message)
        if answer is None:
            return []
        return self._record(observe(self.voice.saga, self.state, answer), message.id)

    def wish(self, verb: Verb, now: datetime, step: str | None = None) -> list[Message] | Conflict:
        """Grant a person's wish, or say why not."""
        wish = Wish(verb, "operator-1", f"{verb} it", now, step)
        granted = ask(self.voice.saga, self.state, wish)
        return granted if isinstance(granted, Conflict) else self._record(granted, "")

    def due(self) -> datetime | None:
        """Return when the saga is to be asked to abort next."""
        return due_at(self.voice.saga, self.state)

    def look_at_the_clock(self, now: datetime) -> list[Message]:
        """Ask to abort, if that is due."""
        found = due_now(self.voice.saga, self.state, now)
        return self._record(abort(self.state, *found, "deadline scan", now), "") if found else []

    def refolded(self) -> SagaState:
        """Return the state folded anew from the facts as they are stored."""
        stored = [decode_fact(encode_fact(fact)) for fact in self.facts]
        return fold(self.voice.saga, self.voice.saga_id, stored)

    def _record(self, facts: Sequence[AnyFact], cause: str) -> list[Message]:
        said: list[Message] = []
        for fact in facts:
            self.facts.append(fact)
            self.state = evolve(self.voice.saga, self.state, fact)
            for message in self._words(fact, cause):
                said.append(message)
                cause = cause if isinstance(fact, StepAsked) else message.id
        return said

    def _answer(self, message: Message) -> Answer | None:
        at, said = message.time, msgspec.json.decode(message.data, type=_Said)
        if message.type == STUCK:
            news = message.id not in self.stuck_heard
            self.stuck_heard.add(message.id)
            error = "all attempts failed"
            stuck = StepStuck(at=at, step=said.step, compensating=said.compensating, attempts=3, error=error)
            return stuck if news else None
        step = self.voice.step_of(message.type)
        if step is None:
            return None
        if message.type == step.failure:
            return StepFailed(at=at, step=step.name, reason=said.reason, barred=said.barred, data=message.data)
        kind = StepSucceeded if message.type == step.success else StepCompensated
        return kind(at=at, step=step.name, data=message.data, by_hand=said.resolved_by)

    def _words(self, fact: AnyFact, cause: str) -> list[Message]:
        """Return what is to be said because of a fact."""
        saga, say, at = self.voice.saga, self.voice.say, fact.at
        match fact:
            case SagaStarted():
                return [say(saga.started, cause=cause, at=at, data=fact.input)]
            case SagaCompleted():
                return [say(saga.completed, cause=cause, at=at)]
            case SagaCompensated():
                return [say(saga.cancelled, cause=cause, at=at, data={"reason": fact.reason})]
            case StepAsked():
                step = saga.step(fact.step)
                command = step.compensation if fact.compensating else step.command
                assert command is not None, f"{step.name} has no compensation"
                return [say(command, attempt=fact.attempt, cause=cause, at=at)]
            case VerbAsked():
                told = {"step": fact.step, "reason": fact.reason, "requestedBy": fact.actor}
                command = REPAIR_COMMANDS[fact.verb]
                return [say(command, step=fact.step, attempt=fact.attempt, cause=cause, at=at, data=told)]
            case AbortAsked():
                return [say(ABORT, cause=cause, at=at, data={"code": fact.code, "reason": fact.reason})]
            case SagaSuspended():
                return [say(SUSPENDED, attempt=self.state.controls, cause=cause, at=at)]
            case SagaResumed():
                return [say(RESUMED, attempt=self.state.controls, cause=cause, at=at)]
            case SagaKilled():
                killed = say(KILLED, cause=cause, at=at)
                return [killed, say(saga.cancelled, cause=killed.id, at=at, data={"reason": "KILLED"})]
            case _:
                return []
