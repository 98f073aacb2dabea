"""OpenMetrics, read."""

from collections.abc import Iterable, Iterator
from typing import cast

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


def families(text: str) -> Iterable[Metric]:
    """Return the metrics in an exposition; it is checked on the way."""
    return cast("Iterable[Metric]", text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def counting_buckets(histogram: Metric) -> Iterator[Sample]:
    """Yield the buckets that have counted something of their own, which those below them have not."""
    below = 0.0
    for sample in histogram.samples:
        if sample.name.endswith("_bucket"):
            if sample.value > below:
                yield sample
            below = 0.0 if sample.labels["le"] == "+Inf" else sample.value
