"""What a caller may ask about windows, parsed from text; every question that makes no sense gets a sentence."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from analytics_service.calendar_windows import WindowError
from analytics_service.metrics import RECIPES, Metric
from analytics_service.series import DAY, HOUR, MINUTE
from shop_contracts.money import MoneyError, exponent

UNITS = {"ms": 1, "s": 1000, "m": MINUTE * 1000, "h": HOUR * 1000, "d": DAY * 1000, "": 1000}
LENGTH = re.compile(r"([0-9]{1,12})(ms|s|m|h|d|)")
LENGTH_MS_MAX = 366 * DAY * 1000
WINDOWS_SHOWN = 60
SIZE_DEFAULT = "1m"
GAP_DEFAULT = "30m"
YEARS = range(2, 9998)
"""So that windows of a year that begin in the last of them end within the calendar, by any clock."""

E = TypeVar("E", bound=StrEnum)


class WindowType(StrEnum):
    """How windows lie: side by side, overlapping, around each event, or between silences."""

    TUMBLING = "tumbling"
    HOPPING = "hopping"
    SLIDING = "sliding"
    SESSION = "session"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Which windows of which metric begin in `[start, end)`. Lengths that mean nothing are None."""

    metric: Metric
    type: WindowType
    currency: str
    size_ms: int | None
    step_ms: int | None
    gap_ms: int | None
    start: datetime
    end: datetime
    zone_name: str
    user_id: str | None

    @property
    def zone(self) -> tzinfo:
        """The caller's time zone."""
        return zone_of(self.zone_name)


def parsed(
    *,
    metric: str,
    kind: str,
    currency: str,
    size: str | None,
    step: str | None,
    gap: str | None,
    start: str | None,
    end: str | None,
    zone_name: str,
    user_id: str | None,
    now: datetime,
) -> Question:
    """Return the question that these words ask.

    Raises:
        WindowError: with the parameter that makes no sense.
    """
    of = _one_of(Metric, "metric", metric)
    window = _one_of(WindowType, "type", kind)
    zone = zone_of(zone_name)
    size_ms, step_ms, gap_ms = _lengths(window, size, step, gap)
    if RECIPES[of].of_money:
        try:
            exponent(currency)
        except MoneyError as error:
            raise WindowError("currency", str(error)) from None
    if window is WindowType.SESSION and of not in (Metric.ORDERS, Metric.ORDER_VALUE, Metric.AVERAGE_ORDER_VALUE):
        raise WindowError(
            "metric", "of a session must be orders, orderValue or averageOrderValue: a user's orders make it"
        )
    if user_id is not None and window is not WindowType.SESSION:
        raise WindowError("userId", "needs type=session: the others are not kept per user")
    until = now if end is None else _moment("to", end, zone)
    span = timedelta(milliseconds=(step_ms or gap_ms or size_ms or 0) * WINDOWS_SHOWN)
    since = _before(until, span) if start is None else _moment("from", start, zone)
    if since >= until:
        raise WindowError("from", f"{since.isoformat()} must be before to, which is {until.isoformat()}")
    return Question(
        metric=of,
        type=window,
        currency=currency,
        size_ms=size_ms,
        step_ms=step_ms,
        gap_ms=gap_ms,
        start=since,
        end=until,
        zone_name=zone_name,
        user_id=user_id,
    )


def zone_of(name: str) -> tzinfo:
    """Return the zone of that name in the IANA time zone database.

    Raises:
        WindowError: when there is none.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise WindowError("tz", f"{name!r} is no time zone of the IANA database, such as Europe/Paris") from None


def length_ms(field: str, text: str) -> int:
    """Return a length in milliseconds: `90`, `90s`, `5m`, `1h`, `1d` or `1500ms`.

    Raises:
        WindowError: when it is none, or not between a millisecond and a year.
    """
    found = LENGTH.fullmatch(text)
    if found is None:
        raise WindowError(field, f"{text!r} is no length, such as 90s, 5m, 1h, 1d, 1500ms, or 90 for seconds")
    ms = int(found.group(1)) * UNITS[found.group(2)]
    if not 1 <= ms <= LENGTH_MS_MAX:
        raise WindowError(field, f"{text!r} must be between 1ms and 366d")
    return ms


def _lengths(
    window: WindowType, size: str | None, step: str | None, gap: str | None
) -> tuple[int | None, int | None, int | None]:
    """Return size, step and gap as the type of window needs them."""
    needs = {
        WindowType.TUMBLING: ("size",),
        WindowType.HOPPING: ("size", "step"),
        WindowType.SLIDING: ("size",),
        WindowType.SESSION: ("gap",),
    }[window]
    for name, given in (("size", size), ("step", step), ("gap", gap)):
        if given is not None and name not in needs:
            raise WindowError(name, f"means nothing for {window} windows, which have {' and '.join(needs)}")
    if window is WindowType.SESSION:
        return None, None, length_ms("gap", GAP_DEFAULT if gap is None else gap)
    size_ms = length_ms("size", SIZE_DEFAULT if size is None else size)
    if window is WindowType.SLIDING:
        return size_ms, None, None
    if window is WindowType.HOPPING and step is None:
        raise WindowError("step", "is required for hopping windows")
    step_ms = size_ms if step is None else length_ms("step", step)
    for name, ms in (("size", size_ms), ("step", step_ms)):
        if ms % 1000:
            raise WindowError(name, "must be whole seconds, the finest bucket; a sliding window can have milliseconds")
    if step_ms > size_ms:
        raise WindowError("step", "must not exceed the size: events between two windows would be in none")
    return size_ms, step_ms, None


def _moment(field: str, text: str, zone: tzinfo) -> datetime:
    """Return the moment that a text means: RFC 3339, and without an offset by the clock of the zone."""
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # a plus sign in a query is a space
    except ValueError:
        raise WindowError(field, f"{text!r} is no time, such as 2026-11-25T12:00:00Z or 2026-11-25") from None
    if moment.year not in YEARS:
        raise WindowError(field, f"{text!r} must be in the years {YEARS.start} to {YEARS.stop - 1}")
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _before(until: datetime, span: timedelta) -> datetime:
    earliest = datetime(YEARS.start, 1, 1, tzinfo=UTC)
    return max(until - span, earliest) if until - earliest > span else earliest


def _one_of(words: type[E], field: str, text: str) -> E:
    try:
        return words(text)
    except ValueError:
        raise WindowError(field, f"{text!r} is unknown; there are {', '.join(words)}") from None
