"""What every test shares."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from tests.real.engine import Engine, EngineMissingError, running_engine

# How long an example takes says something about the machine. The gate draws the same examples each time.
settings.register_profile(
    "ours", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ, print_blob=True
)
settings.load_profile("ours")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop is asyncio's, whatever else is installed: nothing here was written for another."""
    return "asyncio"


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The container engine, one for the whole run; without one, each test that asks for it fails with one line.

    The end of an engine is the end of everything that this process started.
    """
    try:
        with running_engine() as engine:
            yield engine
    except EngineMissingError as error:
        pytest.fail(str(error), pytrace=False)
