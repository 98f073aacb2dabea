"""Given, when, then: specifications over values, for a saga as a whole and for one participant's part in it.

Every method returns a new scenario, so that one beginning can have many ends:

    a_paid_order = Scenario(ORDER_SAGA).started().when("PaymentCompleted")
    a_paid_order.when("InventoryFailed").then_owes("RefundPayment").then_is(Phase.COMPENSATING)
    a_paid_order.when("InventoryReserved").then_owes("ScheduleShipment")
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from sagakit.core.contracts import encode_data
from sagakit.core.deadlines import due_now
from sagakit.core.decide import Answer, Conflict, Wish, abort, ask, close, observe
from sagakit.core.definition import Saga
from sagakit.core.facts import (
    AbortAsked,
    AbortCode,
    AnyFact,
    Phase,
    SagaStarted,
    StepAsked,
    StepCompensated,
    StepFailed,
    StepStatus,
    StepStuck,
    StepSucceeded,
    Verb,
    VerbAsked,
)
from sagakit.core.messages import EMPTY, Message, Mode
from sagakit.core.part import (
    ABORT,
    Act,
    Declined,
    GaveUp,
    Outcome,
    Part,
    Resolve,
    Say,
    Succeeded,
    Todo,
    Undo,
    answered,
    concerns,
    hear,
    lacks_input,
    new_part,
)
from sagakit.core.reactions import share
from sagakit.core.state import SagaState, fold
from sagakit.testing.voice import T0, Voice


@dataclass(frozen=True, slots=True)
class Scenario:
    """A saga as a whole, as its initiator sees it; with `Mode.ORCHESTRATION`, the commands that are owed as well."""

    saga: Saga
    mode: Mode = Mode.ORCHESTRATION
    facts: tuple[AnyFact, ...] = ()
    news: tuple[AnyFact, ...] = ()
    conflict: str | None = None
    now: datetime = T0

    @property
    def state(self) -> SagaState:
        """What the facts so far amount to."""
        return fold(self.saga, "saga-1", list(self.facts))

    def given(self, *facts: AnyFact) -> Self:
        """Take these facts as having happened."""
        return replace(self, facts=(*self.facts, *facts), news=())

    def started(self) -> Self:
        """Begin the saga."""
        first = SagaStarted(
            at=self.now,
            definition=self.saga.ref,
            mode=self.mode,
            correlation_id="saga-1",
            deadline=self.now + timedelta(seconds=self.saga.timeout_seconds),
            input=encode_data({"sagaId": "saga-1"}),
        )
        return self._with(close(self.saga, self.state, [first]))

    def when(self, *seen: str | Answer) -> Self:
        """Let participants answer: an event of the definition by its name, or a fact with all its words."""
        after, news = self, list[AnyFact]()
        for item in seen:
            fact = self._answer(item) if isinstance(item, str) else item
            after = after._with(observe(after.saga, after.state, fact))
            news += after.news
        return replace(after, news=tuple(news))

    def wishes(self, verb: Verb, *, step: str | None = None, actor: str = "operator-1", reason: str = "asked") -> Self:
        """Let a person ask something of the saga."""
        result = ask(self.saga, self.state, Wish(verb, actor, reason, self.now, step))
        if isinstance(result, Conflict):
            return replace(self, news=(), conflict=result.sentence)
        return self._with(result)

    def after(self, seconds: float) -> Self:
        """Let time pass, and whoever keeps time look."""
        now = self.now + timedelta(seconds=seconds)
        found = due_now(self.saga, self.state, now)
        asked = self._with(abort(self.state, *found, "deadline scan", now) if found else [])
        return replace(asked, now=now)

    def then_owes(self, *commands: str) -> Self:
        """Check which commands the last event brought about: these, in this order, and no other."""
        owed = tuple(self._command(fact) for fact in self.news if isinstance(fact, StepAsked))
        assert owed == commands, f"owed {owed}, expected {commands}"
        return self

    def then_is(self, phase: Phase, reason: str | None = None) -> Self:
        """Check where the saga stands, and the reason it reports, when one is given."""
        state = self.state
        assert state.phase is phase, f"the saga is {state.phase}, expected {phase}"
        assert reason is None or state.reason == reason, f"it reports {state.reason!r}, expected {reason!r}"
        return self

    def then_step_is(self, step: str, status: StepStatus) -> Self:
        """Check where one step stands."""
        found = self.state.step(step).status
        assert found is status, f"{step} is {found}, expected {status}"
        return self

    def then_asks_to_abort(self, code: AbortCode) -> Self:
        """Check that the last event asked every participant to abort, for this reason."""
        codes = [fact.code for fact in self.news if isinstance(fact, AbortAsked)]
        assert codes == [code], f"asked to abort: {codes}, expected {code}"
        return self

    def then_tells_the_participant(self, verb: Verb, *steps: str) -> Self:
        """Check that the person's decision was passed on to the participants of these steps."""
        told = [(fact.verb, fact.step) for fact in self.news if isinstance(fact, VerbAsked)]
        assert told == [(verb, step) for step in steps], f"told {told}, expected {verb} for {steps}"
        return self

    def then_nothing_happened(self) -> Self:
        """Check that the last event was no news, and that nobody was told off for it."""
        assert not self.news, f"happened: {self.news}"
        assert self.conflict is None, f"refused: {self.conflict}"
        return self

    def then_conflicts(self, words: str) -> Self:
        """Check that the wish was refused, with a sentence that has these words."""
        assert self.conflict is not None, f"it was granted: {self.news}"
        assert words in self.conflict, f"{self.conflict!r} does not say {words!r}"
        return self

    def _with(self, news: Sequence[AnyFact]) -> Self:
        return replace(self, facts=(*self.facts, *news), news=tuple(news), conflict=None)

    def _command(self, asked: StepAsked) -> str | None:
        step = self.saga.step(asked.step)
        return step.compensation if asked.compensating else step.command

    def _answer(self, event: str) -> Answer:
        step = Voice(self.saga).step_of(event)
        assert step is not None, f"{self.saga.ref} has no event {event!r}"
        if event == step.success:
            return StepSucceeded(at=self.now, step=step.name)
        if event == step.failure:
            return StepFailed(at=self.now, step=step.name, reason=f"{step.name} refused")
        assert event == step.compensated, f"{event!r} is a command; a saga sees events"
        return StepCompensated(at=self.now, step=step.name)

    def stuck(self, step: str, *, compensating: bool = False) -> Self:
        """Let the step's participant give up."""
        fact = StepStuck(at=self.now, step=step, compensating=compensating, attempts=8, error="it does not work")
        return self._with(observe(self.saga, self.state, fact))


