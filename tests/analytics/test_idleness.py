"""A partition in which nothing happens holds nobody up; one that has not been read does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.analytics.running import NOW_MS, Running
from tests.analytics.shop import placed

from analytics_service.live import Place, closed_ms, lifted
from analytics_service.reading import every
from analytics_service.series import moment
from analytics_service.settings import AnalyticsSettings
from analytics_service.tables import LANES, Lane
from analytics_service.views import EVENT_TOPICS, lane_key
from analytics_service.window_answers import watermark
from sagakit.core.partitioner import partition_of

TOPIC = "orders.events"
LATENESS_MS = 10


def lanes(*streams: int | None, idle: bool = False) -> dict[Place, Lane]:
    """Return a lane for each stream time; None is one that nothing was heard of."""
    return {
        (TOPIC, number): Lane(lane=lane_key(TOPIC, number), topic=TOPIC, partition=number, stream_ms=at_ms, idle=idle)
        for number, at_ms in enumerate(streams)
    }


def places(*numbers: int) -> set[Place]:
    return {(TOPIC, number) for number in numbers}


def closed_after(known: dict[Place, Lane], idle: set[Place]) -> list[int | None]:
    """Return what is closed in each lane once those that are idle came along."""
    changed = {(lane.topic, lane.partition): lane for lane in lifted(known, idle, LATENESS_MS)}
    return [closed_ms(changed.get(place, lane), LATENESS_MS) for place, lane in known.items()]


@pytest.mark.parametrize(
    ("streams", "idle", "closed"),
    [
        ((100, 50), (1,), [90, 90]),
        ((100, 200, 50), (2,), [90, 190, 90]),
        ((100, 200), (0, 1), [190, 190]),
        ((100, None), (1,), [90, 90]),
        ((100, None), (0, 1), [90, 90]),
        ((None, None), (0, 1), [None, None]),
        ((100, 50), (), [90, 40]),
        ((50, 100), (1,), [40, 90]),
    ],
    ids=[
        "an idle lane goes along with a busy one",
        "with the slowest of the busy ones",
        "when all are idle, with the furthest",
        "also one that nothing was ever heard of",
        "and when that and all others are idle",
        "where nothing happened nothing is closed",
        "a busy lane waits for itself alone",
        "nobody is put back",
    ],
)
def test_who_is_idle_comes_along(
    streams: tuple[int | None, ...], idle: tuple[int, ...], closed: list[int | None]
) -> None:
    assert closed_after(lanes(*streams), places(*idle)) == closed


def test_nobody_is_lifted_while_a_lane_that_is_not_read_may_hold_something_old() -> None:
    assert closed_after(lanes(100, 50, None), places(1)) == [90, 40, None]


def test_a_lane_is_idle_only_as_long_as_it_is() -> None:
    (after,) = (lane for lane in lifted(lanes(100, 50), places(1), LATENESS_MS) if lane.partition == 1)
    assert (after.idle, after.lifted_ms, after.stream_ms) == (True, 90, 50)
    (again,) = lifted({(TOPIC, 0): lanes(100)[TOPIC, 0], (TOPIC, 1): after}, set(), LATENESS_MS)
    assert (again.idle, again.lifted_ms) == (False, 90)


def test_what_does_not_change_is_not_written_again() -> None:
    known = lanes(100, 100)
    once = {(lane.topic, lane.partition): lane for lane in lifted(known, places(1), LATENESS_MS)}
    assert lifted({**known, **once}, places(1), LATENESS_MS) == []


times = st.one_of(st.none(), st.integers(0, 200))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(times, times), min_size=1, max_size=5), st.lists(st.sets(st.integers(0, 4)), max_size=4))
def test_what_is_closed_only_ever_grows_and_never_beyond_a_busy_lane(
    heard: list[tuple[int | None, int | None]], turns: list[set[int]]
) -> None:
    known = {
        (TOPIC, n): Lane(lane=lane_key(TOPIC, n), topic=TOPIC, partition=n, stream_ms=stream, lifted_ms=before)
        for n, (stream, before) in enumerate(heard)
    }
    for turn in turns:
        idle = places(*turn) & known.keys()
        before = {place: closed_ms(lane, LATENESS_MS) for place, lane in known.items()}
        known |= {(lane.topic, lane.partition): lane for lane in lifted(known, idle, LATENESS_MS)}
        after = {place: closed_ms(lane, LATENESS_MS) for place, lane in known.items()}
        assert all(at is None or (after[place] or 0) >= at for place, at in before.items())
        assert {place: after[place] for place in known.keys() - idle} == {p: before[p] for p in known.keys() - idle}
        busy = [before[place] for place in known.keys() - idle]
        for place in idle:
            assert after[place] == before[place] or (None not in busy and after[place] <= min(busy, default=10**9))  # type: ignore[operator,type-var]


@pytest.mark.parametrize(
    ("known", "at_ms"),
    [
        (lanes(), None),
        (lanes(None, None), None),
        (lanes(100, 50), 50),
        (lanes(100, None), 100),
        ({**lanes(100, 50), **{p: lane for p, lane in lanes(0, 50, idle=True).items() if p[1] == 1}}, 100),
        (lanes(100, 50, idle=True), 100),
    ],
    ids=["no lane", "nothing heard", "the slowest", "unheard", "idle ones hold nobody up", "all idle: the furthest"],
)
def test_event_time_has_come_as_far_as_the_slowest_lane_that_is_not_idle(
    known: dict[Place, Lane], at_ms: int | None
) -> None:
    assert watermark([*known.values()]) == (None if at_ms is None else moment(at_ms))


def in_partition(partition: int, word: str = "order") -> str:
    return next(name for name in (f"{word}-{n}" for n in range(100)) if partition_of(name, 2) == partition)


async def closed_of(shop: Running) -> dict[str, int | None]:
    """Return what is closed in each lane that there is a row of."""
    store = next(c for c in shop.service.consumers if c.name == "analytics views").store  # type: ignore[attr-defined]
    return {lane.lane: closed_ms(lane, 60_000) for lane in await store.view(lambda reader: every(reader, LANES))}


async def test_after_a_quiet_while_every_window_of_the_past_becomes_final() -> None:
    shop = Running(AnalyticsSettings(port=0, idle_seconds=10))
    asked = "/analytics/windows?size=1m&from=2025-12-31T23:57:00Z&to=2026-01-01T00:00:00Z"
    async with shop.client:
        await shop.hear([placed(in_partition(0), NOW_MS)])
        before = [window["final"] for window in (await shop.ask(asked))["windows"]]
        shop.clock.moment = moment(NOW_MS + 11_000)
        await shop.hear()
        closed = await closed_of(shop)
        after = [window["final"] for window in (await shop.ask(asked))["windows"]]
        revenue = [w["final"] for w in (await shop.ask(f"{asked}&metric=revenue"))["windows"]]
    assert closed == {lane_key(topic, n): NOW_MS - 60_000 for topic in EVENT_TOPICS for n in range(2)}
    assert after == revenue == [True, True, False]
    assert before == after  # a lane that was never heard of and is read to its end is idle from the beginning


async def test_a_lane_that_spoke_a_moment_ago_is_not_idle() -> None:
    shop = Running(AnalyticsSettings(port=0, idle_seconds=10))
    async with shop.client:
        await shop.hear([placed(in_partition(0), NOW_MS), placed(in_partition(1), NOW_MS - 30_000)])
        first = await closed_of(shop)
        shop.clock.moment = moment(NOW_MS + 5_000)
        await shop.hear([placed(in_partition(0, "again"), NOW_MS + 5_000)])
        second = await closed_of(shop)
    assert first[lane_key(TOPIC, 1)] == second[lane_key(TOPIC, 1)] == NOW_MS - 90_000
