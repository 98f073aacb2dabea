"""Answers about windows: the question's windows, filled from one moment of the views."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from analytics_service.bucket_windows import Contents
from analytics_service.calendar_windows import WINDOWS_MAX, Span, WindowError, spans
from analytics_service.event_windows import EventWindow, sessions, sliding
from analytics_service.live import closed_ms
from analytics_service.metrics import RECIPES, Metric, Point, points
from analytics_service.orders import JoinedOrder
from analytics_service.questions import Question, WindowType
from analytics_service.reading import activity, events, lanes, placed, windows
from analytics_service.series import milliseconds, moment
from analytics_service.shapes import Windows, WindowShown
from analytics_service.tables import Lane
from analytics_service.views import EVENT_TOPICS
from sagakit.ports import Reader

USERS_MAX = 200
"""So many users' neighbouring orders are looked up for one answer."""


async def answer(reader: Reader, asked: Question, lateness_ms: int, partitions: int) -> Windows:
    """Return the windows that a question asks for, of a log with so many partitions per topic.

    Raises:
        WindowError: when they cannot be had.
    """
    known = await lanes(reader)
    closed = closed_until(known, asked.metric, lateness_ms, partitions)
    match asked.type:
        case WindowType.TUMBLING | WindowType.HOPPING:
            shown = await fixed(reader, asked, closed)
        case WindowType.SLIDING:
            shown = await _sliding(reader, asked, closed)
        case WindowType.SESSION:
            shown = await _sessions(reader, asked, closed, lateness_ms)
    recipe = RECIPES[asked.metric]
    return Windows(
        metric=asked.metric,
        type=asked.type,
        unit=recipe.unit,
        currency=asked.currency if recipe.of_money else None,
        size_seconds=_seconds(asked.size_ms),
        step_seconds=_seconds(asked.step_ms),
        gap_seconds=_seconds(asked.gap_ms),
        time_zone=asked.zone_name,
        from_=asked.start,
        to=asked.end,
        end_inclusive=asked.type in (WindowType.SLIDING, WindowType.SESSION),
        allowed_lateness_seconds=lateness_ms / 1000,
        watermark=watermark(known),
        windows=shown,
    )


async def fixed(reader: Reader, asked: Question, closed: int | None) -> list[WindowShown]:
    """Return tumbling or hopping windows; what ends at or before `closed` is final."""
    assert asked.size_ms is not None, "such windows have a size"
    assert asked.step_ms is not None, "and a step"
    size, step = asked.size_ms // 1000, asked.step_ms // 1000
    found = spans(size, step, asked.start, asked.end, asked.zone)
    filled = await windows(reader, asked.metric, asked.currency, found, size)
    return [_bucket(asked, span, own, closed) for span, own in zip(found, filled, strict=True)]


def closed_until(known: Sequence[Lane], metric: Metric, lateness_ms: int, partitions: int) -> int | None:
    """Return what is closed in every partition of the topics that a metric comes from; None when nothing is.

    A partition that nothing was heard of has closed nothing, until it is lifted.
    """
    topics = RECIPES[metric].lanes
    told = [closed_ms(lane, lateness_ms) for lane in known if lane.topic in topics]
    heard = [at for at in told if at is not None]
    return min(heard) if len(heard) == partitions * len(topics) else None


def watermark(known: Sequence[Lane]) -> datetime | None:
    """Return how far event time has come everywhere: the least of the lanes that are not idle, else the furthest."""
    heard = [lane for lane in known if lane.stream_ms is not None and lane.topic in EVENT_TOPICS]
    active = [lane.stream_ms for lane in heard if not lane.idle and lane.stream_ms is not None]
    at_ms = min(active) if active else max((lane.stream_ms or 0 for lane in heard), default=None)
    return None if at_ms is None else moment(at_ms)


def _bucket(asked: Question, span: Span, own: Contents, closed: int | None) -> WindowShown:
    value = RECIPES[asked.metric].value
    return WindowShown(
        start=moment(span.start * 1000),
        end=moment(span.end * 1000),
        now=value(own.now, asked.currency),
        at_close=value(own.at_close, asked.currency),
        late_count=own.late_count,
        final=closed is not None and span.end * 1000 <= closed,
    )


async def _sliding(reader: Reader, asked: Question, closed: int | None) -> list[WindowShown]:
    assert asked.size_ms is not None, "such windows have a size"
    size, first, end = asked.size_ms, milliseconds(asked.start), milliseconds(asked.end)
    found = await events(reader, asked.metric, asked.currency, first - 1, end + size)
    inside = [window for window in sliding(found, size) if first <= window.start_ms < end]
    _refuse_many(inside)
    return [_event(asked, window, None, closed, 0) for window in inside]


async def _sessions(reader: Reader, asked: Question, closed: int | None, lateness_ms: int) -> list[WindowShown]:
    """Return the sessions of one user, or of all that ordered in the range."""
    assert asked.gap_ms is not None, "sessions have a gap"
    first, end = milliseconds(asked.start), milliseconds(asked.end)
    orders, beyond_ms = await placed(reader, first, end, asked.gap_ms, asked.user_id)
    by_user: defaultdict[str, list[JoinedOrder]] = defaultdict(list)
    active: set[str] = set()
    for row in orders:
        assert row.user_id is not None, "an order that was placed has a user"
        assert row.created_ms is not None, "it was found by that"
        by_user[row.user_id].append(row)
        if first <= row.created_ms < end:
            active.add(row.user_id)
    if not beyond_ms and len(active) > USERS_MAX:
        rule = (
            f"sessions of {len(active):,} users may reach beyond the range, which is looked up for {USERS_MAX} at most"
        )
        raise WindowError("gap", f"{rule}: choose a shorter gap or range, or one user")
    shown: list[tuple[int, str, WindowShown]] = []
    for user_id in sorted(active):
        near = await activity(reader, user_id, by_user[user_id], first - beyond_ms, end + beyond_ms, asked.gap_ms)
        own: list[Point] = [point for row in near for point in points(row, asked.metric, asked.currency)]
        shown += [
            (window.start_ms, user_id, _event(asked, window, user_id, closed, asked.gap_ms))
            for window in sessions(own, asked.gap_ms, lateness_ms)
            if first <= window.start_ms < end
        ]
        _refuse_many(shown)
    return [window for *_, window in sorted(shown, key=lambda found: found[:2])]


def _event(asked: Question, window: EventWindow, user_id: str | None, closed: int | None, gap_ms: int) -> WindowShown:
    value = RECIPES[asked.metric].value
    return WindowShown(
        start=moment(window.start_ms),
        end=moment(window.end_ms),
        user_id=user_id,
        now=None if window.now is None else value(window.now, asked.currency),
        at_close=None if window.at_close is None else value(window.at_close, asked.currency),
        late_count=window.late_count,
        final=closed is not None and window.end_ms + gap_ms < closed,
    )


def _refuse_many(found: Sequence[object]) -> None:
    if len(found) > WINDOWS_MAX:
        raise WindowError("to", f"there are more than {WINDOWS_MAX:,} windows in the range: ask for a shorter one")


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000
