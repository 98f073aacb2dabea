"""Whether something goes wrong now: drawn from the seed, counted, and written into the trace."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from sagakit.testing.simulation.clock import Until, VirtualClock
from sagakit.testing.simulation.faults import NO_FAULTS, Faults

HESITATION_SECONDS_MAX = 0.5
STALL_SECONDS = (3.0, 30.0)
"""Around the times of a lease and of an outside call: some who stall come back in time, most do not."""


@dataclass
class Mishaps:
    """The one source of chance in a world, with its memory: `seen` counts, `trace` tells."""

    random: Random
    clock: VirtualClock
    faults: Faults
    seen: Counter[str] = field(default_factory=Counter)
    trace: list[tuple[float, str, str]] = field(default_factory=list)

    def strikes(self, kind: str) -> bool:
        """Tell whether this kind of fault happens now."""
        rate: float = getattr(self.faults, kind)
        if not rate or self.random.random() >= rate:
            return False
        self.note("fault", kind)
        self.seen[kind] += 1
        return True

    async def hesitate(self) -> None:
        """Let others have a turn before this goes on; sometimes for long."""
        if self.faults is NO_FAULTS:
            return
        draw = self.random.random()
        if draw < self.faults.stall:
            self.seen["stall"] += 1
            await self.stall()
        elif draw < self.faults.stall + self.faults.hesitation:
            await Until(self.clock.seconds + self.random.random() * HESITATION_SECONDS_MAX)

    async def stall(self) -> None:
        """Let so much time go by that others may hold this one for dead."""
        await Until(self.clock.seconds + self.random.uniform(*STALL_SECONDS))

    def note(self, who: str, what: str) -> None:
        """Write a line into the trace."""
        self.trace.append((self.clock.seconds, who, what))

    def calm(self) -> None:
        """Let nothing go wrong any more."""
        self.faults = NO_FAULTS
        self.note("world", "from here on nothing goes wrong any more")

    def lines(self) -> list[str]:
        """Return the trace as text."""
        return [f"{seconds:9.3f}  {who:32} {what}" for seconds, who, what in self.trace]
