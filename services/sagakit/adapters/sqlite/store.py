"""The database of one service in one SQLite file, with one process as its writer."""

import sqlite3
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from sagakit.adapters.sqlite.columns import microseconds
from sagakit.adapters.sqlite.connection import BUSY_SECONDS, CACHE_KIBIBYTES, DatabaseFile, Synchronous
from sagakit.adapters.sqlite.declared import declare
from sagakit.adapters.sqlite.memory import Memory
from sagakit.adapters.sqlite.outbox import Outbox
from sagakit.adapters.sqlite.reader import SqliteReader
from sagakit.adapters.sqlite.reading import Reading
from sagakit.adapters.sqlite.schema import STORE, STORE_VERSION, prepare
from sagakit.adapters.sqlite.tables import RowFormat
from sagakit.adapters.sqlite.transaction import SqliteTransaction
from sagakit.adapters.sqlite.writer import Writer
from sagakit.ports import OutboxEntry, Reader, StoreUnavailableError, Table, Transaction

T = TypeVar("T")

CLAIMS_PER_PRUNE = 1000


class SqliteStore:
    """Keeps the promises of `Store`."""

    def __init__(
        self,
        path: Path | str,
        tables: Iterable[Table[Any]],
        synchronous: Synchronous = "FULL",
        *,
        busy_seconds: float = BUSY_SECONDS,
        cache_kibibytes: int = CACHE_KIBIBYTES,
    ) -> None:
        """Open the file, and make it when it is missing.

        Raises:
            StoreUnavailableError: when it cannot be opened now.
            WrongFileError: when it belongs to something else, or to a newer program.
        """
        self._file = DatabaseFile(Path(path), StoreUnavailableError, synchronous, busy_seconds, cache_kibibytes)
        self._formats = {table.name: RowFormat(table) for table in tables}
        self._outbox = Outbox()
        self._memory = Memory()
        self._wakes: list[Callable[[], None]] = []
        self._sent = False
        try:
            self._prepare()
            self._writer = Writer(self._file, self)
            self._reading = Reading(self._file)
        except sqlite3.Error as error:
            raise self._file.error(error) from error

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        def run(connection: sqlite3.Connection) -> T:
            self._memory.refresh(connection)
            transaction = SqliteTransaction(connection, self._formats, self._memory)
            value = run_to_end(work(transaction))
            transaction.finish()
            if transaction.sent:
                self._outbox.add(connection, transaction.sent)
                self._sent = True
            self._memory.learn(transaction.appended, transaction.saved)
            return value

        return await self._writer.write(run)

    async def view(self, look: Callable[[Reader], Awaitable[T]]) -> T:
        return self._reading.look_at_one_moment(lambda reader: run_to_end(look(SqliteReader(reader, self._formats))))

    async def outbox(self, limit: int) -> list[OutboxEntry]:
        return self._reading.look_at_one_moment(lambda reader: self._outbox.oldest(reader, limit))

    async def published(self, positions: Sequence[int]) -> None:
        await self._writer.write(lambda connection: self._outbox.forget(connection, positions))

    async def outbox_depth(self) -> int:
        return self._reading.look_at_one_moment(self._outbox.depth)

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

    def committed(self) -> None:
        """Wake the relay: something may wait for it."""
        if self._sent:
            self._sent = False
            for wake in self._wakes:
                wake()

    def failed(self) -> None:
        """Forget what was remembered of works that did not happen."""
        self._sent = False
        self._outbox.forget_memory()
        self._memory.forget()

    async def close(self) -> None:
        await self._writer.close()
        self._reading.close()

    def _prepare(self) -> None:
        connection = self._file.open_writer()
        connection.execute("BEGIN IMMEDIATE")
        try:
            prepare(connection, self._file.path, "store", STORE_VERSION, STORE)
            for form in self._formats.values():
                declare(connection, form)
            connection.execute("COMMIT")
        finally:
            connection.close()


def run_to_end(work: Awaitable[T]) -> T:
    """Run a work that awaits nothing but its transaction, which never makes it wait: so it ends at once."""
    steps = cast("Generator[Any, None, T]", work.__await__())
    try:
        steps.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    steps.close()
    raise RuntimeError("a work in a transaction awaited something other than its transaction")
