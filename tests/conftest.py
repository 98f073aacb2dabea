"""What every test shares."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from tests.real.engine import Engine, EngineMissingError, running_engine

# What a program prints is compared, whatever colours a CI asks for; and what runs on this machine is asked without the
# proxy that leads out of it.
for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "TTY_COMPATIBLE"):
    os.environ.pop(name, None)
direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, (direct, "localhost", "127.0.0.1")))

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
