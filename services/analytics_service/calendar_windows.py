"""Where the windows of fixed length lie: tumbling and hopping ones, also by a caller's clock. No IO.

Windows are `[start, end)`. In UTC they begin at multiples of the step since 1970, as those of Kafka Streams do. By
another clock, those of whole days begin at local midnight (a day may have 23 or 25 hours), and shorter ones at
multiples of the step since local midnight by that clock; their step must divide the day.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise

from analytics_service.series import DAY, EPOCH, HOUR, LEVELS

WINDOWS_MAX = 1500
BUCKETS_MAX = 200_000
"""So many buckets of one level are read for one answer; a minute's for 138 days, or a second's for 55 hours."""
EPOCH_DAY = EPOCH.toordinal()


class WindowError(ValueError):
    """These windows cannot be had. `field` is the parameter to change, the text says the rule."""

    def __init__(self, field: str, rule: str) -> None:
        """Name the parameter and the rule it breaks."""
        super().__init__(rule)
        self.field = field


@dataclass(frozen=True, slots=True)
class Span:
    """One window, in whole seconds since 1970; the end does not belong to it."""

    start: int
    end: int


def spans(size: int, step: int, start: datetime, end: datetime, zone: tzinfo) -> list[Span]:
    """Return the windows that begin in `[start, end)`, the oldest first. Sizes are whole seconds.

    Raises:
        WindowError: when there would be too many, or the step does not fit the zone's day.
    """
    if (end - start).total_seconds() / step > WINDOWS_MAX:
        count = int((end - start).total_seconds() // step) + 1
        raise WindowError(
            "step", f"would give {count:,} windows; at most {WINDOWS_MAX:,} are answered: choose longer ones"
        )
    if zone is UTC or str(zone) == "UTC":
        found = _absolute(size, step, start, end)
    elif step % DAY == 0:
        found = _by_days(size, step, start, end, zone)
    elif DAY % step == 0:
        found = _within_days(size, step, start, end, zone)
    else:
        raise WindowError(
            "step", f"of {step} s does not divide a day: by the clock of {zone} windows begin at midnight"
        )
    return found


def level_of(found: list[Span], size: int) -> int:
    """Return the coarsest level whose buckets give these windows.

    Raises:
        WindowError: when too many buckets would have to be read.
    """
    level = max(level for level in LEVELS if all(s.start % level == 0 and s.end % level == 0 for s in found))
    buckets = (found[-1].end - found[0].start) // level
    if buckets > BUCKETS_MAX:
        rule = f"needs {buckets:,} buckets of {level} s, at most {BUCKETS_MAX:,} are read: take whole minutes or hours"
        raise WindowError("size", f"of {size} s {rule}, or a shorter range")
    return level


def _absolute(size: int, step: int, start: datetime, end: datetime) -> list[Span]:
    first, last = _ceiling(start), _ceiling(end)
    return [Span(at, at + size) for at in range(-(-first // step) * step, last, step)]


def _by_days(size: int, step: int, start: datetime, end: datetime, zone: tzinfo) -> list[Span]:
    days, length = step // DAY, size // DAY
    if size % DAY:
        raise WindowError("size", "must be whole days when the step is: a day by a local clock is not always 24 hours")
    found = [
        Span(_at(ordinal, 0, zone), _at(ordinal + length, 0, zone))
        for ordinal in _days(start, end, zone)
        if (ordinal - EPOCH_DAY) % days == 0
    ]
    return _within(found, start, end)


def _within_days(size: int, step: int, start: datetime, end: datetime, zone: tzinfo) -> list[Span]:
    """Return windows within days: up to an hour they are of equal length, longer ones end when the clock says."""
    starts: list[tuple[int, int, int]] = []
    for ordinal in _days(start, end, zone):
        midnight, next_midnight = _at(ordinal, 0, zone), _at(ordinal + 1, 0, zone)
        if step <= HOUR:
            first = midnight + max(_ceiling(start) - midnight, 0) // step * step
            last = min(next_midnight, _ceiling(end) + 2 * step)
            starts += [(at, ordinal, 0) for at in range(first, last, step)]
        else:
            starts += [(_at(ordinal, second, zone), ordinal, second) for second in range(0, DAY, step)]
    found = []
    for (at, ordinal, second), (following, *_) in pairwise(starts):
        if size == step:
            ends = following
        elif step <= HOUR:
            ends = at + size
        else:
            days, rest = divmod(second + size, DAY)
            ends = _at(ordinal + days, rest, zone)
        if at < ends:
            found.append(Span(at, ends))
    return _within(found, start, end)


def _days(start: datetime, end: datetime, zone: tzinfo) -> Iterator[int]:
    """Yield the ordinals of the local days that the range touches, and of those around it."""
    yield from range(start.astimezone(zone).toordinal() - 1, end.astimezone(zone).toordinal() + 2)


def _at(ordinal: int, second: int, zone: tzinfo) -> int:
    """Return when a local clock shows this: the first time if it does twice, and when it is put past it if never."""
    naive = datetime.fromordinal(ordinal) + timedelta(seconds=second)
    at, folded = (_ceiling(naive.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    return at if at <= folded else _change(folded, at, zone)


def _change(before: int, after: int, zone: tzinfo) -> int:
    """Return when the clock is changed, which it is once between these."""
    offset = datetime.fromtimestamp(after, zone).utcoffset()

    def changed(at: int) -> int:
        return int(datetime.fromtimestamp(at, zone).utcoffset() == offset)

    return before + bisect_left(range(before, after), 1, key=changed)


def _within(found: list[Span], start: datetime, end: datetime) -> list[Span]:
    first, last = _ceiling(start), _ceiling(end)
    kept = {span.start: span for span in found if first <= span.start < last}
    return [kept[at] for at in sorted(kept)]


def _ceiling(moment: datetime) -> int:
    """Return the moment in whole seconds since 1970, rounded up."""
    return -((EPOCH - moment) // timedelta(seconds=1))
