"""What a measurement turns off is off, and what it turns on again is as it was; the product knows nothing of it."""

import time
from pathlib import Path

import httpx
import pytest
from tests.box.ports import free_layout
from tests.unit.seeing.world import World, world

from onebox.bench.switched import Clock, Seeing, Switch, SwitchedBox, turn
from onebox.exposition import read

SECONDS_MAX = 30.0


def switch(its: World, seeing: Seeing, switches: dict[str, Switch], clock: Clock | None = None) -> None:
    for name, service in its.services.items():
        switches.setdefault(name, Switch(service, clock or Clock())).turn(seeing)


def number(text: str, name: str) -> float:
    return sum(measure.value for measure in read(text) if measure.name == name)


async def numbers(its: World) -> tuple[float, float, float]:
    """Return how many sagas ended, and how many steps and waits for them the payment service has measured."""
    order, payment = await its.scrape("order"), await its.scrape("payment")
    return (
        number(order, "saga_finished_total"),
        number(payment, "saga_step_duration_seconds_count"),
        number(payment, "saga_step_schedule_to_start_seconds_count"),
    )


async def until_all_ended(client: httpx.AsyncClient, url: str) -> None:
    end = time.monotonic() + SECONDS_MAX
    while (await client.get(f"{url}/orders", params={"status": "pending", "limit": 1})).json()["orders"]:
        assert time.monotonic() < end, "the saga never ended"


async def test_a_saga_is_counted_and_traced_when_that_is_turned_on_and_neither_when_it_is_not() -> None:
    its, switches = await world(), dict[str, Switch]()
    for seeing in (Seeing(traced=1.0), Seeing(counted=False), Seeing(), Seeing(traced=1.0)):
        switch(its, seeing, switches)
        order = await its.order()
        await its.run()
        assert len(its.told.of(order)) == 7 * seeing.traced
    assert await numbers(its) == (3, 3, 3), "all but the second"


async def test_who_looks_is_timed_and_who_does_not_costs_nothing() -> None:
    its, switches, clock, taken = await world(), dict[str, Switch](), Clock(), []
    for seeing in (Seeing(counted=False), Seeing(), Seeing(traced=1.0)):
        switch(its, seeing, switches, clock)
        for _ in range(10):
            await its.order()
        await its.run()
        taken.append(clock.taken())
    nothing, counted, traced = taken
    assert nothing == 0 < counted < traced


async def test_a_small_share_of_sagas_is_traced() -> None:
    its, switches = await world(), dict[str, Switch]()
    switch(its, Seeing(traced=0.25), switches)
    orders = [await its.order(items=[{"productId": "pencil", "quantity": 1, "price": 5}]) for _ in range(60)]
    await its.run()
    traced = sum(bool(its.told.of(order)) for order in orders)
    assert 0 < traced < 40


async def test_spans_that_go_nowhere_are_not_measured() -> None:
    its = await world(traced=False)
    with pytest.raises(AssertionError, match="no collector"):
        switch(its, Seeing(traced=0.01), {})


async def test_a_box_does_what_it_is_told_while_it_runs(tmp_path: Path) -> None:
    layout = free_layout()
    async with SwitchedBox(tmp_path, 1, {}, layout) as box, httpx.AsyncClient(timeout=30) as client:
        for seeing, begun in ((Seeing(counted=False), 0), (Seeing(), 1)):
            assert await turn(box, seeing) == 0
            order = {"userId": "ann", "items": [{"productId": "pen", "quantity": 1, "price": 5}]}
            (await client.post(f"{layout.url('order')}/orders", json=order)).raise_for_status()
            await until_all_ended(client, layout.url("order"))
            accept = {"Accept": "application/openmetrics-text"}
            text = (await client.get(f"{layout.url('order')}/metrics", headers=accept)).text
            assert number(text, "saga_started_total") == begun
        assert await turn(box, Seeing()) > 0
