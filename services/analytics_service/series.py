"""What is counted, by name, and how event time is cut into buckets. No IO.

A series is a number per bucket: a count, or an amount in minor units with its currency behind a colon (`captured:USD`).
Buckets exist at five levels in UTC: of a second, a minute, a quarter of an hour (by which local clocks differ), an
hour and a day. Whatever is asked for is a sum of them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)

SECOND, MINUTE, QUARTER, HOUR, DAY = 1, 60, 900, 3600, 86_400
LEVELS: Mapping[int, int] = {SECOND: 300, MINUTE: 240, QUARTER: 192, HOUR: 168, DAY: 64}
"""Seconds of a bucket → how many of them are kept in one record, from the finest level to the coarsest."""
SPANS: Mapping[int, int] = {level: level * buckets for level, buckets in LEVELS.items()}
"""Seconds of a bucket → seconds of a record."""

ORDERS = "orders"
CONFIRMED = "confirmed"
CANCELLED = "cancelled"
DECLINED = "declined"
ABORTED = "aborted"
VALUE, VALUED = "value", "valued"
CAPTURED, CAPTURES = "captured", "captures"
REFUNDED, REFUNDS = "refunded", "refunds"
DURATION = "duration"


def of_currency(series: str, currency: str) -> str:
    """Return the name of the series of one currency."""
    return f"{series}:{currency}"


def by_mode(series: str, mode: str) -> str:
    """Return the name of the series of one mode of coordination."""
    return f"{series}/{mode}"


def milliseconds(moment: datetime) -> int:
    """Return the moment as whole milliseconds since 1970 in UTC, rounded down."""
    return (moment - EPOCH) // MILLISECOND


def moment(milliseconds: int) -> datetime:
    """Return the aware moment of so many milliseconds since 1970; the nearest possible one beyond years 1 to 9999."""
    try:
        return EPOCH + milliseconds * MILLISECOND
    except OverflowError:
        return LAST if milliseconds > 0 else FIRST


def chunk_start(level: int, bucket: int) -> int:
    """Return the first second of the record that holds the bucket which begins at this second."""
    span = SPANS[level]
    return bucket // span * span


def open_end(level: int, closed_second: int) -> int:
    """Return the earliest end of a window of the level that was open when this second was the last one closed."""
    return (closed_second // level + 1) * level
