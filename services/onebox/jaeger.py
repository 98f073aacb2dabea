"""Jaeger's HTTP API: one trace by its id, or the id of the trace that a correlation id is in."""

import time
from typing import Any

import msgspec

from onebox.beside import Beside
from onebox.client import path_of
from onebox.errors import NotFound
from onebox.settings import JAEGER, CtlSettings
from onebox.waterfall import Span
from sagakit.runtime.catalogue import ATTEMPT, COMPENSATION, CORRELATION_ID, ERROR_TYPE, OUTCOME, SAGA_ID

REMEDY = "start Jaeger, as docs/observability.md says"
SERVICE = "order"
"""Who tells the root of every saga, so that a search finds it there."""
LOOKBACK_SECONDS = 7 * 24 * 3600
ARRIVES = "spans arrive within seconds, and are kept for as long as Jaeger keeps them: try again"


class Found(msgspec.Struct, frozen=True):
    """A trace as it was found, and whose it is as far as its spans say."""

    trace_id: str
    spans: list[Span]
    saga_id: str
    correlation_id: str


class Jaeger:
    """One Jaeger."""

    def __init__(self, settings: CtlSettings) -> None:
        """Ask it where the settings say it is."""
        self._url = settings.jaeger_url
        self._server = Beside("Jaeger", self._url, JAEGER, REMEDY, settings.timeout_seconds)

    def link(self, trace_id: str) -> str:
        """Return where a browser shows the trace."""
        return f"{self._url}{path_of('trace', trace_id)}"

    async def trace(self, trace_id: str, whose: str = "") -> Found | None:
        """Return the trace, or what is in it of the saga of that id or correlation id; None when Jaeger has nothing.

        What others told in the same trace, such as the caller, is in both.
        """
        try:
            answer = await self._server.get(f"/api{path_of('traces', trace_id)}", _Answer)
        except NotFound:
            return None
        found = [_span(span, trace.processes) for trace in answer.data or () for span in trace.spans]
        # Told twice by processes that were not described alike, a span is shown once.
        spans = [*{(span.id, span.service): span for span in found}.values()]
        its = next((span for span in spans if span.saga_id and whose in ("", span.saga_id, span.correlation_id)), None)
        if not spans or (whose and its is None):
            return None
        if whose and its is not None:
            spans = [span for span in spans if span.saga_id in ("", its.saga_id)]
        return Found(trace_id, spans, its.saga_id if its else "", its.correlation_id if its else "")

    async def search(self, correlation_id: str) -> str | None:
        """Return the id of the latest trace in which that correlation id is; None when there is none."""
        now = time.time_ns() // 1000
        query: dict[str, str | int] = {
            "service": SERVICE,
            "tags": msgspec.json.encode({CORRELATION_ID: correlation_id}).decode(),
            "start": now - LOOKBACK_SECONDS * 1_000_000,
            "end": now + 60_000_000,
            "limit": 1,
        }
        found = (await self._server.get("/api/traces", _Answer, query)).data or ()
        return found[0].trace_id if found else None


class _Tag(msgspec.Struct, frozen=True):
    key: str
    value: Any = None


class _Reference(msgspec.Struct, frozen=True, rename={"kind": "refType", "span_id": "spanID"}):
    kind: str
    span_id: str


class _Process(msgspec.Struct, frozen=True, rename={"service": "serviceName"}):
    service: str = "?"


class _Span(
    msgspec.Struct,
    frozen=True,
    rename={"span_id": "spanID", "name": "operationName", "begin": "startTime", "process": "processID"},
):
    span_id: str
    name: str
    begin: int
    duration: int
    process: str = ""
    references: list[_Reference] = []
    tags: list[_Tag] = []


class _Trace(msgspec.Struct, frozen=True, rename={"trace_id": "traceID"}):
    trace_id: str
    spans: list[_Span]
    processes: dict[str, _Process] = {}


class _Answer(msgspec.Struct, frozen=True):
    data: list[_Trace] | None


def _span(its: _Span, processes: dict[str, _Process]) -> Span:
    tags = {tag.key: tag.value for tag in its.tags}
    attempt = tags.get(ATTEMPT, 0)
    return Span(
        id=its.span_id,
        parent=next((reference.span_id for reference in its.references if reference.kind == "CHILD_OF"), None),
        name=its.name,
        service=processes[its.process].service if its.process in processes else "?",
        begin_microseconds=its.begin,
        took_microseconds=its.duration,
        saga_id=str(tags.get(SAGA_ID, "")),
        correlation_id=str(tags.get(CORRELATION_ID, "")),
        outcome=str(tags.get(OUTCOME, "")),
        error=str(tags.get(ERROR_TYPE, "")),
        attempt=attempt if isinstance(attempt, int) else 0,
        back=bool(tags.get(COMPENSATION)),
        links=tuple(reference.span_id for reference in its.references if reference.kind == "FOLLOWS_FROM"),
    )
