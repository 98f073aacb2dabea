"""What is said to be final never changes again, whatever still comes, and however idle lanes are lifted."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.analytics.shop import Shop, at, placed

from analytics_service.live import lifted
from analytics_service.tables import LANES, Lane
from analytics_service.views import EVENT_TOPICS, lane_key
from sagakit.core.partitioner import partition_of
from sagakit.ports import Transaction

pytestmark = pytest.mark.anyio

BEGINNING_MS = 1_767_225_600_000
PARTITIONS = 2
QUESTIONS: tuple[Mapping[str, str], ...] = (
    {"kind": "tumbling", "size": "7s"},
    {"kind": "hopping", "size": "60s", "step": "20s"},
    {"kind": "sliding", "size": "5s"},
    {"kind": "session", "gap": "4s"},
)
Event = tuple[int, int, bool]
"""When an order was placed, in which partition, and whether everybody else is idle afterwards."""
events = st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, PARTITIONS - 1), st.booleans()), max_size=12)


def order_in(partition: int, number: int) -> str:
    """Return the id of an order that goes to this partition."""
    names = (f"order-{number}-{attempt}" for attempt in range(100))
    return next(name for name in names if partition_of(name, PARTITIONS) == partition)


async def lift(shop: Shop, idle: set[int], topics: frozenset[str] = EVENT_TOPICS) -> None:
    """Let the lanes of these partitions come along with the others."""

    async def work(transaction: Transaction) -> None:
        known = await transaction.load(LANES, [lane_key(t, p) for t in topics for p in range(PARTITIONS)])
        places = {
            (topic, partition): known.get(lane_key(topic, partition))
            or Lane(lane=lane_key(topic, partition), topic=topic, partition=partition)
            for topic in topics
            for partition in range(PARTITIONS)
        }
        silent = {place for place, lane in places.items() if lane.stream_ms is None or place[1] in idle}
        await transaction.save(LANES, lifted(places, silent, shop.lateness_ms))

    await shop.store.transact(work)


async def finals(shop: Shop, **asked: Any) -> dict[tuple[Any, ...], Any]:  # noqa: ANN401 - words of a question
    told = await shop.windows(
        start=at(BEGINNING_MS - 60_000).isoformat(), end=at(BEGINNING_MS + 70_000).isoformat(), **asked
    )
    return {(w.user_id, w.start, w.end): w.at_close for w in told.windows if w.final and w.at_close is not None}


@pytest.mark.parametrize("asked", QUESTIONS, ids=lambda asked: asked["kind"])
@settings(max_examples=40, deadline=None)
@given(events, st.sampled_from([0, 1000, 5000]))
async def test_what_is_final_stays_as_it_is(asked: Mapping[str, str], heard: list[Event], lateness_ms: int) -> None:
    shop = Shop(lateness_ms=lateness_ms, partitions=PARTITIONS)
    told: dict[tuple[Any, ...], Any] = {}
    for number, (offset_ms, partition, is_quiet) in enumerate(heard):
        await shop.hear(placed(order_in(partition, number), BEGINNING_MS + offset_ms))
        now = await finals(shop, **asked)
        assert {extent: now.get(extent) for extent in told} == told
        told = now
        if is_quiet:
            await lift(shop, {*range(PARTITIONS)} - {partition})


@pytest.mark.parametrize(("past_ms", "final"), [(-1, False), (0, True), (1, True)])
async def test_a_window_is_final_once_its_end_and_the_lateness_have_passed_and_not_a_millisecond_before(
    past_ms: int, final: bool
) -> None:
    shop = Shop(lateness_ms=1000)
    await shop.hear(placed("order-1", BEGINNING_MS), placed("order-2", BEGINNING_MS + 8000 + past_ms))
    start, end = at(BEGINNING_MS).isoformat(), at(BEGINNING_MS + 1000).isoformat()
    (window,) = (await shop.windows(size="7s", start=start, end=end)).windows
    assert window.final == final
