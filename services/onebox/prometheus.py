"""Prometheus' HTTP API, about one saga: its series while it lived, and the exemplars that carry its correlation id."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from onebox.beside import Beside
from onebox.exposition import Example, Measure
from onebox.settings import PROMETHEUS, CtlSettings

REMEDY = "start Prometheus, as docs/observability.md says"
FAMILY = "saga_instance_.+"
EVERY = "saga_.+"
CORRELATION = "correlation_id"


@dataclass(frozen=True, slots=True)
class Seen:
    """One series of the saga, with the value that it had last, and when it was scraped first and last."""

    measure: Measure
    first: datetime
    last: datetime


class Prometheus:
    """One Prometheus."""

    def __init__(self, settings: CtlSettings) -> None:
        """Ask it where the settings say it is."""
        assert settings.prometheus_url is not None, "nobody said where Prometheus is"
        self.url = settings.prometheus_url
        self._server = Beside("Prometheus", self.url, PROMETHEUS, REMEDY, settings.timeout_seconds)

    async def series(self, correlation_id: str, begin: datetime, end: datetime) -> list[Seen]:
        """Return the series of this saga that were scraped between."""
        chosen = f'{{__name__=~"{FAMILY}",{CORRELATION}={json.dumps(correlation_id, ensure_ascii=False)}}}'
        seconds = max(1, round((end - begin).total_seconds()))
        query: dict[str, str | int] = {"query": f"{chosen}[{seconds}s]", "time": _time(end)}
        found = await self._server.get("/api/v1/query", _Matrix, query)
        return [series.seen() for series in found.data.result if series.values]

    async def exemplars(self, correlation_id: str, begin: datetime, end: datetime) -> list[Measure]:
        """Return every exemplar of this saga that was scraped between."""
        query: dict[str, str | int] = {
            "query": f'{{__name__=~"{EVERY}"}}',
            "start": _time(begin),
            "end": _time(end),
        }
        found = await self._server.get("/api/v1/query_exemplars", _Exemplars, query)
        return [
            measure
            for series in found.data
            for measure in series.measures()
            if measure.example and measure.example.labels.get(CORRELATION) == correlation_id
        ]


class _Series(msgspec.Struct, frozen=True):
    metric: dict[str, str]
    values: list[tuple[float, str]]

    def seen(self) -> Seen:
        (first, _), (last, value) = self.values[0], self.values[-1]
        return Seen(_measure(self.metric, float(value), None), _moment(first), _moment(last))


class _Result(msgspec.Struct, frozen=True):
    result: list[_Series]


class _Matrix(msgspec.Struct, frozen=True):
    data: _Result


class _Exemplar(msgspec.Struct, frozen=True):
    labels: dict[str, str]
    value: str
    timestamp: float


class _ExemplarSeries(msgspec.Struct, frozen=True, rename="camel"):
    series_labels: dict[str, str]
    exemplars: list[_Exemplar]

    def measures(self) -> Iterator[Measure]:
        for each in self.exemplars:
            example = Example(each.labels, float(each.value), _moment(each.timestamp))
            yield _measure(self.series_labels, example.value, example)


class _Exemplars(msgspec.Struct, frozen=True):
    data: list[_ExemplarSeries]


def _measure(labels: dict[str, str], value: float, example: Example | None) -> Measure:
    others = {name: text for name, text in labels.items() if name != "__name__"}
    return Measure(labels.get("__name__", ""), value, others, example)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _time(at: datetime) -> str:
    return f"{at.timestamp():.3f}"
