"""The bank as the payment service meets it: slow, out of reach, silent, or late."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from payment_service.provider import Bank, Charge, NoAnswer, Repayment, Result
from sagakit.testing.simulation import NO_FAULTS
from sagakit.testing.simulation.mishaps import Mishaps

T = TypeVar("T")

SLOW_SECONDS_MAX = 25.0
"""Well beyond the 10 s after which somebody else may ask again."""
LATE_SECONDS_MAX = 30.0
OUTAGE_SECONDS_MAX = 15.0


class FaultyProvider:
    """Keeps the promises of `PaymentProvider`: asked often enough with the same key, it says what happened.

    What lands late is a call whose caller has long been told that nobody answers.
    """

    def __init__(
        self, bank: Bank, mishaps: Mishaps, later: Callable[[float, Callable[[], Awaitable[object]]], None]
    ) -> None:
        """Reach `bank`; `later` lets a call land after so many seconds."""
        self._bank = bank
        self._mishaps = mishaps
        self._later = later
        self._back_at = 0.0

    async def charge(self, charges: Sequence[Charge]) -> list[Result]:
        return await self._call(self._bank.charge, charges)

    async def repay(self, repayments: Sequence[Repayment]) -> list[Result]:
        return await self._call(self._bank.repay, repayments)

    async def _call(self, ask: Callable[[Sequence[T]], Awaitable[list[Result]]], what: Sequence[T]) -> list[Result]:
        strikes, random = self._mishaps.strikes, self._mishaps.random
        if strikes("outage"):
            self._back_at = self._mishaps.clock.seconds + random.random() * OUTAGE_SECONDS_MAX
        if self._mishaps.clock.seconds < self._back_at and self._mishaps.faults is not NO_FAULTS:
            return [NoAnswer("nobody answers at the bank") for _ in what]
        if strikes("call_slow"):
            await self._mishaps.clock.sleep(random.random() * SLOW_SECONDS_MAX)
        if strikes("call_lost"):
            return [NoAnswer("the question was lost") for _ in what]
        if strikes("call_lands_late"):
            self._later(random.random() * LATE_SECONDS_MAX, lambda: ask(what))
            return [NoAnswer("the question is still under way") for _ in what]
        results = await ask(what)
        await self._mishaps.hesitate()
        return [NoAnswer("the answer was lost") if strikes("answer_lost") else result for result in results]
