"""One run of the shop, seen by a real Prometheus and a real Jaeger, for all who look at it."""

import asyncio
from collections.abc import Iterator

import pytest
from tests.box.ports import free_layout
from tests.observability.prometheus import Prometheus
from tests.observability.promtool import Promtool, find_promtool
from tests.observability.run import Seen, run
from tests.real.engine import Engine
from tests.real.seeing.jaeger import Jaeger


@pytest.fixture(scope="session")
def promtool() -> Promtool:
    return find_promtool()


@pytest.fixture(scope="session")
def jaeger(engine: Engine) -> Iterator[Jaeger]:
    server = Jaeger.create(engine)
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def seen(engine: Engine, jaeger: Jaeger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    layout = free_layout()
    prometheus = Prometheus.create(engine, layout, tmp_path_factory.mktemp("prometheus"))
    try:
        place = tmp_path_factory.mktemp("shop")
        yield asyncio.run(run(prometheus, layout, place, {"SAGAPLANE_TRACES_ENDPOINT": jaeger.endpoint}))
    finally:
        prometheus.remove()
