"""What every test shares."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop is asyncio's, whatever else is installed: nothing here was written for another."""
    return "asyncio"
