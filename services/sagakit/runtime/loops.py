"""How loops are kept running: step after step while there is work, a wait when there is none, back-off when it fails.

This is the outermost place: the only one that catches everything. What failed comes again, because nothing was
committed; the failure is logged, counted, and shown by `/readyz` until a step succeeds.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from sagakit.ports import LogUnavailableError, OffsetOutOfRangeError, StoreUnavailableError, TopicRecreatedError
from sagakit.runtime.own_words import OldStoreError

BACKOFF_SECONDS = 0.1
BACKOFF_SECONDS_MAX = 5.0
DRAIN_SECONDS_MAX = 10.0

EXPECTED = (
    StoreUnavailableError,
    LogUnavailableError,
    OffsetOutOfRangeError,
    TopicRecreatedError,
    OldStoreError,
)
"""What the world around a service may do to it: told in a line, without a traceback."""

log_lines = logging.getLogger(__name__)


class Steps(Protocol):
    """A loop as the sum of its steps."""

    @property
    def name(self) -> str:
        """What it is called in logs and in `/readyz`."""

    async def step(self) -> bool:
        """Do one bounded piece of work; tell whether there may be more at once."""


async def turn() -> None:
    """Let others have their turn."""
    await asyncio.sleep(0)


@dataclass
class Loop:
    """One loop: its steps, how it waits when there is nothing to do and goes on when there was, and what is wrong."""

    steps: Steps
    idle: Callable[[], Awaitable[None]]
    go_on: Callable[[], Awaitable[None]] = turn
    trouble: str | None = None
    failures: int = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Step until told to stop; the step under way is finished."""
        while not stop.is_set():
            try:
                more = await self.steps.step()
            except Exception as error:  # noqa: BLE001 - the outermost loop: what failed comes again
                self._failed(error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._backoff())
                continue
            self.trouble = None
            self.failures = 0
            if not more and not stop.is_set():
                await self.idle()
            else:
                await self.go_on()

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self.trouble = f"{self.steps.name}: {error}"
        if isinstance(error, EXPECTED):
            log_lines.warning("%s (again in %.1f s)", self.trouble, self._backoff())
        else:
            log_lines.error("%s failed; it was taken back and comes again", self.steps.name, exc_info=error)

    def _backoff(self) -> float:
        return min(BACKOFF_SECONDS * 2.0 ** min(self.failures - 1, 20), BACKOFF_SECONDS_MAX)


class Bell:
    """Wakes one loop: ringing while nobody waits is remembered."""

    def __init__(self, seconds: float) -> None:
        """Wait at most so long."""
        self._seconds = seconds
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake whoever waits."""
        self._event.set()

    async def wait(self) -> None:
        """Return when rung, or after the time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), self._seconds)
        self._event.clear()


@dataclass
class Runner:
    """The loops of a process, started together and drained together."""

    loops: list[Loop] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def add(
        self, steps: Steps, idle: Callable[[], Awaitable[None]], go_on: Callable[[], Awaitable[None]] = turn
    ) -> Loop:
        """Add a loop; it runs from `start` on."""
        loop = Loop(steps, idle, go_on)
        self.loops.append(loop)
        return loop

    def start(self) -> None:
        """Run every loop as a task."""
        self._tasks = [asyncio.create_task(loop.run(self.stop), name=loop.steps.name) for loop in self.loops]

    async def drain(self) -> None:
        """Let every loop finish its step, in bounded time."""
        self.stop.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=DRAIN_SECONDS_MAX)
            for task in late:
                log_lines.warning("%s did not finish its step in %.0f s", task.get_name(), DRAIN_SECONDS_MAX)
                task.cancel()

    @property
    def troubles(self) -> list[str]:
        """What is wrong now, one sentence each."""
        return [loop.trouble for loop in self.loops if loop.trouble]
