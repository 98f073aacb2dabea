"""Spans that a killed process may have taken with it are told again by the one after it, from what is in the log."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta

from sagakit.ports import Clock, Draft, Log, LogUnavailableError, OffsetOutOfRangeError
from sagakit.runtime.witness import Witness

RETOLD_SECONDS = 60
"""Longer than spans wait to be exported while the collector is well."""
RETOLD_RECORDS_MAX = 500
"""How far it is read back in each partition: this much was said in a minute, or what is older is forgotten."""

AGAIN_SECONDS = 5.0
"""How long it waits for a log that could not be read; for as long as what it tells is from, and no longer."""

log_lines = logging.getLogger(__name__)


class Retelling:
    """A loop of one step, tried again for a while. What cannot be read is not told: traces are worth no failure."""

    def __init__(
        self,
        witness: Witness,
        topics: Callable[[], Iterable[str]],
        log: Log,
        clock: Clock,
        informed: Callable[[], Awaitable[bool]],
    ) -> None:
        """Tell what this service said lately on these topics, once it is informed of which sagas there may be."""
        self.name = f"{witness.service} retelling"
        self._witness = witness
        self._topics = topics
        self._log = log
        self._clock = clock
        self._informed = informed
        self._began: datetime | None = None
        self._done = False

    async def step(self) -> bool:
        """Tell it, unless it is told or given up."""
        if self._done:
            return False
        now = self._clock.now()
        self._began = self._began or now
        if not await self._informed():
            return False
        kept = timedelta(seconds=RETOLD_SECONDS)
        try:
            await self._retell(self._began - kept)
        except (LogUnavailableError, OffsetOutOfRangeError) as error:
            self._done = now >= self._began + kept
            if self._done:
                log_lines.warning("what was said before this start is not in the traces: %s", error)
        else:
            self._done = True
        return False

    async def _retell(self, since: datetime) -> None:
        ends = await self._log.ends(self._topics())
        positions = {place: max(0, end - RETOLD_RECORDS_MAX) for place, end in ends.items() if end}
        positions = {place: offset for place, offset in positions.items() if offset < ends[place]}
        while positions:
            records = await self._log.fetch(positions, RETOLD_RECORDS_MAX)
            for record in records:
                place = (record.topic, record.partition)
                positions[place] = record.offset + 1
                if record.appended_at >= since and record.offset < ends[place]:
                    self._witness.retell(Draft(record.topic, record.key, record.headers, record.value))
            positions = {place: offset for place, offset in positions.items() if offset < ends[place]}
            if not records:
                return
