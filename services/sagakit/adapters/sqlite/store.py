"""The database of one service in one SQLite file, with one process as its writer."""

import sqlite3
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from sagakit.adapters.sqlite.connection import DatabaseFile, Synchronous
from sagakit.adapters.sqlite.schema import STORE, STORE_VERSION, declare, prepare
from sagakit.adapters.sqlite.tables import RowFormat, microseconds
from sagakit.adapters.sqlite.transaction import SqliteReader, SqliteTransaction
from sagakit.adapters.sqlite.writer import Writer
from sagakit.ports import Draft, OutboxEntry, Reader, StoreUnavailableError, Table, Transaction

T = TypeVar("T")

CLAIMS_PER_PRUNE = 1000


class SqliteStore:
    """Keeps the promises of `Store`."""

    def __init__(self, path: Path | str, tables: Iterable[Table[Any]], synchronous: Synchronous = "FULL") -> None:
        """Open the file, and make it when it is missing."""
        self._file = DatabaseFile(Path(path), StoreUnavailableError, synchronous)
        self._formats = {table.name: RowFormat(table) for table in tables}
        self._wakes: list[Callable[[], None]] = []
        self._sent = False
        try:
            self._prepare()
            self._writer = Writer(self._file, self._committed)
            self._reader = self._file.open_reader()
        except sqlite3.Error as error:
            raise self._file.error(error) from error

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        def run(connection: sqlite3.Connection) -> T:
            transaction = SqliteTransaction(connection, self._formats)
            value = run_to_end(work(transaction))
            transaction.finish()
            self._sent |= bool(transaction.sent)
            return value

        return await self._writer.write(run)

    async def view(self, look: Callable[[Reader], Awaitable[T]]) -> T:
        try:
            self._reader.execute("BEGIN")
            try:
                return run_to_end(look(SqliteReader(self._reader, self._formats)))
            finally:
                self._reader.execute("END")
        except sqlite3.Error as error:
            raise self._file.error(error) from error

    async def outbox(self, limit: int) -> list[OutboxEntry]:
        rows = self._read(
            "SELECT position, topic, key, headers, value FROM kit_outbox ORDER BY position LIMIT ?", (limit,)
        )
        return [OutboxEntry(position, Draft(*draft)) for position, *draft in rows]

    async def published(self, positions: Sequence[int]) -> None:
        ranges = contiguous(positions)

        def forget(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM kit_outbox WHERE position BETWEEN ? AND ?", ranges)

        await self._writer.write(forget)

    async def outbox_depth(self) -> int:
        ((number,),) = self._read("SELECT count(*) FROM kit_outbox", ())
        return int(number)

    def on_commit(self, wake: Callable[[], None]) -> None:
        self._wakes.append(wake)

    async def prune(self, claimed_before: datetime) -> int:
        before, pruned = microseconds(claimed_before), 0

        def forget(connection: sqlite3.Connection) -> int:
            return connection.execute(
                "DELETE FROM kit_claims WHERE at<? AND place IN (SELECT place FROM kit_claims ORDER BY place LIMIT ?)",
                (before, CLAIMS_PER_PRUNE),
            ).rowcount

        while forgotten := await self._writer.write(forget):
            pruned += forgotten
        return pruned

    async def close(self) -> None:
        await self._writer.close()
        self._reader.close()

    def _prepare(self) -> None:
        connection = self._file.open_writer()
        connection.execute(f"PRAGMA busy_timeout={int(self._file.busy_seconds * 1000)}")
        connection.execute("BEGIN IMMEDIATE")
        try:
            prepare(connection, self._file.path, "store", STORE_VERSION, STORE)
            for form in self._formats.values():
                declare(connection, form)
            connection.execute("COMMIT")
        finally:
            connection.close()

    def _read(self, sql: str, parameters: tuple[Any, ...]) -> list[Any]:
        try:
            return self._reader.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._file.error(error) from error

    def _committed(self) -> None:
        if self._sent:
            self._sent = False
            for wake in self._wakes:
                wake()


def run_to_end(work: Awaitable[T]) -> T:
    """Run a work that awaits nothing but its transaction, which never makes it wait: so it ends at once."""
    steps = cast("Generator[Any, None, T]", work.__await__())
    try:
        steps.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    steps.close()
    raise RuntimeError("a work in a transaction awaited something other than its transaction")


def contiguous(positions: Sequence[int]) -> list[tuple[int, int]]:
    """Return the positions as ranges, both ends included."""
    ranges: list[tuple[int, int]] = []
    for position in sorted(positions):
        if ranges and position == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], position)
        else:
            ranges.append((position, position))
    return ranges
