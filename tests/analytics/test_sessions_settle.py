"""A session that is over stays as it is, through whichever partition and by whatever clock its orders came."""

from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from analytics_service.event_windows import EventWindow, sessions
from analytics_service.metrics import Point
from analytics_service.orders import Arrival

GAP_MS = 5
PARTITIONS = 2
Told = tuple[int, int, int]
"""The partition and the time of an order, and when the log took it: its clock may be put back."""
orders = st.lists(
    st.tuples(st.integers(0, PARTITIONS - 1), st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=12
)


def arrived(told: list[Told], lateness_ms: int) -> list[tuple[Point, int | None]]:
    """Return each order with what is closed in every partition after it; None before all have heard something."""
    stream: dict[int, int] = {}
    found: list[tuple[Point, int | None]] = []
    for offset, (partition, at_ms, logged_ms) in enumerate(told):
        stream[partition] = max(stream.get(partition, at_ms), at_ms)
        arrival = Arrival(stream[partition] - lateness_ms, logged_ms, offset)
        closed = min(stream.values()) - lateness_ms if len(stream) == PARTITIONS else None
        found.append((Point(at_ms, arrival, partition, {"orders": 1}), closed))
    return found


def over(points: list[Point], closed_ms: int | None, lateness_ms: int) -> dict[tuple[int, int], Counter[str]]:
    """Return the sessions that are final, at close."""
    return {
        (window.start_ms, window.end_ms): window.at_close
        for window in sessions(points, GAP_MS, lateness_ms)
        if closed_ms is not None and window.end_ms + GAP_MS < closed_ms and window.at_close is not None
    }


@settings(max_examples=300, deadline=None)
@given(orders, st.sampled_from([0, 3, 10]))
@example([(0, 0, 9), (0, 8, 9), (1, 8, 9), (0, 4, 0)], 0)
def test_a_session_that_is_over_stays_as_it_is_whatever_still_comes(told: list[Told], lateness_ms: int) -> None:
    points: list[Point] = []
    known: dict[tuple[int, int], Counter[str]] = {}
    for point, closed_ms in arrived(told, lateness_ms):
        points.append(point)
        now = over(points, closed_ms, lateness_ms)
        assert {extent: now.get(extent) for extent in known} == known
        known = now


@settings(max_examples=200, deadline=None)
@given(orders, st.sampled_from([0, 3, 10]), st.randoms(use_true_random=False))
def test_the_clock_of_the_log_and_the_order_of_reading_change_no_session(
    told: list[Told], lateness_ms: int, chance: object
) -> None:
    points = [point for point, _ in arrived(told, lateness_ms)]
    by_another_clock = [
        Point(p.at_ms, Arrival(p.arrival.closed_ms, 0, p.arrival.offset), p.partition, p.sums) for p in points
    ]
    chance.shuffle(by_another_clock)  # type: ignore[attr-defined]
    found: list[list[EventWindow]] = [sessions(those, GAP_MS, lateness_ms) for those in (points, by_another_clock)]
    assert found[0] == found[1]
