"""In a steady flow of small batches a consumer pauses, so that the next is larger; nobody else is kept waiting."""

from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from tests.unit.http.services import HandClock
from typing_extensions import override

from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.runtime.consumer import Consumer
from sagakit.runtime.service import GATHER_SECONDS, KIT_TABLES, STEADY_BATCHES, STEADY_SECONDS, Service
from shop_contracts.catalogue import SHOP


@dataclass
class Handled:
    """A consumer, as far as its last batch is concerned."""

    sparse: bool = True


class Noting(HandClock):
    """A clock that notes for how long somebody slept."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    @override
    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await super().sleep(seconds)


class Flow:
    """Batches at a steady pace, and how long the consumer paused behind each."""

    def __init__(self) -> None:
        self.clock = Noting()
        self.consumer = Handled()
        store, log = MemoryStore(KIT_TABLES), MemoryLog(self.clock)
        service = Service("order", "", 0, store, log, SHOP, self.clock)
        self._go_on = service._gathering(cast("Consumer", self.consumer))

    async def paused(self, batches: int, pace_seconds: float) -> list[float]:
        self.clock.slept.clear()
        for _ in range(batches):
            self.clock.moment += timedelta(seconds=pace_seconds)
            await self._go_on()
        return self.clock.slept


async def test_a_few_batches_are_followed_at_once() -> None:
    assert await Flow().paused(STEADY_BATCHES, 0.001) == []


async def test_a_slow_flow_is_followed_at_once() -> None:
    pace = STEADY_SECONDS / STEADY_BATCHES
    assert await Flow().paused(5 * STEADY_BATCHES, pace) == []


async def test_a_steady_flow_of_small_batches_gathers() -> None:
    flow = Flow()
    await flow.paused(STEADY_BATCHES, 0.001)
    assert await flow.paused(10, 0.001) == [GATHER_SECONDS] * 10


async def test_large_batches_are_followed_at_once_however_steady() -> None:
    flow = Flow()
    flow.consumer.sparse = False
    assert await flow.paused(5 * STEADY_BATCHES, 0.001) == []
