"""What is measured of the views when somebody scrapes: their names, kinds, units and meanings, and how."""

from collections.abc import Awaitable, Callable

from analytics_service.shapes import Summary
from sagakit.ports import Clock
from sagakit.runtime.catalogue import Named
from sagakit.runtime.metrics import Sample

LAG = Named(
    "saga_analytics_lag_seconds",
    "gauge",
    "seconds",
    "How long the oldest event that the views have not counted has been in the log; 0 when all are counted.",
)
EVENTS = Named(
    "saga_analytics_events_total",
    "counter",
    "events",
    "Events in the views since they were built, by how they came.",
    ("kind",),
)
WATERMARK = Named(
    "saga_analytics_watermark_age_seconds", "gauge", "seconds", "How far event time is behind the clock, everywhere."
)
VERSION = Named("saga_analytics_version", "gauge", "version", "The number of the version of the views that answers.")
CATALOGUE = (LAG, EVENTS, WATERMARK, VERSION)


async def measures(glance: Callable[[], Awaitable[Summary | None]], clock: Clock) -> list[Sample]:
    """Return what is measured; nothing before the views are open."""
    seen = await glance()
    if seen is None:
        return []
    oddities = seen.oddities
    kinds = {
        "counted": seen.events,
        "late": oddities.late,
        "duplicate": oddities.duplicates,
        "future": oddities.future,
        "past": oddities.past,
    }
    samples: list[Sample] = [(EVENTS, (kind,), number) for kind, number in kinds.items()]
    if seen.watermark is not None:
        samples.append((WATERMARK, (), max(0.0, (clock.now() - seen.watermark).total_seconds())))
    return [*samples, (LAG, (), seen.lag_seconds), (VERSION, (), seen.version)]
