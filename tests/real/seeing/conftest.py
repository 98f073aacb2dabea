"""What sees."""

from collections.abc import Iterator

import pytest
from tests.real.engine import Engine
from tests.real.seeing.jaeger import Jaeger


@pytest.fixture(scope="session")
def jaeger(engine: Engine) -> Iterator[Jaeger]:
    server = Jaeger.create(engine)
    server.start()
    yield server
    server.remove()
