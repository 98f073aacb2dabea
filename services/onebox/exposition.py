"""What a service says at `/metrics`: each sample as a value, with the saga that its exemplar names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from onebox.errors import Unreachable

if TYPE_CHECKING:
    from onebox.client import Shop

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
"""With exemplars."""


@dataclass(frozen=True, slots=True)
class Example:
    """One event that a counter or a bucket counted, by the ids of its saga."""

    labels: Mapping[str, str]
    value: float
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Measure:
    """One sample."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    example: Example | None = None


async def measures(shop: "Shop", service: str) -> list[Measure]:
    """Return what the service counted and is.

    Raises:
        Unreachable: when it does not answer, or answers what nobody can read.
    """
    text = await shop.text(service, "/metrics", OPENMETRICS)
    try:
        return [*read(text)]
    except (ValueError, KeyError, IndexError, StopIteration) as error:
        url = shop.settings.urls[service]
        cause = f"the {service} service at {url} says at /metrics what sagactl cannot read: {error}"
        raise Unreachable(cause, f"check SAGACTL_{service.upper()}_URL, and that versions match") from None


def read(text: str) -> Iterator[Measure]:
    """Yield each sample of an exposition in OpenMetrics.

    Raises:
        ValueError: when it is none.
    """
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    families: Any = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    for family in families:
        for sample in family.samples:
            yield Measure(sample.name, sample.value, sample.labels, _example(sample.exemplar))


def _example(exemplar: Any) -> Example | None:  # noqa: ANN401 - the library's
    if exemplar is None:
        return None
    at = datetime.fromtimestamp(float(exemplar.timestamp), UTC) if exemplar.timestamp is not None else None
    return Example(exemplar.labels, exemplar.value, at)
