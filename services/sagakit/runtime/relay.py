"""The relay publishes what transactions left in the outbox: at least once, in order per key, and only then marks it."""

from collections import Counter
from collections.abc import Callable, Iterable

from sagakit.ports import Draft, Log, Store
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.lease import Lease

BATCH_MESSAGES_MAX = 2000


class Relay:
    """The publisher of a service's outbox; of several instances, the one that holds the lease publishes for all.

    Two at once would publish the messages of one key in any order.
    """

    def __init__(
        self,
        service: str,
        store: Store,
        log: Log,
        lease: Lease | None = None,
        witness: Callable[[Iterable[Draft]], None] | None = None,
    ) -> None:
        """Publish from `store` to `log`; without a lease, where there is one instance or no order matters.

        The witness sees what was published, once it is sure to be there.
        """
        self.name = f"{service} relay"
        self.counts = Counter({"published": 0})
        self._store = store
        self._log = log
        self._lease = lease
        self._witness = witness
        self.leads = lease is None
        """True while this instance publishes for all."""

    async def step(self) -> bool:
        """Publish one batch; tell whether there was anything."""
        if self._lease is not None:
            self.leads = await self._lease.held()
        if not self.leads:
            return False
        entries = await self._store.outbox(BATCH_MESSAGES_MAX)
        if not entries:
            return False
        failpoint("relay.before_publish")
        await self._log.publish([entry.draft for entry in entries])
        failpoint("relay.after_publish")
        await self._store.published([entry.position for entry in entries])
        failpoint("relay.after_mark")
        self.counts["published"] += len(entries)
        if self._witness is not None:
            self._witness(entry.draft for entry in entries)
        return True
