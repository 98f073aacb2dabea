"""Messages that were parked for want of their definition, heard once it is known: here, or by whoever parked them."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta

from sagakit.core.messages import Message
from sagakit.ports import Clock, Reader, Store, Transaction
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.parking import PARKED, RELEASED_MAX, release

LOOK_SECONDS = 5
"""How often it is looked for what an instance beside us parked; what we learn ourselves is looked for at once."""

Hear = Callable[[Transaction, Sequence[Message], datetime], Awaitable[None]]


class Rehearing:
    """The loop of a service that keeps sagas. A participant has its own, for outside calls may follow from it."""

    def __init__(self, service: str, known: Collection[str], hear: Hear, store: Store, clock: Clock) -> None:
        """Let `hear` have what waited for a definition that is `known` now."""
        self.name = f"{service} rehearing"
        self.counts: Counter[str] = Counter()
        self._known = known
        self._hear = hear
        self._store = store
        self._clock = clock
        self._seen = 0
        self._look_at: datetime | None = None

    async def step(self) -> bool:
        """Hear what can be heard now; tell whether there may be more at once."""
        now = self._clock.now()
        if self._look_at is not None and now < self._look_at and len(self._known) == self._seen:
            return False
        self._seen, self._look_at = len(self._known), now + timedelta(seconds=LOOK_SECONDS)
        refs = tuple(self._known)

        async def look(reader: Reader) -> list[str]:
            return [ref for ref in refs if await reader.count(PARKED, {"waits_for": ref})]

        found = await self._store.view(look)
        if not found:
            return False

        async def work(transaction: Transaction) -> int:
            messages = await release(transaction, "waits_for", found)
            await self._hear(transaction, messages, now)
            return len(messages)

        failpoint("due.before_commit")
        heard = await self._store.transact(work)
        failpoint("due.after_commit")
        self.counts["messages"] += heard
        if heard >= RELEASED_MAX:
            self._look_at = None
        return heard >= RELEASED_MAX
