"""How metrics are counted and read: the loops count in plain counters, and a scrape turns those into metrics.

So the hot path pays nothing. What is counted is named in `catalogue`. An exemplar is the last saga seen by a counter or
a bucket, taken at most once per second.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar
from typing_extensions import override

from sagakit.runtime.catalogue import (
    BATCHES,
    CATALOGUE,
    CONSUMED,
    DEAD,
    FAILURES,
    FENCED,
    PENDING,
    RECORDS,
    REQUESTS,
    SPANS,
    SPANS_DROPPED,
    SPANS_WAITING,
    Named,
)

COUNTS: Mapping[str, Named] = {
    "records": RECORDS,
    "batches": BATCHES,
    "fenced": FENCED,
}
"""What the loops call it → the metric. What is counted under another name is no metric."""
EXEMPLAR_CHARACTERS_MAX = 128
"""Names and values together, as OpenMetrics has it."""
EXEMPLAR_SECONDS = 1.0


@runtime_checkable
class Counting(Protocol):
    """A loop that counts what it does."""

    name: str
    counts: Counter[str]


@runtime_checkable
class Consuming(Protocol):
    """Whoever handles messages, and counts them by their topic."""

    consumed: Counter[str]


@runtime_checkable
class Burying(Protocol):
    """Whoever sends messages to the dead letters, and counts them by their topic and the reason."""

    buried: Counter[tuple[str, str]]


@runtime_checkable
class Exporting(Protocol):
    """Whoever sends spans to a collector, and counts those that it took and those that were dropped."""

    counts: Counter[str]

    @property
    def waiting(self) -> int:
        """How many it has not taken yet."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The value of a counter, and a saga that it counted."""

    value: float
    exemplar: Exemplar | None = None


@dataclass(frozen=True, slots=True)
class Distributed:
    """The value of a histogram: for each bound (+Inf last) how many were not above it, and a saga among them."""

    buckets: tuple[tuple[str, float, Exemplar | None], ...]
    sum: float


Value = float | Counted | Distributed
Sample = tuple[Named, tuple[str, ...], Value]
Samples = Callable[[], Iterable[Sample]]


class Count:
    """One child of a counter."""

    __slots__ = ("_exemplar", "_value")

    def __init__(self) -> None:
        """Begin at zero: a counter that is not there yet hides its first increase."""
        self._value = 0
        self._exemplar: Exemplar | None = None

    def add(self, now: float, trace_id: str = "", span_id: str = "", correlation_id: str = "") -> None:
        """Count one more, at that time in seconds since 1970."""
        self._value += 1
        if trace_id and _is_old(self._exemplar, now):
            self._exemplar = exemplar(1.0, now, trace_id, span_id, correlation_id)

    @property
    def value(self) -> Counted:
        """What was counted."""
        return Counted(self._value, self._exemplar)


