"""What windows of fixed length contain: sums of buckets for `now`, less what came too late for `atClose`. No IO."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import msgspec

from analytics_service.calendar_windows import Span
from analytics_service.metrics import Recipe
from analytics_service.series import DURATION
from analytics_service.tables import Chunk, LateSums

_decode = msgspec.json.Decoder(list[int]).decode


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in one window: the sum of each series, how much of it came after it closed, and how many events."""

    now: Mapping[str, int]
    late: Mapping[str, int]
    late_count: int

    @property
    def at_close(self) -> Mapping[str, int]:
        """The sums as they stood when the window closed."""
        if not self.late:
            return self.now
        return {name: amount - self.late.get(name, 0) for name, amount in self.now.items()}


def sums_of(spans: Sequence[Span], level: int, names: Sequence[str], chunks: Iterable[Chunk]) -> list[dict[str, int]]:
    """Return the sum of each series in each window, from chunks of this level that cover them all."""
    if not spans:
        return []
    first = min(span.start for span in spans)
    buckets = (max(span.end for span in spans) - first) // level
    found: list[dict[str, int]] = [{} for _ in spans]
    rows = list(chunks)
    for name in names:
        numbers = [0] * buckets
        for chunk in rows:
            if name in chunk.series:
                _scatter(numbers, _decode(chunk.series[name]), (chunk.start - first) // level)
        sums = [0, *accumulate(numbers)]
        for span, own in zip(spans, found, strict=True):
            own[name] = sums[(span.end - first) // level] - sums[(span.start - first) // level]
    return found


def _scatter(numbers: list[int], places: list[int], at: int) -> None:
    """Add the places and numbers of a chunk (as `Chunk` has them) that begins at this index, which may lie outside."""
    end = len(numbers)
    if at >= 0 and at + places[-2] < end:
        for place, amount in zip(places[::2], places[1::2], strict=True):
            numbers[at + place] += amount
        return
    for place, amount in zip(places[::2], places[1::2], strict=True):
        if 0 <= at + place < end:
            numbers[at + place] += amount


def bins_of_spans(spans: Sequence[Span], level: int, chunks: Iterable[Chunk]) -> list[dict[str, int]]:
    """Return the bins of durations in each window, from chunks of this level that cover them all.

    The windows' starts and ends must only go forward: a number is added where it comes in, taken off where it leaves.
    """
    starts, ends = [span.start for span in spans], [span.end for span in spans]
    begin = starts[0]
    places = range(begin, ends[-1], level)
    within = [(bisect_right(ends, bucket), bisect_right(starts, bucket)) for bucket in places]
    apart = all(end <= start for end, start in zip(ends, starts[1:], strict=False))
    found: list[dict[str, int]] = [{} for _ in spans]
    changes: list[list[tuple[str, int]]] = [[] for _ in range(len(spans) + 1)]
    for chunk in chunks:
        at = (chunk.start - begin) // level
        for name, raw in chunk.series.items():
            if not name.startswith(DURATION):
                continue
            numbers = _decode(raw)
            for place, amount in zip(numbers[::2], numbers[1::2], strict=True):
                if not 0 <= at + place < len(within):
                    continue
                first, following = within[at + place]
                if first >= following:
                    continue
                if apart:
                    bins = found[first]
                    bins[name] = bins.get(name, 0) + amount
                else:
                    changes[first].append((name, amount))
                    changes[following].append((name, -amount))
    return found if apart else _running_sums(changes[:-1])


def _running_sums(changes: Iterable[Iterable[tuple[str, int]]]) -> list[dict[str, int]]:
    """Return the sums after each of the changes, without those that are nothing."""
    bins: dict[str, int] = {}
    found = []
    for change in changes:
        for name, amount in change:
            left = bins.get(name, 0) + amount
            if left:
                bins[name] = left
            else:
                del bins[name]
        found.append(bins.copy())
    return found


def contents(
    spans: Sequence[Span], now: Sequence[Mapping[str, int]], recipe: Recipe, currency: str, late: Iterable[LateSums]
) -> list[Contents]:
    """Return what each window contains, the series without their currency."""
    rows = sorted(late, key=lambda row: row.bucket)
    buckets = [row.bucket for row in rows]
    plain = {} if recipe.of_durations else dict(zip(recipe.names(currency), recipe.series, strict=True))
    found = []
    for span, sums in zip(spans, now, strict=True):
        own = {plain.get(name, name): amount for name, amount in sums.items()} if recipe.of_money else sums
        missed: Counter[str] = Counter()
        for row in rows[bisect_left(buckets, span.start) : bisect_left(buckets, span.end)] if rows else ():
            if row.open_end > span.end:
                missed.update(
                    {
                        plain.get(name, name): amount
                        for name, amount in row.series.items()
                        if name in plain or _is_wanted_bin(recipe, name)
                    }
                )
        count = sum(amount for name, amount in missed.items() if name.partition(":")[0] in recipe.counting)
        found.append(Contents(own, missed, count))
    return found


def _is_wanted_bin(recipe: Recipe, name: str) -> bool:
    return recipe.of_durations and name.startswith(f"{DURATION}:")
