"""The relay publishes what transactions left in the outbox: at least once, in order per key, and only then marks it."""

from collections import Counter

from sagakit.ports import Log, Store
from sagakit.runtime.failpoints import failpoint

BATCH_MESSAGES_MAX = 2000


class Relay:
    """The one publisher of a service's outbox."""

    def __init__(self, service: str, store: Store, log: Log) -> None:
        """Publish from `store` to `log`."""
        self.name = f"{service} relay"
        self.counts: Counter[str] = Counter()
        self._store = store
        self._log = log

    async def step(self) -> bool:
        """Publish one batch; tell whether there was anything."""
        entries = await self._store.outbox(BATCH_MESSAGES_MAX)
        if not entries:
            return False
        failpoint("relay.before_publish")
        await self._log.publish([entry.draft for entry in entries])
        failpoint("relay.after_publish")
        await self._store.published([entry.position for entry in entries])
        failpoint("relay.after_mark")
        self.counts["published"] += len(entries)
        return True
