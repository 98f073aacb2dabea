"""Messages that were parked for too long become dead letters: what they wait for will not come."""

from collections import Counter
from datetime import timedelta

from sagakit.ports import Clock, Draft, Query, Store, Transaction
from sagakit.runtime.consumer import dead_message
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.parking import PARKED, ParkedMessage

EXPIRED_PER_STEP = 500
EXPIRED = "expired"


class ParkingExpiry:
    """The loop that empties the parking of one service, participant or tracker, of what waits in vain."""

    def __init__(self, service: str, store: Store, clock: Clock) -> None:
        """Look at the parking of `store`; the dead letters are those of `service`."""
        self.name = f"{service} parking expiry"
        self.counts: Counter[str] = Counter()
        self._service = service
        self._store = store
        self._clock = clock

    async def step(self) -> bool:
        """Bury what has waited too long; tell whether there may be more at once."""
        late = Query(by="give_up_at", below=self._clock.now() + timedelta(microseconds=1), limit=EXPIRED_PER_STEP)
        if not await self._store.view(lambda reader: reader.select(PARKED, late)):
            return False

        async def work(transaction: Transaction) -> int:
            entries = await transaction.select(PARKED, late)
            await transaction.delete(PARKED, [entry.message_id for entry in entries])
            await transaction.send([self._letter(entry) for entry in entries])
            return len(entries)

        failpoint("expiry.before_commit")
        buried = await self._store.transact(work)
        failpoint("expiry.after_commit")
        self.counts["dead letters"] += buried
        return buried == EXPIRED_PER_STEP

    def _letter(self, entry: ParkedMessage) -> Draft:
        error = f"{entry.message.type} waited for {entry.waits_for} since {entry.parked_at.isoformat()}, in vain"
        return dead_message(self._service, entry.message, entry.topic, EXPIRED, error, self._clock.now())
