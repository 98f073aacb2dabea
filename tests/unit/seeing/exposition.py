"""OpenMetrics, read."""

from collections.abc import Iterable
from typing import cast

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families


def families(text: str) -> Iterable[Metric]:
    """Return the metrics in an exposition; it is checked on the way."""
    return cast("Iterable[Metric]", text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
