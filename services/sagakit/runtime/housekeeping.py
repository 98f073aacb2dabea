"""What is forgotten in time: claims of message ids, and what a log keeps for some days only."""

from collections import Counter
from datetime import timedelta

from sagakit.ports import Clock, Log, Store
from sagakit.runtime.topics import commands_topic, dead_letter_topic

KEPT_DAYS = 7
"""Longer than any message can be under way: a claim must outlive the last repetition of its message."""


class Housekeeping:
    """The loop that forgets what one service need not know any more. Event topics keep everything."""

    def __init__(self, service: str, store: Store, log: Log, clock: Clock) -> None:
        """Tidy the store of the service, its commands and its dead letters."""
        self.name = f"{service} housekeeping"
        self.counts: Counter[str] = Counter()
        self._topics = (commands_topic(service), dead_letter_topic(service))
        self._store = store
        self._log = log
        self._clock = clock

    async def step(self) -> bool:
        """Forget what is older than the days it is kept for."""
        before = self._clock.now() - timedelta(days=KEPT_DAYS)
        self.counts["claims"] += await self._store.prune(before)
        for topic in self._topics:
            self.counts["log records"] += await self._log.prune(topic, before)
        return False
