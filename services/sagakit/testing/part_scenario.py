"""Given, when, then: specifications over values, for one participant's part in a saga.

Every method returns a new scenario, so that one beginning can have many ends:

    paid = PartScenario(ORDER_SAGA, "payment").hears("OrderCreated").then_does("ChargePayment").succeeds()
    paid.then_says("PaymentCompleted").hears("InventoryFailed").then_does("RefundPayment")
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from sagakit.core.definition import Saga
from sagakit.core.facts import (
    AbortCode,
    StepStatus,
    Verb,
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
from sagakit.testing.voice import T0, Voice


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
