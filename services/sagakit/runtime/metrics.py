"""Every metric of the kit: its name, kind, unit and meaning, in this one place; and how they are read at scrape time.

The loops count in plain counters of their own, so the hot path pays nothing; a scrape turns those into metrics.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override


@dataclass(frozen=True, slots=True)
class Named:
    """One metric. Its name ends with its unit, a counter's with `_total` behind that."""

    name: str
    kind: Literal["counter", "gauge"]
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()


RECORDS = Named("saga_records_read_total", "counter", "records", "Records taken from the log.", ("loop",))
BATCHES = Named("saga_batches_total", "counter", "batches", "Batches of records, one transaction each.", ("loop",))
CONSUMED = Named("saga_messages_consumed_total", "counter", "messages", "Messages handled.", ("loop",))
DEAD = Named("saga_dlq_messages_total", "counter", "messages", "Messages sent to the dead letters.", ("loop",))
FENCED = Named("saga_fenced_total", "counter", "batches", "Batches dropped: another instance had them.", ("loop",))
SENT = Named("saga_messages_sent_total", "counter", "messages", "Messages published from the outbox.", ("loop",))
TIMEOUTS = Named("saga_timeouts_total", "counter", "sagas", "Sagas asked to abort by their deadline.", ("loop",))
FAILURES = Named("saga_loop_failing", "gauge", "steps", "Steps that failed in a row; 0 is well.", ("loop",))
PENDING = Named("saga_outbox_pending", "gauge", "messages", "Messages that wait in the outbox.")
REQUESTS = Named(
    "saga_http_requests_total", "counter", "requests", "HTTP requests answered.", ("method", "route", "status")
)
CATALOGUE = (RECORDS, BATCHES, CONSUMED, DEAD, FENCED, SENT, TIMEOUTS, FAILURES, PENDING, REQUESTS)

COUNTS: Mapping[str, Named] = {
    "records": RECORDS,
    "batches": BATCHES,
    "messages": CONSUMED,
    "dead letters": DEAD,
    "fenced": FENCED,
    "published": SENT,
    "asked": TIMEOUTS,
}
"""What the loops call it → the metric. What is counted under another name is no metric."""


@runtime_checkable
class Counting(Protocol):
    """A loop that counts what it does."""

    name: str
    counts: Counter[str]


Samples = Callable[[], Iterable[tuple[Named, tuple[str, ...], float]]]


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
            families.setdefault(named, _family(named)).add_metric(labels, value)
        return [family for family in families.values() if family.samples]


def counted(loops: Iterable[Counting]) -> Iterable[tuple[Named, tuple[str, ...], float]]:
    """Return the samples of what these loops count."""
    for loop in loops:
        for word, named in COUNTS.items():
            if word in loop.counts:
                yield named, (loop.name,), loop.counts[word]


def _family(named: Named) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if named.kind == "counter" else GaugeMetricFamily
    return kind(named.name, named.meaning, labels=named.labels)
