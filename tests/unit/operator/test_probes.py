"""What the operator answers to whoever asks how it is: also while it leads and can do nothing."""

import asyncio
from dataclasses import dataclass

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.operator.memory_api import MemoryCluster
from tests.unit.operator.memory_shop import Desk
from tests.unit.operator.operators import KEY, Operators, manifest

from saga_operator.resources import ORDER_SAGA_PLURAL
from saga_operator.settings import OperatorSettings
from saga_operator.wiring import Operator
from sagakit.adapters.memory import MemoryLog
from sagakit.ports import LogUnavailableError
from sagakit.runtime.loops import Bell

IN_A_ROW = 5
"""So many failures are an alert."""


@dataclass
class Deaf:
    """A follower whose log refuses it, as one does whose password is another by now."""

    stop: asyncio.Event
    name: str = "follower"

    async def step(self) -> bool:
        self.stop.set()
        raise LogUnavailableError("the password is wrong")


@pytest.fixture
def world() -> Operators:
    return Operators()


@pytest.fixture
def operator(world: Operators) -> Operator:
    desk = Desk(world.shop, world.api.fate)
    return Operator.over(OperatorSettings(), MemoryCluster(world.api), MemoryLog(world.clock), desk, world.clock)


async def told(operator: Operator) -> tuple[int, dict[tuple[str, ...], float]]:
    """Return how the operator answers to whoever asks whether it is ready, and then what it tells."""
    transport = httpx.ASGITransport(operator.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://operator") as client:
        status = (await client.get("/readyz")).status_code
        text = (await client.get("/metrics")).text
    return status, {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_leader_that_hears_nothing_tells_which_loop_fails_and_that_it_is_not_ready(operator: Operator) -> None:
    stop = operator.runner.stop
    loop = operator.runner.add(Deaf(stop), Bell(0).wait)
    for _ in range(IN_A_ROW):
        stop.clear()
        await loop.run(stop)
    status, found = await told(operator)
    assert status == 503
    assert found["saga_loop_failing", "follower"] == IN_A_ROW
    assert found["saga_http_requests_total", "GET", "/readyz", "503"] == 1


async def test_a_leader_that_cannot_place_an_order_tells_how_often_it_could_not(
    world: Operators, operator: Operator
) -> None:
    await operator.leadership.step()
    world.orders_are_away = True
    world.api.make(ORDER_SAGA_PLURAL, manifest())
    operator.engine.seen(world.api.objects[ORDER_SAGA_PLURAL, *KEY])
    for _ in range(IN_A_ROW):
        await operator.engine.look_at(KEY)
    _, found = await told(operator)
    assert found["saga_operator_failing",] == IN_A_ROW
    world.orders_are_away = False
    await operator.engine.look_at(KEY)
    _, found = await told(operator)
    assert found["saga_operator_failing",] == 0


async def test_what_an_operator_could_not_do_is_not_its_trouble_once_another_leads(
    world: Operators, operator: Operator
) -> None:
    world.api.make(ORDER_SAGA_PLURAL, manifest())
    operator.engine.seen(world.api.objects[ORDER_SAGA_PLURAL, *KEY])
    operator.engine.held[KEY].failures = IN_A_ROW
    _, found = await told(operator)
    assert found["saga_operator_failing",] == 0


async def test_what_the_operator_says_is_told_once_it_knows_the_definitions(operator: Operator) -> None:
    witness = operator.engine.acts.witness
    assert not witness.informed()
    while not operator.definitions.ready:
        await operator.definitions.step()
    assert witness.informed()
