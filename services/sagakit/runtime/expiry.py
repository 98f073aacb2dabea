"""Messages that were parked for too long become dead letters: what they wait for will not come."""

import logging
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from sagakit.ports import Clock, Draft, Query, Store, Transaction
from sagakit.runtime.consumer import dead_message
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.parking import PARKED, ParkedMessage
from sagakit.runtime.telling import fields, ids_of

EXPIRED_PER_STEP = 500
EXPIRED = "expired"
LINES_MAX = 20
"""How many dead letters of one step have a line of their own in the log."""
log_lines = logging.getLogger(__name__)


class ParkingExpiry:
    """The loop that empties the parking of one service, participant or tracker, of what waits in vain."""

    def __init__(self, service: str, store: Store, clock: Clock, topics: Iterable[str] = ()) -> None:
        """Look at the parking of `store`; the dead letters are those of `service`, which listens to these topics."""
        self.name = f"{service} parking expiry"
        self.counts: Counter[str] = Counter()
        self.buried = Counter({(topic, EXPIRED): 0 for topic in topics})
        self._service = service
        self._store = store
        self._clock = clock

    async def step(self) -> bool:
        """Bury what has waited too long; tell whether there may be more at once."""
        late = Query(by="give_up_at", below=self._clock.now() + timedelta(microseconds=1), limit=EXPIRED_PER_STEP)
        if not await self._store.view(lambda reader: reader.select(PARKED, late)):
            return False

        async def work(transaction: Transaction) -> list[ParkedMessage]:
            entries = await transaction.select(PARKED, late)
            await transaction.delete(PARKED, [entry.message_id for entry in entries])
            await transaction.send([self._letter(entry) for entry in entries])
            return entries

        failpoint("expiry.before_commit")
        buried = await self._store.transact(work)
        failpoint("expiry.after_commit")
        self._tell(buried)
        return len(buried) == EXPIRED_PER_STEP

    def _tell(self, buried: list[ParkedMessage]) -> None:
        """Count what was buried, and leave a line about each."""
        self.counts["dead letters"] += len(buried)
        self.buried.update((entry.topic, EXPIRED) for entry in buried)
        for entry in buried[:LINES_MAX]:
            said = entry.message
            extra = fields(ids_of(said.saga_id, said.correlation_id, said.traceparent), topic=entry.topic)
            log_lines.warning("%s waited for %s in vain", said.type, entry.waits_for, extra=extra)
        if len(buried) > LINES_MAX:
            log_lines.warning("%d more waited in vain", len(buried) - LINES_MAX)

    def _letter(self, entry: ParkedMessage) -> Draft:
        error = f"{entry.message.type} waited for {entry.waits_for} since {entry.parked_at.isoformat()}, in vain"
        return dead_message(self._service, entry.message, entry.topic, EXPIRED, error, self._clock.now())