@dataclass(frozen=True, slots=True)
class PartScenario:
    """One participant's part in a saga: what it hears, what it does, what it says.

    `waiting` is what could not be heard yet, because the saga's beginning has not come.
    """

    saga: Saga
    participant: str
    mode: Mode = Mode.CHOREOGRAPHY
    part: Part | None = None
    todo: tuple[Todo, ...] = ()
    waiting: tuple[Message, ...] = ()
    now: datetime = T0

    def hears(self, *kinds: str, attempt: int = 0) -> Self:
        """Let it hear these messages, by their types."""
        return self.takes(*(self._voice.say(kind, attempt=attempt) for kind in kinds))

    def hears_abort(self, code: AbortCode = AbortCode.CANCELLED) -> Self:
        """Let it be asked to abort."""
        return self.takes(self._voice.say(ABORT, data={"code": code, "reason": "asked", "requestedBy": "operator-1"}))

    def hears_repair(self, verb: Verb, step: str, attempt: int = 0) -> Self:
        """Let a person decide about one of its steps."""
        return self.takes(self._voice.repair(verb, step, attempt))

    def takes(self, *messages: Message) -> Self:
        """Let it take these messages as they are."""
        after, todo = self, list[Todo]()
        for message in messages:
            after = after._take(message)
            todo += after.todo
        return replace(after, todo=tuple(todo))

    def after(self, seconds: float) -> Self:
        """Let time pass."""
        return replace(self, now=self.now + timedelta(seconds=seconds), todo=())

    def succeeds(self, step: str | None = None) -> Self:
        """Let the pending action, or compensation, take effect."""
        return self._answers(step, Succeeded(EMPTY))

    def refuses(self, step: str | None = None) -> Self:
        """Let the pending action be refused by the business."""
        return self._answers(step, Declined(EMPTY))

    def gives_up(self, step: str | None = None) -> Self:
        """Let the attempts at the pending action, or compensation, be used up."""
        return self._answers(step, GaveUp(EMPTY))

    def then_does(self, *commands: str) -> Self:
        """Check what it carries out now: these commands and compensations, in this order, and no other."""
        done = tuple(self._command(item) for item in self.todo if isinstance(item, Act | Undo))
        assert done == commands, f"does {done}, expected {commands}"
        return self

    def then_says(self, *events: str) -> Self:
        """Check what it publishes now: these events, in this order, and no other."""
        said = tuple(item.event for item in self.todo if isinstance(item, Say))
        assert said == events, f"says {said}, expected {events}"
        return self

    def then_says_again(self, event: str, attempt: int) -> Self:
        """Check that it answers a command of that attempt with what it had said before."""
        said = [(item.event, item.attempt) for item in self.todo if isinstance(item, Say)]
        assert said == [(event, attempt)], f"says {said}, expected {(event, attempt)}"
        return self

    def then_nothing_happened(self) -> Self:
        """Check that there is nothing to do and nothing to say."""
        assert not self.todo, f"to do: {self.todo}"
        return self

    def then_waits_for_the_beginning(self) -> Self:
        """Check that the last message is kept until the saga's beginning is heard."""
        assert self.waiting, "nothing waits"
        return self.then_nothing_happened()

    def then_step_is(self, step: str, status: StepStatus) -> Self:
        """Check where one of its steps stands."""
        assert self.part is not None, "nothing was heard"
        found = self.part.step(step).status
        assert found is status, f"{step} is {found}, expected {status}"
        return self

    def then_nothing_is_taken_back(self, step: str) -> Self:
        """Check that the compensation asked for knows that the action never took effect."""
        undone = [item.happened for item in self.todo if isinstance(item, Undo) and item.step == step]
        assert undone == [False], f"{step}: {undone}"
        return self

    def then_is_resolved_by_hand(self, step: str, verb: Verb) -> Self:
        """Check that a person's decision is put on record, with who and why."""
        found = [(i.step, i.by_hand.verb) for i in self.todo if isinstance(i, Resolve) and i.by_hand.actor]
        assert found == [(step, verb)], f"by hand: {found}"
        return self

    @property
    def _voice(self) -> Voice:
        return Voice(self.saga, mode=self.mode)

    def _take(self, message: Message) -> Self:
        known = share(self.saga, self.participant)
        if not concerns(known, message):
            return replace(self, todo=())
        if lacks_input(known, self.part, message):
            return replace(self, todo=(), waiting=(*self.waiting, message))
        part, todo = hear(known, self.part or new_part(message), message, self.now)
        after = replace(self, part=part, todo=tuple(todo))
        if message.type != self.saga.started or not self.waiting:
            return after
        later = replace(after, waiting=()).takes(*self.waiting)
        return replace(later, todo=(*todo, *later.todo))

    def _answers(self, step: str | None, outcome: Outcome) -> Self:
        assert self.part is not None, "nothing was heard"
        pending = [name for name, known in self.part.steps.items() if known.pending and step in (None, name)]
        assert len(pending) == 1, f"pending: {pending}; say which one answers"
        name = pending[0]
        cause = self.part.step(name).cause
        part, todo = answered(share(self.saga, self.participant), self.part, name, cause, outcome, self.now)
        return replace(self, part=part, todo=tuple(todo))

    def _command(self, item: Act | Undo) -> str | None:
        step = self.saga.step(item.step)
        return step.command if isinstance(item, Act) else step.compensation
