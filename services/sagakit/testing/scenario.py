"""Given, when, then: specifications over values, for a saga as a whole.

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
from sagakit.core.messages import Mode
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
