"""A token bucket: so many acts at once, so many per second after that."""

import asyncio
import time
from collections.abc import Callable


class Pace:
    """Whoever takes a token may act; takers are served in the order in which they came. `waiting` is how many wait."""

    def __init__(self, per_second: float, burst: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin with a full bucket."""
        self._per_second, self._burst = per_second, float(burst)
        self._monotonic = monotonic
        self._tokens, self._at = float(burst), monotonic()
        self._turn = asyncio.Lock()
        self.waiting = 0

    async def take(self) -> None:
        """Return when the caller may act."""
        self.waiting += 1
        try:
            async with self._turn:
                missing = 1.0 - self._fill()
                if missing > 0:
                    await asyncio.sleep(missing / self._per_second)
                    self._fill()
                self._tokens -= 1.0
        finally:
            self.waiting -= 1

    def _fill(self) -> float:
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        return self._tokens
