"""The database of one service in one schema, which all instances of the service share."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sagakit.adapters.postgres.connections import Address, Connections
from sagakit.adapters.postgres.kit import KitTables
from sagakit.adapters.postgres.reader import PostgresReader
from sagakit.adapters.postgres.schema import check
from sagakit.adapters.postgres.tables import RowFormat
from sagakit.adapters.postgres.transaction import PostgresTransaction
from sagakit.adapters.postgres.writer import Sent, Writer
from sagakit.adapters.shared import outbox_rows
from sagakit.ports import OutboxEntry, Reader, StoreUnavailableError, Table, Transaction

T = TypeVar("T")

CLAIMS_PER_PRUNE = 1000
ONE_MOMENT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class PostgresStore:
    """Keeps the promises of `Store`. It connects when it is first used, and again after every failure."""

    def __init__(self, address: Address, tables: Iterable[Table[Any]], *, make: bool = False) -> None:
        """Reach for the schema at this address, which `migrate` has made; or `make` it when it is first used."""
        self.address = address
        self._tables = tuple(tables)
        self._formats = {table.name: RowFormat(table, address.schema) for table in self._tables}
        self._kit = KitTables(address.schema)
        self._recent = outbox_rows.RecentRows()
        self._connections = Connections(address, self._make if make else None, self._recent.clear)
        self._offered_in = self._era()
        self._wakes: list[Callable[[], None]] = []
        self._writer = Writer(address, self._connections, self._formats, self._kit, self._committed)

    async def check(self) -> None:
        """Make sure that the database can be reached, and that its schema is one that this program may run on.

        Raises:
            StoreUnavailableError: when it cannot be reached now.
            WrongDatabaseError: when the address, the rights or the schema are wrong.
        """
        async with self._connections.reader() as connection:
            await check(connection, self.address, self._formats.values())

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return await self._writer.write(work)

    async def view(self, look: Callable[[Reader], Awaitable[T]]) -> T:
        async with self._connections.reader() as connection:
            await connection.execute(ONE_MOMENT)
            try:
                value = await look(PostgresReader(connection, self._formats, self._kit))
            except BaseException:
                if not connection.is_closed():
                    await connection.execute("ROLLBACK")
                raise
            await connection.execute("COMMIT")
            return value

    async def outbox(self, limit: int) -> list[OutboxEntry]:
        self._offered_in = self._era()
        async with self._connections.reader() as connection:
            rows: list[int] = []
            waiting = 0
            for row, number in await connection.fetch(self._kit.oldest, limit):
                if rows and waiting + number > limit:
                    break
                rows.append(row)
                waiting += number
            if not rows:
                self._recent.clear()  # what is remembered still, the relay of another instance has published
            drafts = {row: known for row in rows if (known := self._recent.get(row)) is not None}
            unknown = [row for row in rows if row not in drafts]
            if unknown:
                read = await connection.fetch(self._kit.drafts, unknown)
                drafts |= {row: outbox_rows.drafts_of(encoded) for row, encoded in read}
        entries = [entry for row in rows for entry in outbox_rows.entries(row, drafts.get(row, ()))]
        return entries[:limit]

    async def published(self, positions: Sequence[int]) -> None:
        for row in outbox_rows.places(positions):
            self._recent.drop(row)
        offered_in = self._offered_in

        async def forget(transaction: PostgresTransaction) -> bool:
            if self._era() != offered_in:
                return False
            await transaction.forget(positions)
            return True

        if not await self._writer.write(forget):
            text = "the connection was made anew, and a position may be another row's now; what is there is sent again"
            raise StoreUnavailableError(f"{self.address}: {text}")

    async def outbox_depth(self) -> int:
        async with self._connections.reader() as connection:
            return int(await connection.fetchval(self._kit.depth))

    def on_commit(self, wake: Callable[[], None]) -> None:
        self._wakes.append(wake)

    async def prune(self, claimed_before: datetime) -> int:
        pruned = 0

        async def forget(transaction: PostgresTransaction) -> int:
            return await transaction.prune_claims(claimed_before, CLAIMS_PER_PRUNE)

        while forgotten := await self._writer.write(forget):
            pruned += forgotten
        return pruned

    async def close(self) -> None:
        await self._writer.finish()
        await self._connections.close()

    async def _make(self) -> None:
        from sagakit.adapters.postgres.migration import migrate  # noqa: PLC0415 - only who makes schemas needs alembic

        await migrate(self.address, self._tables)

    def _era(self) -> int:
        """Return a number that is another one once the server may be one that lost the last commits."""
        return max(1, self._connections.writers)

    def _committed(self, sent: Sent) -> None:
        for row, drafts in sent:
            self._recent.keep(row, drafts)
        for wake in self._wakes:
            wake()
