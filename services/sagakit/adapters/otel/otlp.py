"""Spans as OTLP 1.0 has them in JSON: `ExportTraceServiceRequest`, ids in hexadecimal, 64-bit numbers as text."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

import msgspec

from sagakit.core.traces import Span, Value

SCOPE = "sagaplane"
SAMPLED = 1
ERROR = 2

_encode = msgspec.json.Encoder().encode


class _Attribute(msgspec.Struct, frozen=True):
    key: str
    value: dict[str, str | bool | float]


class _Link(msgspec.Struct, frozen=True, rename="camel"):
    trace_id: str
    span_id: str
    flags: int = SAMPLED


class _Status(msgspec.Struct, frozen=True, omit_defaults=True):
    code: int = 0
    message: str = ""


class _Span(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    trace_id: str
    span_id: str
    name: str
    kind: int
    start_time_unix_nano: str
    end_time_unix_nano: str
    attributes: list[_Attribute]
    parent_span_id: str = ""
    flags: int = 0
    links: list[_Link] = []
    status: _Status = _Status()


def encode(spans: Iterable[Span], about: Callable[[str], Mapping[str, Value]]) -> bytes:
    """Return the spans as the body of one request, by their services; `about` returns what is said of a service."""
    by_service: dict[str, list[_Span]] = defaultdict(list)
    for span in spans:
        by_service[span.service].append(_shown(span))
    return _encode({"resourceSpans": [_told(about(service), its) for service, its in by_service.items()]})


def _told(resource: Mapping[str, Value], spans: list[_Span]) -> dict[str, object]:
    return {
        "resource": {"attributes": _attributes(resource)},
        "scopeSpans": [{"scope": {"name": SCOPE}, "spans": spans}],
    }


def _shown(span: Span) -> _Span:
    return _Span(
        trace_id=span.place.trace_id,
        span_id=span.place.span_id,
        parent_span_id=span.parent_id,
        flags=SAMPLED,
        name=span.name,
        kind=int(span.kind),
        start_time_unix_nano=str(span.begin),
        end_time_unix_nano=str(span.end),
        attributes=_attributes(span.attributes),
        links=[_Link(link.trace_id, link.span_id) for link in span.links],
        status=_Status(ERROR, span.error) if span.error else _Status(),
    )


def _attributes(values: Mapping[str, Value]) -> list[_Attribute]:
    return [_Attribute(key, _value(value)) for key, value in values.items()]


def _value(value: Value) -> dict[str, str | bool | float]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": value}
