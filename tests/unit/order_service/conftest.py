"""What every test of the order service shares."""

from collections.abc import AsyncIterator

import pytest
from tests.unit.order_service.shop import HandClock, Shop, make_shop


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    made = make_shop(HandClock())
    async with made.client:
        yield made
