"""The relay publishes what transactions left in the outbox: at least once, in order per key, and only then marks it."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter

from sagakit.ports import Draft, Log, Store
from sagakit.runtime.catalogue import CLIENT_DURATION
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.lease import Lease
from sagakit.runtime.metrics import Distributions

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
        check: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Publish from `store` to `log`; without a lease, where there is one instance or no order matters.

        The witness sees what was published, once it is sure to be there. Nothing is published before `check` has gone
        well once.
        """
        self.name = f"{service} relay"
        self.counts: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        """How many messages were published, by their topic."""
        self.durations = Distributions(CLIENT_DURATION)
        self._store = store
        self._log = log
        self._lease = lease
        self._witness = witness
        self._check = check
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
        if self._check is not None:
            await self._check()
            self._check = None
        failpoint("relay.before_publish")
        drafts = [entry.draft for entry in entries]
        with self._timed({draft.topic for draft in drafts}):
            await self._log.publish(drafts)
        failpoint("relay.after_publish")
        await self._store.published([entry.position for entry in entries])
        failpoint("relay.after_mark")
        self.sent.update(draft.topic for draft in drafts)
        if self._witness is not None:
            self._witness(drafts)
        return True

    @contextmanager
    def _timed(self, topics: set[str]) -> Iterator[None]:
        destination, error_type = topics.pop() if len(topics) == 1 else "", ""
        began = perf_counter()
        try:
            yield
        except Exception as error:
            error_type = type(error).__name__
            raise
        finally:
            self.durations.at("send", destination, error_type).observe(perf_counter() - began, 0.0)
