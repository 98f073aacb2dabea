"""One payment service in the small, stepped by hand: so that what the simulation found can be told in ten lines."""

from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from random import Random
from typing import Any, TypeVar, cast

import msgspec

from onebox.simulation.services import HURRIED, PAYMENT_TABLES
from payment_service.actions import PAYMENTS, Payments, barred
from payment_service.domain import Payment
from payment_service.provider import BANK_TABLES, Bank, BankSettings, Charge, NoAnswer, Operation, Repayment, Result
from sagakit.adapters.memory import MemoryStore
from sagakit.core.definition import Saga
from sagakit.core.facts import StepStatus
from sagakit.core.messages import Message, Mode
from sagakit.runtime.participant import PARTS, Participant
from sagakit.testing.simulation import VirtualClock
from sagakit.testing.voice import Voice
from shop_contracts.catalogue import SHOP
from shop_contracts.order_saga import ORDER_SAGA

T = TypeVar("T")

ORDER = {"orderId": "saga-1", "userId": "ann", "items": [], "total": "9.99", "currency": "USD"}


OLD = 2


class Hold:
    """A call that is under way until it is let go on."""

    def __await__(self) -> Generator["Hold", None, None]:
        yield self


class Line:
    """The line to the bank: `next` says what happens to each of the coming calls; then all goes well."""

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self.next: list[str] = []

    async def charge(self, charges: Sequence[Charge]) -> list[Result]:
        return await self._call(lambda: self.bank.charge(charges), len(charges))

    async def repay(self, repayments: Sequence[Repayment]) -> list[Result]:
        return await self._call(lambda: self.bank.repay(repayments), len(repayments))

    async def _call(self, ask: Callable[[], Awaitable[list[Result]]], count: int) -> list[Result]:
        fate = self.next.pop(0) if self.next else "well"
        if fate == "lost":
            return [NoAnswer("lost")] * count
        if fate.startswith("held before"):
            await Hold()
        if fate == "held before lost":
            return [NoAnswer("lost")] * count
        results = await ask()
        if fate == "held after":
            await Hold()
        return results


class Counter:
    """Payment's share of one order saga, with its bank. Instances 0 and 1 know its definition, `OLD` does not yet."""

    def __init__(self, mode: Mode = Mode.CHOREOGRAPHY) -> None:
        self.clock = VirtualClock(Random(1))
        self.store = MemoryStore(PAYMENT_TABLES)
        self.bank_store = MemoryStore(BANK_TABLES)
        self.line = Line(Bank(self.bank_store, BankSettings(), self.clock))
        self.voice = Voice(HURRIED, mode=mode)
        self.participants = [self._participant(HURRIED), self._participant(HURRIED), self._participant(ORDER_SAGA)]

    def hears(self, *messages: str | Message, instance: int = 0) -> None:
        said = [m if isinstance(m, Message) else self.voice.say(m, data=ORDER, at=self.clock.now()) for m in messages]
        said = [msgspec.structs.replace(m, deadline=None) for m in said]
        participant = self.participants[instance]
        finish(self.store.transact(lambda tx: participant.handle(tx, said, self.clock.now())))
        participant.committed()

    def steps(self, instance: int = 0) -> Coroutine[Any, Any, bool] | None:
        """Step once; returns what is still under way."""
        step = self.participants[instance].step()
        return step if begin(step) else None

    def passes(self, seconds: float) -> None:
        self.clock.pass_by(seconds)

    @property
    def payment(self) -> Payment:
        return finish(self.store.view(lambda reader: reader.load(PAYMENTS, ["saga-1"])))["saga-1"]

    @property
    def status(self) -> StepStatus:
        return finish(self.store.view(lambda reader: reader.load(PARTS, ["saga-1"])))["saga-1"].step("payment").status

    @property
    def said(self) -> list[str]:
        """The types of everything said, in order."""
        return [msgspec.json.decode(entry.draft.headers)["ce_type"] for entry in finish(self.store.outbox(100))]

    @property
    def moved_minor(self) -> int:
        """What the bank has taken, all in all."""
        rows: dict[str, Operation] = self.bank_store.state.rows["operations"]
        return sum(operation.amount_minor for operation in rows.values() if operation.approved)

    def _participant(self, saga: Saga) -> Participant:
        return Participant(
            "payment",
            sagas=[saga],
            actions=Payments(self.line).actions(),
            barred=barred,
            contracts=SHOP,
            store=self.store,
            clock=self.clock,
        )


def begin(call: Coroutine[Any, Any, Any]) -> bool:
    """Go on to the end, or to where it is held; tell whether it is."""
    try:
        call.send(None)
    except StopIteration:
        return False
    return True


def finish(call: Coroutine[Any, Any, T]) -> T:
    """Go on to the end, through every hold, and return what came of it."""
    while True:
        try:
            call.send(None)
        except StopIteration as end:
            return cast("T", end.value)
