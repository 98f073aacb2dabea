"""What metrics say of one saga: its series while it lives, and the exemplars that carry its correlation id. No IO."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from onebox.answers import Answer
from onebox.description import aligned
from onebox.exposition import Measure
from onebox.moments import length, moment
from onebox.output import worded
from sagakit.runtime.catalogue import CATALOGUE, INSTANCE_DEADLINE, INSTANCE_DROPPED, INSTANCE_PHASE

CORRELATION, TRACE, SPAN, BOUND = "correlation_id", "trace_id", "span_id", "le"
FAMILY = (INSTANCE_PHASE.name, INSTANCE_DEADLINE.name)
PLACES = ("job", "instance", "namespace", "pod", "container", "endpoint", "prometheus")
"""Labels that say where Prometheus scraped it, and nothing about the saga."""


class Series(Answer, frozen=True, kw_only=True):
    """One series of the saga: when it was scraped first and last, where that is known, and what it said last."""

    metric: str
    labels: Mapping[str, str]
    value: float
    first: datetime | None = None
    last: datetime | None = None


class Exemplar(Answer, frozen=True, kw_only=True):
    """The saga as an event that was counted: by what, what it counted, and where in which trace."""

    metric: str
    labels: Mapping[str, str]
    value: float
    at: datetime | None
    trace_id: str
    span_id: str


class SagaMetrics(Answer, frozen=True, kw_only=True):
    """Everything that metrics say of one saga, by whom; `phase` and `traced` are None when nobody was asked."""

    saga_id: str
    correlation_id: str
    phase: str | None
    ended: bool
    traced: bool | None
    told_by: str
    dropped: int
    series: list[Series]
    exemplars: list[Exemplar]


def series_of(measures: Iterable[Measure], correlation_id: str) -> list[Series]:
    """Return the series of this saga."""
    return [
        Series(metric=measure.name, labels=own(measure.labels), value=measure.value)
        for measure in measures
        if measure.name in FAMILY and measure.labels.get(CORRELATION) == correlation_id
    ]


def exemplars_of(measures: Iterable[Measure], correlation_id: str) -> list[Exemplar]:
    """Return the exemplars of this saga, the earliest first; one that several scrapes show is one."""
    found: dict[tuple[object, ...], Exemplar] = {}
    for measure in measures:
        example = measure.example
        if example is None or example.labels.get(CORRELATION) != correlation_id:
            continue
        each = Exemplar(
            metric=measure.name,
            labels=own(measure.labels),
            value=example.value,
            at=example.at,
            trace_id=example.labels.get(TRACE, ""),
            span_id=example.labels.get(SPAN, ""),
        )
        found[each.metric, *sorted(each.labels.items()), each.span_id] = each
    return sorted(found.values(), key=lambda its: (its.at or datetime.max.replace(tzinfo=UTC), its.metric))


def own(labels: Mapping[str, str]) -> dict[str, str]:
    """Return what the labels say beside the saga's id, the bound of a bucket, and where it was scraped."""
    return {name: text for name, text in labels.items() if name not in (CORRELATION, BOUND, *PLACES)}


def dropped_of(measures: Iterable[Measure]) -> int:
    """Return how many sagas that live have no series."""
    return round(max((each.value for each in measures if each.name == INSTANCE_DROPPED.name), default=0))


def told(seen: SagaMetrics, now: datetime) -> str:
    """Return it as a text."""
    phase = f"  {worded(seen.phase)}" if seen.phase else ""
    called = f"  ({seen.correlation_id})" if seen.correlation_id != seen.saga_id else ""
    lines = [f"{seen.saga_id}{called}{phase}", f"told by {seen.told_by}", "", *_series(seen, now), "", *_examples(seen)]
    return "\n".join(line.rstrip() for line in lines)


def _series(seen: SagaMetrics, now: datetime) -> Iterator[str]:
    if not seen.series:
        yield _why_none(seen)
        return
    scraped = any(each.first for each in seen.series)
    head = ("SERIES", "LABELS", "VALUE", *(("FIRST SCRAPED", "LAST SCRAPED") if scraped else ()))
    rows = [
        (
            each.metric,
            _labels(each.labels),
            _value(each.metric, each.value, now),
            *((moment(each.first), moment(each.last)) if scraped else ()),
        )
        for each in seen.series
    ]
    yield from aligned([head, *rows])


def _why_none(seen: SagaMetrics) -> str:
    if seen.ended:
        return "It has no series: it has ended, and a series ends with its saga."
    if seen.dropped:
        return f"It has no series: {seen.dropped} sagas that live have none, for there are more than the cap."
    return "It has no series: it is not known here, is younger than 2 s, or began since the last look."


def _examples(seen: SagaMetrics) -> Iterator[str]:
    if not seen.exemplars and seen.traced is False:
        yield "No exemplar carries its id: it is not traced."
        return
    if not seen.exemplars:
        yield "No exemplar carries its id: each counter and bucket keeps one saga a second, and shows the latest."
        return
    head = ("EXEMPLAR OF", "LABELS", "VALUE", "AT", "SPAN")
    yield from aligned([head, *(_example(each) for each in seen.exemplars)])
    traces = sorted({each.trace_id for each in seen.exemplars if each.trace_id})
    if traces:
        yield ""
        yield from (f"sagactl trace {seen.saga_id} draws trace {trace}" for trace in traces)


def _example(each: Exemplar) -> Sequence[str]:
    seconds = _is_seconds(each.metric)
    value = length(timedelta(seconds=each.value)) if seconds else f"{each.value:g}"
    return each.metric.removesuffix("_bucket"), _labels(each.labels), value, moment(each.at), each.span_id


def _value(metric: str, value: float, now: datetime) -> str:
    if metric != INSTANCE_DEADLINE.name:
        return f"{value:g}"
    due = datetime.fromtimestamp(value, UTC)
    return f"{moment(due)}, {'in ' + length(due - now) if due > now else length(now - due) + ' ago'}"


def _labels(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={text}" for name, text in sorted(labels.items())) or "-"


def _is_seconds(metric: str) -> bool:
    name = metric.removesuffix("_bucket")
    return any(its.name == name and its.unit == "seconds" for its in CATALOGUE)
