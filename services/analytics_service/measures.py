"""What is told of the views when somebody scrapes: their names, kinds, units and meanings, and how it is found."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime

from analytics_service.desk import Desk
from analytics_service.live import Live, closed_ms
from analytics_service.reading import lanes, totals
from analytics_service.series import ORDERS, milliseconds
from analytics_service.tables import JOINED, Lane
from analytics_service.views import EVENT_TOPICS, Views
from sagakit.ports import Clock, Query, Reader
from sagakit.runtime.catalogue import Named
from sagakit.runtime.metrics import Sample

LAG = Named(
    "saga_analytics_lag_seconds",
    "gauge",
    "seconds",
    "How long the oldest event that the views have not counted has been in the log; 0 when all are counted. Every "
    "instance says the same, so take the greatest.",
)
EVENTS = Named(
    "saga_analytics_events_total", "counter", "events", "Events that the views that answer took in.", ("topic",)
)
LATE = Named(
    "saga_analytics_late_events_total",
    "counter",
    "events",
    "Those of them that came late: what their partition had closed reached beyond their time.",
    ("topic",),
)
ODD = Named(
    "saga_analytics_odd_events_total",
    "counter",
    "events",
    "Those of them that were heard before, or have a time that nobody believes: in the future, or long past.",
    ("topic", "kind"),
)
WATERMARK = Named(
    "saga_analytics_watermark_age_seconds",
    "gauge",
    "seconds",
    "How far event time is behind the clock in our partitions of the topic, where it is furthest; an idle one goes "
    "along with the others.",
    ("topic",),
)
UNMATCHED = Named(
    "saga_analytics_oldest_unmatched_age_seconds",
    "gauge",
    "seconds",
    "The age of the oldest order of which something is missing; 0 without one. Every instance says the same.",
)
RESULTS = Named(
    "saga_analytics_results_total",
    "counter",
    "results",
    "Results put out: orders of which nothing is missing any more in the views that answer, and orders of high value "
    "that were said.",
    ("result",),
)
STATE_ROWS = Named(
    "saga_analytics_state_rows",
    "gauge",
    "rows",
    "Orders that the views that answer hold a row of, by their running totals: it is these that state grows with. "
    "Every instance says the same.",
)
VERSION = Named("saga_analytics_version", "gauge", "version", "The number of the version of the views that answers.")
CATALOGUE = (LAG, EVENTS, LATE, ODD, WATERMARK, UNMATCHED, RESULTS, STATE_ROWS, VERSION)
JOINED_ORDER, HIGH_VALUE_ORDER = "joined order", "high-value order"
KINDS = {"duplicates": "duplicate", "future": "future", "past": "past"}
"""How an event was odd, as the views call it → as the label does."""


async def measures(
    live: Live, waiting_since: Callable[[], Awaitable[datetime | None]], clock: Clock, lateness_ms: int
) -> list[Sample]:
    """Return what is measured; nothing before the views are open."""
    follower, mine = live.follower, live.partitions
    if follower is None:
        return []

    async def look(reader: Reader) -> tuple[list[Lane], int | None, int]:
        oldest = await reader.select(JOINED, Query(by="waiting_since_ms", limit=1))
        orders = (await totals(reader)).get(ORDERS, 0)
        return await lanes(reader), oldest[0].waiting_since_ms if oldest else None, orders

    known, oldest_ms, orders = await follower.store.view(look)
    since = await waiting_since()
    now = clock.now()
    now_ms = milliseconds(now)
    return [
        *_counted(follower.views),
        *_watermarks([lane for lane in known if lane.partition in mine], now_ms, lateness_ms),
        (RESULTS, (JOINED_ORDER,), follower.views.joined),
        (STATE_ROWS, (), orders),
        (UNMATCHED, (), _age(oldest_ms, now_ms)),
        (LAG, (), 0.0 if since is None else max(0.0, (now - since).total_seconds())),
        (VERSION, (), follower.number),
    ]


def said(desk: Desk) -> Iterable[Sample]:
    """Return what the desk counted."""
    yield RESULTS, (HIGH_VALUE_ORDER,), desk.said


def _counted(views: Views) -> Iterable[Sample]:
    for topic in sorted(EVENT_TOPICS):
        yield EVENTS, (topic,), views.counts[topic, "events"]
        yield LATE, (topic,), views.counts[topic, "late"]
        for how, kind in KINDS.items():
            yield ODD, (topic, kind), views.counts[topic, how]


def _watermarks(mine: Sequence[Lane], now_ms: int, lateness_ms: int) -> Iterable[Sample]:
    for topic in sorted({lane.topic for lane in mine}):
        closed = [at_ms for lane in mine if lane.topic == topic and (at_ms := closed_ms(lane, lateness_ms)) is not None]
        if closed:
            yield WATERMARK, (topic,), _age(min(closed) + lateness_ms, now_ms)


def _age(since_ms: int | None, now_ms: int) -> float:
    return 0.0 if since_ms is None else max(0.0, (now_ms - since_ms) / 1000)
