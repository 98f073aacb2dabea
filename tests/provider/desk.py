"""The adapter as the service has it, in front of a server, with a clock whose waiting costs no time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from tests.provider.books import SECRET
from tests.provider.server import Server
from tests.unit.http.services import HandClock

from payment_service.calling import CallSettings
from payment_service.http_provider import INTENTS, HttpProvider
from payment_service.provider import Charge, NoAnswer, Repayment, Result
from sagakit.adapters.memory import MemoryStore

ASKS_MAX = 5
PAUSE = timedelta(seconds=11)
"""Longer than the circuit breaker's."""
READ_SECONDS = 0.25


def charge(
    order_id: str = "order-1", *, user_id: str = "ann", amount_minor: int = 1050, currency: str = "USD"
) -> Charge:
    return Charge(f"charge-of-{order_id}", order_id, user_id, amount_minor, currency)


def repayment(order_id: str = "order-1", *, charged: bool = False) -> Repayment:
    return Repayment(f"refund-of-{order_id}", f"charge-of-{order_id}", charged)


class Desk:
    """Asks as the participant does: one at a time, again while there is no answer, and not for ever."""

    def __init__(self, server: Server, provider: HttpProvider, vault: MemoryStore, clock: HandClock) -> None:
        self.server = server
        self.books = server.books
        self.provider = provider
        self.vault = vault
        self.clock = clock

    async def charge(self, one: Charge | None = None) -> Result:
        (result,) = await self.provider.charge([one or charge()])
        return result

    async def repay(self, one: Repayment | None = None) -> Result:
        (result,) = await self.provider.repay([one or repayment()])
        return result

    async def charge_until_answered(self, one: Charge | None = None) -> Result:
        for _ in range(ASKS_MAX):
            if not isinstance(result := await self.charge(one), NoAnswer):
                return result
            self.clock.moment += PAUSE
        raise AssertionError(result)

    async def repay_until_answered(self, one: Repayment | None = None) -> Result:
        for _ in range(ASKS_MAX):
            if not isinstance(result := await self.repay(one), NoAnswer):
                return result
            self.clock.moment += PAUSE
        raise AssertionError(result)


@asynccontextmanager
async def desk_at(
    server: Server, vault: MemoryStore | None = None, *, total_seconds: float = 7.5, key: str = SECRET, **more: float
) -> AsyncIterator[Desk]:
    """Open the adapter, and close it."""
    store, clock = vault or MemoryStore([INTENTS]), HandClock()
    settings = replace(CallSettings(server.url, key, read_seconds=READ_SECONDS), **more)  # type: ignore[arg-type]
    provider = HttpProvider(store, settings, clock, payment_method="pm_card_{user_id}", total_seconds=total_seconds)
    try:
        yield Desk(server, provider, store, clock)
    finally:
        await provider.close()
