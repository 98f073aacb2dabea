"""What windows of fixed length contain: sums of buckets for `now`, less what came too late for `atClose`. No IO."""

from bisect import bisect_left
from collections import Counter, defaultdict
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
    for place, amount in zip(places[::2], places[1::2], strict=True):
        index = at + place
        if 0 <= index < end:
            numbers[index] += amount


def bins_of_spans(spans: Sequence[Span], level: int, chunks: Iterable[Chunk]) -> list[dict[str, int]]:
    """Return the bins of durations in each window, from chunks of this level that cover them all.

    The windows' starts and ends must only go forward.
    """
    by_bucket: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for chunk in chunks:
        for name, raw in chunk.series.items():
            if name.startswith(DURATION):
                numbers = _decode(raw)
                for place, amount in zip(numbers[::2], numbers[1::2], strict=True):
                    by_bucket[chunk.start + place * level][name] += amount
    buckets = sorted(by_bucket)
    bins: Counter[str] = Counter()
    first = following = bisect_left(buckets, spans[0].start) if spans else 0
    found = []
    for span in spans:
        while following < len(buckets) and buckets[following] < span.end:
            bins.update(by_bucket[buckets[following]])
            following += 1
        while first < following and buckets[first] < span.start:
            bins.subtract(by_bucket[buckets[first]])
            first += 1
        found.append({name: count for name, count in bins.items() if count})
    return found


def contents(
    spans: Sequence[Span], now: Sequence[Mapping[str, int]], recipe: Recipe, currency: str, late: Iterable[LateSums]
) -> list[Contents]:
    """Return what each window contains, the series without their currency."""
    rows = sorted(late, key=lambda row: row.bucket)
    buckets = [row.bucket for row in rows]
    plain = dict(zip(recipe.names(currency), recipe.series, strict=True))
    found = []
    for span, sums in zip(spans, now, strict=True):
        missed: Counter[str] = Counter()
        for row in rows[bisect_left(buckets, span.start) : bisect_left(buckets, span.end)]:
            if row.open_end > span.end:
                missed.update(row.series)
        own = {name: amount for name, amount in missed.items() if name in plain or _is_wanted_bin(recipe, name)}
        late_sums = {plain.get(name, name): amount for name, amount in own.items()}
        counted = sum(amount for name, amount in late_sums.items() if name.partition(":")[0] in recipe.counting)
        found.append(Contents({plain.get(name, name): amount for name, amount in sums.items()}, late_sums, counted))
    return found


def _is_wanted_bin(recipe: Recipe, name: str) -> bool:
    return recipe.of_durations and name.startswith(f"{DURATION}:")
