"""A store that hesitates and fails on the way to the one database of its service."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

from sagakit.adapters.memory import MemoryStore
from sagakit.ports import FencedError, OutboxEntry, Reader, StoreUnavailableError, Transaction
from sagakit.testing.simulation.mishaps import Mishaps
from sagakit.testing.simulation.violation import Violation

T = TypeVar("T")


class FaultyStore:
    """Keeps the promises of `Store`, the disagreeable ones too. `committed` is called after each commit.

    Around each call others may have their turn, and long enough for everything to have changed.
    """

    def __init__(
        self,
        inner: MemoryStore,
        mishaps: Mishaps,
        committed: Callable[[], None],
        progress: dict[tuple[str, str, int], int],
    ) -> None:
        """Reach `inner`, which every process of the service shares, as they share `progress`: the last ever seen."""
        self._progress = progress
        self._inner = inner
        self._mishaps = mishaps
        self._committed = committed

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        await self._reach()
        try:
            value = await self._inner.transact(work)
        except FencedError:
            self._mishaps.seen["fenced"] += 1
            raise
        self._committed()
        self._check_progress()
        await self._mishaps.hesitate()
        return value

    async def view(self, look: Callable[[Reader], Awaitable[T]]) -> T:
        await self._reach()
        return await self._inner.view(look)

    async def outbox(self, limit: int) -> list[OutboxEntry]:
        return await self._inner.outbox(limit)

    async def published(self, positions: Sequence[int]) -> None:
        await self._reach()
        await self._inner.published(positions)

    async def outbox_depth(self) -> int:
        return await self._inner.outbox_depth()

    def on_commit(self, wake: Callable[[], None]) -> None:
        self._inner.on_commit(wake)

    async def prune(self, claimed_before: datetime) -> int:
        return await self._inner.prune(claimed_before)

    async def close(self) -> None:
        """The database outlives every process."""

    def _check_progress(self) -> None:
        """Hold that no group ever goes back: whoever was paused must be fenced."""
        known = self._progress
        for place, offset in self._inner.state.progress.items():
            if offset < known.get(place, 0):
                raise Violation("fence", f"{place} went back from {known[place]} to {offset}")
            known[place] = offset

    async def _reach(self) -> None:
        await self._mishaps.hesitate()
        if self._mishaps.strikes("store_unavailable"):
            raise StoreUnavailableError("the simulated database cannot be reached")
