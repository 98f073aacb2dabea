"""Consumer groups as rows: who lives (a lease), and who holds which partition.

A partition changes hands in two moves, so that two live members never hold it together: its holder gives it up when it
next asks for its assignment, and only then the other one takes it. A dead holder's lease is waited for.
"""

import sqlite3
from collections.abc import Callable, Mapping

from sagakit.adapters.sqlite.reading import Reading
from sagakit.adapters.sqlite.writer import Writer
from sagakit.core.partitioner import range_share

LEASE_SECONDS = 10.0
LOOKS_PER_LEASE = 50
"""With a lease of 10 s the membership is read every 0.2 s, and not for every batch."""
RENEWALS_PER_LEASE = 3


class SqliteMembership:
    """Keeps the promises of `Membership`."""

    def __init__(
        self,
        group: str,
        member: str,
        partitions: int,
        lease_seconds: float,
        writer: Writer,
        reading: Reading,
        now: Callable[[], float],
    ) -> None:
        """Be nobody until `join`."""
        self._group = group
        self._member = member
        self._partitions = partitions
        self._lease_seconds = lease_seconds
        self._writer = writer
        self._reading = reading
        self._now = now
        self._epoch = 0
        self._held: frozenset[int] = frozenset()
        self._look_at = 0.0
        self._renew_at = 0.0

    async def join(self) -> None:
        """Enter the group; an earlier instance of the same name is out from now on."""

        def enter(connection: sqlite3.Connection) -> int:
            (epoch,) = connection.execute(
                "INSERT INTO kit_members VALUES (?, ?, 1, ?) ON CONFLICT DO UPDATE"
                " SET epoch=epoch+1, lease_until=excluded.lease_until RETURNING epoch",
                (self._group, self._member, self._now() + self._lease_seconds),
            ).fetchone()
            return int(epoch)

        self._epoch = await self._writer.write(enter)

    async def assignment(self) -> frozenset[int]:
        now = self._now()
        if now >= self._look_at:
            if now >= self._renew_at or self._stale():
                self._held = await self._writer.write(lambda connection: self._settle(connection, now))
                self._renew_at = now + self._lease_seconds / RENEWALS_PER_LEASE
            self._look_at = now + self._lease_seconds / LOOKS_PER_LEASE
        return self._held

    def handled(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Nobody watches lags here."""

    async def leave(self) -> None:
        self._held = frozenset()
        await self._writer.write(self._exit)

    def _stale(self) -> bool:
        """Tell whether the rows say anything else than when we wrote them last."""
        return not self._reading.look(lambda reader: self._mine(reader) == self._share(reader) == self._held)

    def _settle(self, connection: sqlite3.Connection, now: float) -> frozenset[int]:
        """Renew the lease, bury the dead, give up what is not ours any more, take what is ours and free."""
        renewed = connection.execute(
            "UPDATE kit_members SET lease_until=? WHERE consumer=? AND member=? AND epoch=?",
            (now + self._lease_seconds, self._group, self._member, self._epoch),
        ).rowcount
        if not renewed and not self._came_back(connection, now):
            return frozenset()
        connection.execute("DELETE FROM kit_members WHERE consumer=? AND lease_until<=?", (self._group, now))
        connection.execute(
            "DELETE FROM kit_holders WHERE consumer=? AND member NOT IN"
            " (SELECT member FROM kit_members WHERE kit_members.consumer=kit_holders.consumer)",
            (self._group,),
        )
        share = self._share(connection)
        surplus = [(self._group, partition) for partition in self._mine(connection) - share]
        connection.executemany("DELETE FROM kit_holders WHERE consumer=? AND partition=?", surplus)
        rows = [(self._group, partition, self._member) for partition in share]
        connection.executemany("INSERT OR IGNORE INTO kit_holders VALUES (?, ?, ?)", rows)
        return self._mine(connection)

    def _came_back(self, connection: sqlite3.Connection, now: float) -> bool:
        """Enter again after others have buried us; but not when a newer instance bears our name."""
        return bool(
            connection.execute(
                "INSERT OR IGNORE INTO kit_members VALUES (?, ?, ?, ?)",
                (self._group, self._member, self._epoch, now + self._lease_seconds),
            ).rowcount
        )

    def _exit(self, connection: sqlite3.Connection) -> None:
        gone = connection.execute(
            "DELETE FROM kit_members WHERE consumer=? AND member=? AND epoch=?",
            (self._group, self._member, self._epoch),
        ).rowcount
        if gone:
            connection.execute("DELETE FROM kit_holders WHERE consumer=? AND member=?", (self._group, self._member))

    def _mine(self, connection: sqlite3.Connection) -> frozenset[int]:
        rows = connection.execute(
            "SELECT partition FROM kit_holders WHERE consumer=? AND member=?", (self._group, self._member)
        )
        return frozenset(partition for (partition,) in rows)

    def _share(self, connection: sqlite3.Connection) -> frozenset[int]:
        rows = connection.execute("SELECT member FROM kit_members WHERE consumer=? ORDER BY member", (self._group,))
        members = [member for (member,) in rows]
        return range_share(members, self._member, self._partitions)
