"""One server for each test."""

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.provider.desk import Desk, desk_at
from tests.provider.server import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as served:
        yield served


@pytest.fixture
async def desk(server: Server) -> AsyncIterator[Desk]:
    async with desk_at(server) as opened:
        yield opened
