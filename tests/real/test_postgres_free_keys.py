"""Of two who each take a key in one table because it is free in the other, the second one sees the first."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.real.postgres import Postgres
from tests.real.postgres_world import OpenPostgres, one_schema, opening

from sagakit.adapters.postgres import Address
from sagakit.ports import Transaction
from sagakit.testing.contracts.things import OTHERS, THINGS, Other, Thing

pytestmark = pytest.mark.real

KEYS = tuple(f"key-{number}" for number in range(150))


@pytest.fixture(scope="module")
def address(session_postgres: Postgres) -> Iterator[Address]:
    with one_schema(session_postgres) as address:
        yield address


@pytest.fixture
async def open_store(address: Address, postgres: Postgres) -> AsyncIterator[OpenPostgres]:
    async with opening(address) as open_store:
        yield open_store


async def test_no_key_is_taken_in_both_tables(open_store: OpenPostgres) -> None:
    first, second = open_store(), open_store()

    async def as_thing(key: str) -> bool:
        async def work(transaction: Transaction) -> bool:
            if await transaction.load(OTHERS, [key]):
                return False
            await transaction.save(THINGS, [Thing(key)])
            return True

        return await first.transact(work)

    async def as_other(key: str) -> bool:
        async def work(transaction: Transaction) -> bool:
            if await transaction.load(THINGS, [key]):
                return False
            await transaction.save(OTHERS, [Other(key)])
            return True

        return await second.transact(work)

    for key in KEYS:
        assert sum(await asyncio.gather(as_thing(key), as_other(key))) == 1, key