class Distribution:
    """One child of a histogram."""

    __slots__ = ("_bounds", "_counts", "_exemplars", "_sum", "_told_at")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Begin with nothing; a value that equals a bound is counted there."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._exemplars: list[Exemplar | None] = [None] * (len(bounds) + 1)
        self._told_at = [0.0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(
        self, value: float, now: float, trace_id: str = "", span_id: str = "", correlation_id: str = ""
    ) -> None:
        """Count one more value, at that time in seconds since 1970."""
        place = bisect_left(self._bounds, value)
        self._counts[place] += 1
        self._sum += value
        if trace_id and now - self._told_at[place] >= EXEMPLAR_SECONDS:
            self._told_at[place] = now
            self._exemplars[place] = exemplar(value, now, trace_id, span_id, correlation_id)

    @property
    def value(self) -> Distributed:
        """What was counted, each bucket with those below it."""
        buckets, below = [], 0
        for bound, count, its in zip((*self._bounds, float("inf")), self._counts, self._exemplars, strict=True):
            below += count
            buckets.append(("+Inf" if bound == float("inf") else str(bound), float(below), its))
        return Distributed(tuple(buckets), self._sum)


class Counts:
    """A counter with its children."""

    def __init__(self, named: Named) -> None:
        """Have no child yet."""
        self.named = named
        self._children: dict[tuple[str, ...], Count] = {}

    def at(self, *labels: str) -> Count:
        """Return the child with these labels."""
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = Count()
        return child

    def samples(self) -> Iterable[Sample]:
        """Return what was counted."""
        for labels, child in self._children.items():
            yield self.named, labels, child.value


class Distributions:
    """A histogram with its children."""

    def __init__(self, named: Named) -> None:
        """Have no child yet."""
        self.named = named
        self._children: dict[tuple[str, ...], Distribution] = {}

    def at(self, *labels: str) -> Distribution:
        """Return the child with these labels."""
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = Distribution(self.named.buckets)
        return child

    def samples(self) -> Iterable[Sample]:
        """Return what was counted."""
        for labels, child in self._children.items():
            yield self.named, labels, child.value


@runtime_checkable
class Timing(Protocol):
    """Whoever carries or handles batches, and times them under all labels but the first: what carries the messages."""

    durations: Distributions


def exemplar(value: float, now: float, trace_id: str, span_id: str, correlation_id: str) -> Exemplar:
    """Return the exemplar; a correlation id that is too long for one is left out."""
    labels = {"trace_id": trace_id, "span_id": span_id, "correlation_id": correlation_id}
    if sum(len(name) + len(text) for name, text in labels.items()) > EXEMPLAR_CHARACTERS_MAX:
        del labels["correlation_id"]
    return Exemplar(labels, value, now)


class AtScrape(Collector):
    """Asks for the samples when somebody scrapes."""

    def __init__(self, samples: Samples) -> None:
        """Ask `samples`, each time."""
        self._samples = samples

    @override
    def collect(self) -> Iterable[Metric]:
        """Return every metric that has a sample, in the order of the catalogue; a service's own ones come after."""
        families = {named: _family(named) for named in CATALOGUE}
        for named, labels, value in self._samples():
            _add(families.setdefault(named, _family(named)), labels, value)
        return [family for family in families.values() if family.samples]


def counted(loops: Iterable[Counting], system: str) -> Iterable[Sample]:
    """Return the samples of what these loops count and time; `system` carries their messages."""
    for loop in loops:
        for word, named in COUNTS.items():
            if word in loop.counts:
                yield named, (loop.name,), loop.counts[word]
        if isinstance(loop, Consuming):
            for topic, number in loop.consumed.items():
                yield CONSUMED, (loop.name, topic), number
        if isinstance(loop, Timing):
            for named, labels, value in loop.durations.samples():
                yield named, (system, *labels), value
        yield from buried(loop.name, loop)


def buried(name: str, its: object) -> Iterable[Sample]:
    """Return the samples of the dead letters of a loop of this name, or of its handler; there may be none."""
    if isinstance(its, Burying):
        for (topic, reason), number in its.buried.items():
            yield DEAD, (name, topic, reason), number


def exported(spans: object) -> Iterable[Sample]:
    """Return the samples of what became of spans; there may be none where they go."""
    if isinstance(spans, Exporting):
        yield SPANS, (), spans.counts["exported"]
        yield SPANS_DROPPED, (), spans.counts["dropped"]
        yield SPANS_WAITING, (), spans.waiting


Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


def _family(named: Named) -> Family:
    unit = next((unit for unit in ("seconds", "bytes") if named.name.endswith(unit)), "")
    match named.kind:
        case "counter":
            return CounterMetricFamily(named.name, named.meaning, labels=named.labels)
        case "gauge":
            return GaugeMetricFamily(named.name, named.meaning, labels=named.labels, unit=unit)
        case "histogram":
            return HistogramMetricFamily(named.name, named.meaning, labels=named.labels, unit=unit)


def _add(family: Family, labels: tuple[str, ...], value: Value) -> None:
    match value:
        case Distributed():
            assert isinstance(family, HistogramMetricFamily), f"{family.name} is no histogram"
            # An absent exemplar may be None, whatever the library's types say.
            family.add_metric(labels, cast("Sequence[tuple[str, float]]", value.buckets), value.sum)
        case Counted():
            assert isinstance(family, CounterMetricFamily), f"{family.name} is no counter"
            family.add_metric(labels, value.value, exemplar=value.exemplar)
        case _:
            assert not isinstance(family, HistogramMetricFamily), f"{family.name} needs buckets"
            family.add_metric(labels, value)


def _is_old(shown: Exemplar | None, now: float) -> bool:
    return shown is None or shown.timestamp is None or now - float(shown.timestamp) >= EXEMPLAR_SECONDS


__all__ = [
    "CATALOGUE",
    "COUNTS",
    "FAILURES",
    "PENDING",
    "REQUESTS",
    "AtScrape",
    "Burying",
    "Consuming",
    "Count",
    "Counted",
    "Counting",
    "Counts",
    "Distributed",
    "Distribution",
    "Distributions",
    "Exporting",
    "Named",
    "Sample",
    "Samples",
    "Timing",
    "buried",
    "counted",
    "exported",
]
