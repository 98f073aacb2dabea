"""Time that passes only when the scheduler lets it."""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from random import Random

START = datetime(2026, 1, 1, tzinfo=UTC)


class Until:
    """What a coroutine hands to the scheduler when it wants to go on at a certain moment, and not before."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        """Take the moment as seconds since the beginning of the world."""
        self.seconds = seconds

    def __await__(self) -> Generator["Until", None, None]:
        """Hand this over, once."""
        yield self


class VirtualClock:
    """Keeps the promises of `Clock`; `seconds` is the time since the beginning."""

    def __init__(self, random: Random) -> None:
        """Begin at the same moment in every world."""
        self.seconds = 0.0
        self._now = START
        self._random = random

    def now(self) -> datetime:
        return self._now

    def chance(self) -> float:
        return self._random.random()

    async def sleep(self, seconds: float) -> None:
        await Until(self.seconds + seconds)

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
        self._now = START + timedelta(seconds=self.seconds)
