"""A store in PostgreSQL keeps the promises of the port."""

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.real.postgres import Postgres
from tests.real.postgres_world import OpenPostgres, one_schema, opening

from sagakit.adapters.postgres import Address
from sagakit.testing.contracts import StoreContract

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def address(session_postgres: Postgres) -> Iterator[Address]:
    with one_schema(session_postgres) as address:
        yield address


class TestPostgresStore(StoreContract):
    @pytest.fixture
    async def open_store(self, address: Address) -> AsyncIterator[OpenPostgres]:
        async with opening(address) as open_store:
            yield open_store
