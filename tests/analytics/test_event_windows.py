"""Windows that events make are at close what their definitions say, however late and out of order the events came."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.analytics.oracle import model
from tests.analytics.oracle.cases import Record, Window

from analytics_service.event_windows import EventWindow, sessions, sliding
from analytics_service.metrics import Point
from analytics_service.orders import Arrival

MANY = settings(max_examples=300, deadline=None)
SIZE_MS, GAP_MS = 5, 5
EARLIEST_MS = 100
"""Behind the size, because Kafka Streams has a window of its own before that."""
moments = st.integers(EARLIEST_MS, EARLIEST_MS + 40)
times = st.lists(moments, max_size=14)
graces = st.sampled_from([0, 1, 3, 5, 10])


def points(records: Sequence[Record], grace_ms: int) -> list[Point]:
    """Return the records as they come through one partition, whose clock stands still."""
    return [
        Point(record.timestamp_ms, Arrival(close, 0, offset), 0, {"count": 1, "sum": record.value})
        for offset, (record, close) in enumerate(model.arrivals(records, grace_ms))
    ]


def at_close(key: str, found: Sequence[EventWindow]) -> list[Window]:
    return [
        Window(key, window.start_ms, window.end_ms, window.at_close["count"], window.at_close["sum"])
        for window in found
        if window.at_close is not None
    ]


def inside(records: Sequence[Record], window: EventWindow) -> int:
    return sum(window.start_ms <= record.timestamp_ms <= window.end_ms for record in records)


@MANY
@given(times, graces)
def test_sliding_windows_hold_at_close_what_came_before_their_end_was_closed(told: list[int], grace_ms: int) -> None:
    records = [Record(at_ms, "ada", 2**number) for number, at_ms in enumerate(told)]
    found = sliding(points(records, grace_ms), SIZE_MS)
    assert at_close("ada", found) == list(model.sliding(records, SIZE_MS, grace_ms))


@MANY
@given(times, graces)
def test_a_sliding_window_tells_how_many_came_late(told: list[int], grace_ms: int) -> None:
    records = [Record(at_ms, "ada", 1) for at_ms in told]
    for window in sliding(points(records, grace_ms), SIZE_MS):
        assert window.now is not None
        assert window.now["count"] == inside(records, window)
        closed = 0 if window.at_close is None else window.at_close["count"]
        assert window.late_count == window.now["count"] - closed


@MANY
@given(times, graces)
@example([123, 138, 128], 10)
def test_sessions_of_one_user_are_at_close_what_came_while_they_were_open(told: list[int], grace_ms: int) -> None:
    records = [Record(at_ms, "ada", 2**number) for number, at_ms in enumerate(told)]
    found = sessions(points(records, grace_ms), GAP_MS, grace_ms)
    assert at_close("ada", found) == list(model.session(records, GAP_MS, grace_ms))


@MANY
@given(st.lists(st.tuples(moments, st.sampled_from(["ada", "bob"])), max_size=14), graces.filter(bool))
@example([(133, "bob"), (148, "ada"), (138, "bob")], 10)
def test_sessions_of_two_users_go_by_one_time(told: list[tuple[int, str]], grace_ms: int) -> None:
    """Without any lateness it is not known which of two users' orders of one millisecond made event time go on."""
    records = [Record(at_ms, user, 2**number) for number, (at_ms, user) in enumerate(told)]
    heard = points(records, grace_ms)
    found: list[Window] = []
    for user in ("ada", "bob"):
        own = [point for point, record in zip(heard, records, strict=True) if record.key == user]
        found += at_close(user, sessions(own, GAP_MS, grace_ms))
    assert found == list(model.session(records, GAP_MS, grace_ms))


@MANY
@given(times, graces)
def test_sessions_now_are_groups_without_a_longer_silence(told: list[int], grace_ms: int) -> None:
    records = [Record(at_ms, "ada", 1) for at_ms in told]
    groups = [window for window in sessions(points(records, grace_ms), GAP_MS, grace_ms) if window.now is not None]
    assert sum(window.now["count"] for window in groups if window.now) == len(records)
    for one, other in pairwise(groups):
        assert other.start_ms - one.end_ms > GAP_MS
    for window in groups:
        own = sorted(r.timestamp_ms for r in records if window.start_ms <= r.timestamp_ms <= window.end_ms)
        assert (own[0], own[-1]) == (window.start_ms, window.end_ms)
        assert all(after - before <= GAP_MS for before, after in pairwise(own))
