"""A lease: the right of one instance to do something alone, for as long as it says that it lives.

A paused holder may believe in a lease that has passed to another. So a lease serves order and economy, and never
protects what must not happen twice. Nor does it trust the clocks of others: a holder whose turn has not changed for the
time of a lease, by the clock of whoever looks, is silent, whatever it wrote about until when.
"""

from datetime import datetime, timedelta

import msgspec

from sagakit.ports import Clock, Store, Table, Transaction
from sagakit.runtime.failpoints import failpoint

LEASE_SECONDS = 5.0
RENEWALS_PER_LEASE = 3
LOOKS_PER_LEASE = 10


class Held(msgspec.Struct, frozen=True):
    """Who holds a lease, since which of its turns, and until when unless heard of again."""

    name: str
    holder: str
    turn: int
    until: datetime


LEASES = Table("leases", Held, "name")


class Lease:
    """One instance's claim to the lease of that name, kept in the store that the instances share.

    An instance that comes back under its own name takes its lease over at once; whoever it was before has lost it.
    """

    def __init__(self, name: str, holder: str, store: Store, clock: Clock) -> None:
        """Hold nothing yet."""
        self._name = name
        self._holder = holder
        self._store = store
        self._clock = clock
        self._turn = 0
        self._looked_at: datetime | None = None
        self._look_at: datetime | None = None
        self._until: datetime | None = None
        self._seen: tuple[str, int] | None = None
        """Which turn of whom was found last, and since when nothing else was."""
        self._seen_at: datetime | None = None

    async def held(self) -> bool:
        """Take the lease when it is free, renew it when it is ours, and tell whether it is."""
        now = self._clock.now()
        if self._looked_at is None or self._look_at is None or not self._looked_at <= now < self._look_at:
            failpoint("lease.before_commit")
            ours = await self._store.transact(lambda transaction: self._settle(transaction, now))
            failpoint("lease.after_commit")
            self._turn, self._until = (ours.turn, ours.until) if ours is not None else (self._turn, None)
            looks = LOOKS_PER_LEASE if self._until is None else RENEWALS_PER_LEASE
            self._looked_at, self._look_at = now, now + timedelta(seconds=LEASE_SECONDS / looks)
        return self._until is not None and now < self._until

    async def release(self) -> None:
        """Let another instance have it at once."""
        if self._until is None:
            return
        self._until = self._look_at = None

        async def work(transaction: Transaction) -> None:
            found = (await transaction.load(LEASES, [self._name])).get(self._name)
            if found is not None and self._is_ours(found):
                await transaction.delete(LEASES, [self._name])

        failpoint("lease.before_commit")
        await self._store.transact(work)
        failpoint("lease.after_commit")

    async def _settle(self, transaction: Transaction, now: datetime) -> Held | None:
        found = (await transaction.load(LEASES, [self._name])).get(self._name)
        if found is not None and not self._is_ours(found):
            returned = found.holder == self._holder and not self._turn
            if found.until > now and not returned and not self._is_silent(found, now):
                return None
        turn = (found.turn if found else 0) + 1
        ours = Held(self._name, self._holder, turn, now + timedelta(seconds=LEASE_SECONDS))
        await transaction.save(LEASES, [ours])
        return ours

    def _is_ours(self, found: Held) -> bool:
        return found.holder == self._holder and found.turn == self._turn

    def _is_silent(self, found: Held, now: datetime) -> bool:
        """Tell whether this turn has been there for the time of a lease; every renewal is a turn."""
        turn = (found.holder, found.turn)
        if turn != self._seen or self._seen_at is None or now < self._seen_at:
            self._seen, self._seen_at = turn, self._clock.now()
            return False
        return now - self._seen_at >= timedelta(seconds=LEASE_SECONDS)
