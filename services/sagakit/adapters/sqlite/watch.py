"""How a waiting consumer hears of a publication: at once from its own process, by looking now and then from others."""

import asyncio
from collections.abc import Callable

from sagakit.adapters.sqlite.reading import Version
from sagakit.ports import LogUnavailableError

LOOK_SECONDS_MIN = 0.002
LOOK_SECONDS_MAX = 0.02


class Watch:
    """Waiters of one event loop, and the one task that looks on behalf of them all."""

    def __init__(self, version: Callable[[], Version]) -> None:
        """Watch what changes when anybody commits."""
        self._version = version
        self._seen: Version | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def saw(self, version: Version) -> None:
        """Wake everybody who waits, when this version is news."""
        if version != self._seen:
            self._seen = version
            self.ring()

    def ring(self) -> None:
        """Wake everybody who waits."""
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Return when rung, when a commit is seen that nobody has seen yet, or after the time."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiters.add(waiter)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._look())
        timer = loop.call_later(seconds, _wake, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiters.discard(waiter)

    async def close(self) -> None:
        """Wake everybody and look no more."""
        self.ring()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _look(self) -> None:
        pause = LOOK_SECONDS_MIN
        try:
            while self._waiters:
                self.saw(self._version())
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, LOOK_SECONDS_MAX)
        except LogUnavailableError:
            self.ring()  # whoever is woken fetches, and hears of it


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
