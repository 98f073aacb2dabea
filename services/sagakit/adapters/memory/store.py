"""The database of one service, in memory."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from sagakit.adapters.memory.transaction import MemoryReader, MemoryState, MemoryTransaction, OpenTable
from sagakit.ports import OutboxEntry, Reader, StoreUnavailableError, Table, Transaction

T = TypeVar("T")


class MemoryStore:
    """Keeps the promises of `Store`; as durable as the state it was given."""

    def __init__(self, tables: Iterable[Table[Any]], state: MemoryState | None = None) -> None:
        """Go on from the state of another store, or begin with an empty one."""
        self.state = MemoryState() if state is None else state
        self._tables = {table.name: OpenTable(table, self.state.rows.setdefault(table.name, {})) for table in tables}
        self._wakes: list[Callable[[], None]] = []
        self._busy = False
        self._closed = False

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        self._check_open()
        assert not self._busy, "a work in a transaction awaited something other than its transaction"
        self._busy = True
        transaction = MemoryTransaction(self.state, self._tables)
        try:
            value = await work(transaction)
            transaction.finish()
        except BaseException:
            transaction.take_back()
            raise
        finally:
            self._busy = False
        if transaction.sent:
            for wake in self._wakes:
                wake()
        return value

    async def view(self, look: Callable[[Reader], Awaitable[T]]) -> T:
        self._check_open()
        return await look(MemoryReader(self.state, self._tables))

    async def outbox(self, limit: int) -> list[OutboxEntry]:
        self._check_open()
        return list(islice(self.state.outbox.values(), limit))

    async def published(self, positions: Sequence[int]) -> None:
        self._check_open()
        for position in positions:
            self.state.outbox.pop(position, None)

    async def outbox_depth(self) -> int:
        return len(self.state.outbox)

    def on_commit(self, wake: Callable[[], None]) -> None:
        self._wakes.append(wake)

    async def prune(self, claimed_before: datetime) -> int:
        self._check_open()
        old = [message_id for message_id, at in self.state.claims.items() if at < claimed_before]
        for message_id in old:
            del self.state.claims[message_id]
        return len(old)

    async def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailableError("the memory store is closed")
