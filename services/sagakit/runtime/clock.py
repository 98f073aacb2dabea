"""The clock of a real process."""

import asyncio
import random
from datetime import UTC, datetime


class SystemClock:
    """Time from the operating system, chance from its generator."""

    def now(self) -> datetime:
        """Return the present in UTC."""
        return datetime.now(UTC)

    def chance(self) -> float:
        """Return a number in [0, 1)."""
        return random.random()  # noqa: S311 - jitter and simulated luck, no secrets

    async def sleep(self, seconds: float) -> None:
        """Return after that time."""
        await asyncio.sleep(seconds)
