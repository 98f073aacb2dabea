"""Every store keeps the promises of the port."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from sagakit.adapters.memory import MemoryState, MemoryStore
from sagakit.adapters.sqlite import SqliteStore
from sagakit.ports import Store
from sagakit.testing.contracts import TABLES, StoreContract


def memory(_: Path) -> Callable[[], Store]:
    state = MemoryState()
    return lambda: MemoryStore(TABLES, state)


def sqlite(directory: Path) -> Callable[[], Store]:
    return lambda: SqliteStore(directory / "store.db", TABLES)


class TestStore(StoreContract):
    @pytest.fixture(params=[memory, sqlite])
    async def open_store(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Callable[[], Store]]:
        opened: list[Store] = []
        factory: Callable[[], Store] = request.param(tmp_path)

        def open_one() -> Store:
            opened.append(factory())
            return opened[-1]

        yield open_one
        for store in opened:
            await store.close()
