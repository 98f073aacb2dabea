"""Times as people read them: a moment in UTC to the millisecond, a length in the unit that fits."""

from datetime import UTC, datetime, timedelta

UNKNOWN = "-"
MINUTES_FROM_SECONDS = 600
HOURS_FROM_SECONDS = 36_000


def moment(at: datetime | None) -> str:
    """Return the moment, so that the order of the texts is that of time."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z" if at is not None else UNKNOWN


def between(begin: datetime | None, end: datetime | None) -> str:
    """Return how long it took."""
    return length(end - begin) if begin is not None and end is not None else UNKNOWN


def length(span: timedelta) -> str:
    """Return a length of time in three digits or so."""
    seconds = span.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < MINUTES_FROM_SECONDS:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < HOURS_FROM_SECONDS else f"{seconds / 3600:.0f} h"


def distance(at: datetime, now: datetime) -> str:
    """Return how far a moment is from now, in words."""
    return f"{length(now - at)} ago" if at <= now else f"in {length(at - now)}"
