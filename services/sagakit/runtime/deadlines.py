"""The deadline scan: every saga that is due is asked to abort, from absolute times in the database."""

from collections import Counter

from sagakit.ports import Clock, Query, Store
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.tracker import DEADLINES_PER_SCAN, SAGAS, Tracker


class Deadlines:
    """The scan of the initiator. Several at once are harmless: the request has one id and is made once."""

    def __init__(self, tracker: Tracker, store: Store, clock: Clock) -> None:
        """Scan what `tracker` follows."""
        self.name = "deadline scan"
        self.counts: Counter[str] = Counter()
        self._tracker = tracker
        self._store = store
        self._clock = clock

    async def step(self) -> bool:
        """Ask what is due to abort; tell whether there may be more at once."""
        now = self._clock.now()
        if not await self._store.view(lambda reader: reader.select(SAGAS, Query(by="due_at", below=now, limit=1))):
            return False
        failpoint("deadlines.before_commit")
        changes = await self._store.transact(lambda tx: self._tracker.enforce_deadlines(tx, now))
        failpoint("deadlines.after_commit")
        self.counts["asked"] += len(changes)
        return len(changes) == DEADLINES_PER_SCAN
