"""New ids in the order of time (UUID version 7, RFC 9562): new beside new, so that few pages are touched."""

from sagakit.ports import Clock

COUNT_MAX = 0xFFF


class TimeOrderedIds:
    """Ids of one process: each is greater than the one before, also when the clock stands still or goes back."""

    def __init__(self, clock: Clock) -> None:
        """Take time and chance from `clock`."""
        self._clock = clock
        self._milliseconds = 0
        self._count = 0

    def new(self) -> str:
        """Return the next id."""
        milliseconds = int(self._clock.now().timestamp() * 1000)
        if milliseconds > self._milliseconds:
            self._milliseconds, self._count = milliseconds, 0
        elif self._count < COUNT_MAX:
            self._count += 1
        else:
            self._milliseconds, self._count = self._milliseconds + 1, 0
        chance = int(self._clock.chance() * 2**53) << 9
        head, tail = f"{self._milliseconds:012x}", f"{(2 << 62) | chance:016x}"
        return f"{head[:8]}-{head[8:]}-7{self._count:03x}-{tail[:4]}-{tail[4:]}"
