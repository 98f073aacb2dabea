"""What the views tell of themselves at a scrape: each instance counts what it folded, and knows how far it has come."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.analytics.running import NOW_MS, Running
from tests.analytics.shop import confirmed_order, placed
from tests.analytics.test_instances import IDLE_SECONDS, World, follow

from analytics_service.live import Idleness, Live, Surroundings
from analytics_service.measures import (
    EVENTS,
    LAG,
    LATE,
    ODD,
    RESULTS,
    STATE_ROWS,
    UNMATCHED,
    VERSION,
    WATERMARK,
    measures,
)
from sagakit.ports import StoreUnavailableError
from sagakit.runtime.catalogue import Named
from sagakit.runtime.failpoints import ARMED

LATENESS_MS = 60_000
TOPIC = "orders.events"
MINUTE_MS = 60_000


@dataclass
class Instance:
    """One instance of the analytics, and what it tells."""

    its: Surroundings

    def __post_init__(self) -> None:
        self.live = Live(self.its)

    async def told(self, since: datetime | None = None) -> dict[tuple[Named, *tuple[str, ...]], Any]:
        async def waiting_since() -> datetime | None:
            return since

        samples = await measures(self.live, waiting_since, self.its.clock, LATENESS_MS)
        return {(named, *labels): value for named, labels, value in samples}


async def test_nothing_is_told_before_the_views_are_open() -> None:
    assert await Instance(World().instance("0")).told() == {}


async def test_an_event_that_comes_after_its_window_is_counted_as_late_on_its_topic() -> None:
    world = World()
    one = Instance(world.instance("0"))
    await follow(one.live)
    assert (await one.told())[LATE, TOPIC] == 0, "a counter is there before it counts"
    await world.order(0, NOW_MS)
    await world.order(0, NOW_MS - 2 * MINUTE_MS)
    await world.order(1, NOW_MS - 2 * MINUTE_MS)
    await follow(one.live)
    told = await one.told()
    assert (told[EVENTS, TOPIC], told[LATE, TOPIC]) == (3, 1), "the other partition has a time of its own"
    assert (told[EVENTS, "payments.events"], told[LATE, "payments.events"]) == (0, 0)
    assert told[VERSION,] == 1


async def test_an_event_that_is_odd_is_counted_by_how() -> None:
    world = World()
    one = Instance(world.instance("0"))
    for at_ms in (NOW_MS, NOW_MS, NOW_MS + 10 * MINUTE_MS, NOW_MS - 10**10):
        await world.order(0, at_ms)
    await follow(one.live)
    told = await one.told()
    assert {kind: told[ODD, TOPIC, kind] for kind in ("duplicate", "future", "past")} == {
        "duplicate": 1,
        "future": 1,
        "past": 1,
    }


async def test_what_is_taken_back_is_not_counted_and_counts_once_when_it_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    one = Instance(world.instance("0"))
    await follow(one.live)
    await world.order(0, NOW_MS)

    def away() -> None:
        raise StoreUnavailableError("the disk is full")

    with monkeypatch.context() as armed:
        armed.setitem(ARMED, "consumer.within", away)
        with pytest.raises(StoreUnavailableError):
            await one.live.step()
    assert (await one.told())[EVENTS, TOPIC] == 0
    await follow(one.live)
    assert (await one.told())[EVENTS, TOPIC] == 1


async def test_each_instance_tells_of_its_own_partitions_and_together_they_tell_of_all() -> None:
    world = World()
    one, other = Instance(world.instance("0")), Instance(world.instance("1"))
    await follow(one.live, other.live)
    await world.order(0, NOW_MS)
    await world.order(1, NOW_MS - 30_000)
    await world.order(1, NOW_MS - 30_001)
    await follow(one.live, other.live)
    told = [await its.told() for its in (one, other)]
    assert sorted(its[EVENTS, TOPIC] for its in told) == [1, 2]
    assert sorted(its[WATERMARK, TOPIC] for its in told) == [0.0, 30.0]
    assert [its[UNMATCHED,] for its in told] == [30.001, 30.001], "of the store, all say the same"


async def test_the_watermark_ages_with_the_clock_and_an_idle_partition_does_not_hold_it() -> None:
    world = World()
    its = world.instance("0")
    one = Instance(its)
    await world.order(0, NOW_MS)
    await world.order(1, NOW_MS - 5 * MINUTE_MS)
    await follow(one.live)
    assert (await one.told())[WATERMARK, TOPIC] == 300
    world.clock.moment += timedelta(seconds=IDLE_SECONDS + 1)
    assert (await one.told())[WATERMARK, TOPIC] == 300 + IDLE_SECONDS + 1
    await Idleness(its, one.live, IDLE_SECONDS).step()
    assert (await one.told())[WATERMARK, TOPIC] == IDLE_SECONDS + 1


async def test_an_order_is_unmatched_until_everything_was_heard_of_it() -> None:
    shop = Running()

    async def age() -> float:
        await shop.hear()
        text = (await shop.client.get("/metrics")).text
        [line] = [line for line in text.splitlines() if line.startswith(UNMATCHED.name)]
        return float(line.split()[1])

    await shop.hear()
    assert await age() == 0
    first, *rest = confirmed_order("order-1", NOW_MS)
    await shop.publish([first])
    shop.clock.moment += timedelta(seconds=90)
    assert await age() == pytest.approx(90, abs=1)
    await shop.publish(rest)
    assert await age() == 0


async def test_an_order_is_a_result_once_nothing_is_missing_of_it_and_a_row_from_its_beginning() -> None:
    shop = Running()

    async def told() -> dict[str, float]:
        await shop.hear()
        lines = (await shop.client.get("/metrics")).text.splitlines()
        counted = (line for line in lines if line.startswith((RESULTS.name, STATE_ROWS.name)))
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in counted}

    def figures(joined: float, high: float, rows: float) -> dict[str, float]:
        return {
            f'{RESULTS.name}{{result="joined order"}}': joined,
            f'{RESULTS.name}{{result="high-value order"}}': high,
            STATE_ROWS.name: rows,
        }

    await shop.hear()
    assert await told() == figures(0, 0, 0)
    first, *rest = confirmed_order("order-1", NOW_MS)
    await shop.publish([first, placed("order-2", NOW_MS, total="5000.00")])
    assert await told() == figures(0, 1, 2)
    await shop.publish(rest)
    assert await told() == figures(1, 1, 2)
    await shop.publish([first, *rest])
    assert await told() == figures(1, 1, 2), "what was heard before is no news"


async def test_the_lag_is_the_age_of_what_was_not_counted_yet() -> None:
    world = World()
    one = Instance(world.instance("0"))
    await follow(one.live)
    assert (await one.told())[LAG,] == 0
    assert (await one.told(world.clock.now() - timedelta(seconds=7)))[LAG,] == 7


async def test_a_scrape_tells_all_of_it() -> None:
    shop = Running()
    await shop.hear([placed("order-1", NOW_MS)])
    text = (await shop.client.get("/metrics")).text
    assert f'{EVENTS.name}{{topic="{TOPIC}"}} 1.0' in text
    assert f'{LATE.name}{{topic="{TOPIC}"}} 0.0' in text
    assert f'{WATERMARK.name}{{topic="{TOPIC}"}} ' in text
