"""An event log in one SQLite file, shared by the processes of one machine."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from sagakit.adapters.sqlite.appending import append, prune
from sagakit.adapters.sqlite.batches import Place, RecentBatches, batches, records
from sagakit.adapters.sqlite.columns import microseconds
from sagakit.adapters.sqlite.connection import BUSY_SECONDS, DatabaseFile, Synchronous, WrongFileError
from sagakit.adapters.sqlite.membership import LEASE_SECONDS, SqliteMembership
from sagakit.adapters.sqlite.reading import Reading, Version
from sagakit.adapters.sqlite.schema import LOG, LOG_VERSION, prepare
from sagakit.adapters.sqlite.watch import Watch
from sagakit.adapters.sqlite.writer import Writer
from sagakit.core.partitioner import fair_shares
from sagakit.ports import Draft, LogUnavailableError, Membership, OffsetOutOfRangeError, Record

PARTITIONS = 4


def system_now() -> datetime:
    """Return the present in UTC."""
    return datetime.now(UTC)


class SqliteLog:
    """Keeps the promises of `Log`."""

    def __init__(
        self,
        path: Path | str,
        partitions: int = PARTITIONS,
        *,
        synchronous: Synchronous = "FULL",
        busy_seconds: float = BUSY_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
        now: Callable[[], datetime] = system_now,
    ) -> None:
        """Open the file, and make it when it is missing.

        Raises:
            LogUnavailableError: when it cannot be opened now.
            WrongFileError: when it belongs to something else, to a newer program, or has other partitions.
        """
        self._file = DatabaseFile(Path(path), LogUnavailableError, synchronous, busy_seconds)
        self._partitions = partitions
        self._lease_seconds = lease_seconds
        self._now = now
        self._turn = count()
        self._recent = RecentBatches()
        self._heads: dict[Place, tuple[int, int]] = {}
        self._heads_version: Version | None = None
        try:
            self._prepare()
            self._reading = Reading(self._file)
            self._watch = Watch(self._reading.version)
            self._writer = Writer(self._file, self, aside=True)
        except sqlite3.Error as error:
            raise self._file.error(error) from error

    @property
    def partitions(self) -> int:
        return self._partitions

    async def publish(self, drafts: Sequence[Draft]) -> None:
        if not drafts:
            return
        keyless = next(self._turn) % self._partitions
        new = batches(drafts, self._partitions, lambda: keyless)
        at = microseconds(self._now())
        await self._writer.write(lambda connection: append(connection, new, at))

    async def fetch(self, positions: Mapping[Place, int], limit: int) -> list[Record]:
        heads = self._refreshed_heads()
        ahead: list[tuple[Place, int]] = []
        waiting: list[int] = []
        for place, offset in positions.items():
            first, end = heads.get(place, (0, 0))
            if not first <= offset <= end:
                raise OffsetOutOfRangeError(
                    f"{place[0]}-{place[1]}: offset {offset} is not in the log, which holds {first} to {end}"
                )
            if offset < end:
                ahead.append((place, offset))
                waiting.append(end - offset)
        if not ahead:
            return []
        shares = fair_shares(waiting, limit, turn=sum(offset for _, offset in ahead))
        return [
            record
            for (place, offset), share in zip(ahead, shares, strict=True)
            for record in self._records(place, offset, share)
        ]

    async def ends(self, topics: Iterable[str]) -> dict[Place, int]:
        heads = self._refreshed_heads()
        places = ((topic, partition) for topic in topics for partition in range(self._partitions))
        return {place: heads.get(place, (0, 0))[1] for place in places}

    async def identities(self, topics: Iterable[str]) -> dict[str, str]:
        del topics
        return {}

    def for_reader(self) -> "SqliteLog":
        return self

    async def join(self, group: str, member: str, topics: Iterable[str]) -> Membership:
        del topics
        membership = SqliteMembership(
            group,
            member,
            self._partitions,
            self._lease_seconds,
            self._writer,
            self._reading,
            lambda: self._now().timestamp(),
        )
        await membership.join()
        return membership

    async def wait(self, seconds: float) -> None:
        await self._watch.wait(seconds)

    async def prune(self, topic: str, older_than: datetime) -> int:
        before = microseconds(older_than)
        return await self._writer.write(
            lambda connection: sum(prune(connection, (topic, p), before) for p in range(self._partitions))
        )

    def committed(self) -> None:
        """Wake the consumers of this process."""
        self._watch.ring()

    def failed(self) -> None:
        """Nothing is remembered that did not happen."""

    async def close(self) -> None:
        await self._watch.close()
        await self._writer.close()
        self._reading.close()

    def _records(self, place: Place, offset: int, count: int) -> list[Record]:
        """Return so many records of a partition; fewer when they were dropped since the heads were read."""
        found: list[Record] = []
        while len(found) < count:
            start = offset + len(found)
            batch = self._recent.find(place, start) or self._read_batch(place, start)
            if not batch:
                break
            found += batch[: count - len(found)]
        return found

    def _read_batch(self, place: Place, offset: int) -> Sequence[Record]:
        row = self._reading.look(
            lambda reader: reader.execute(
                "SELECT first_offset, at, records FROM kit_batches WHERE topic=? AND partition=? AND next_offset>?"
                " ORDER BY next_offset LIMIT 1",
                (*place, offset),
            ).fetchone()
        )
        if row is None or row[0] > offset:
            return ()
        batch = records(place, *row)
        self._recent.keep(place, batch)
        return batch[offset - row[0] :]

    def _refreshed_heads(self) -> dict[Place, tuple[int, int]]:
        version = self._reading.version()
        if version != self._heads_version:
            rows = self._reading.look(lambda reader: reader.execute("SELECT * FROM kit_heads").fetchall())
            self._heads = {(topic, partition): (first, end) for topic, partition, first, end in rows}
            self._heads_version = version
            self._watch.saw(version)
        return self._heads

    def _prepare(self) -> None:
        connection = self._file.open_writer()
        connection.execute("BEGIN IMMEDIATE")
        try:
            prepare(connection, self._file.path, "log", LOG_VERSION, LOG)
            row = connection.execute("SELECT partitions FROM kit_log").fetchone()
            if row is None:
                connection.execute("INSERT INTO kit_log VALUES (?)", (self._partitions,))
            elif row[0] != self._partitions:
                raise WrongFileError(
                    f"{self._file.path}: has {row[0]} partitions, not {self._partitions}; "
                    "the number is fixed when a log is made"
                )
            connection.execute("COMMIT")
        finally:
            connection.close()
