"""A span of ours says in OTLP what OpenTelemetry's own of the same work says; who tells it, its SDK says itself."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace as api
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from sagakit.adapters.otel import encode, resource_of
from sagakit.core.traces import Place, Span, SpanKind, Value

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
THEIR_KINDS = {kind.value + 1: str(kind) for kind in api.SpanKind}
"""OTLP counts kinds from 1, the library from 0."""
THEIR_STATUS = {0: "UNSET", 1: "OK", 2: "ERROR"}
VALUES = {"stringValue": str, "intValue": int, "boolValue": bool, "doubleValue": float}

ids = st.integers(1, 2**64 - 1).map(lambda n: f"{n:016x}")
trace_ids = st.integers(1, 2**128 - 1).map(lambda n: f"{n:032x}")
places = st.builds(Place, trace_ids, ids)
moments = st.integers(1, 2**52).map(lambda n: n * 1000)
"""Microseconds, because the library prints no more."""
values: st.SearchStrategy[Value] = st.one_of(
    st.text(), st.integers(-(2**63), 2**63 - 1), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)
)
spans = st.builds(
    Span,
    service=st.just("payment"),
    place=places,
    parent_id=st.one_of(st.just(""), ids),
    name=st.text(min_size=1),
    kind=st.sampled_from(SpanKind),
    begin=moments,
    end=moments,
    attributes=st.dictionaries(st.text(min_size=1), values, max_size=8),
    links=st.lists(places, max_size=3).map(tuple),
    error=st.text(),
)


def context(place: Place) -> api.SpanContext:
    flags = api.TraceFlags(api.TraceFlags.SAMPLED)
    return api.SpanContext(int(place.trace_id, 16), int(place.span_id, 16), is_remote=False, trace_flags=flags)


def theirs(span: Span) -> dict[str, Any]:
    """Return the span as the library has and prints it."""
    parent = context(Place(span.place.trace_id, span.parent_id)) if span.parent_id else None
    status = api.Status(api.StatusCode.ERROR, span.error) if span.error else api.Status(api.StatusCode.UNSET)
    its = ReadableSpan(
        span.name,
        context(span.place),
        parent,
        Resource.create({"service.name": span.service}),
        span.attributes,
        links=[api.Link(context(link)) for link in span.links],
        kind=api.SpanKind(span.kind - 1),
        status=status,
        start_time=span.begin,
        end_time=span.end,
    )
    printed: dict[str, Any] = json.loads(its.to_json())
    return printed


def ours(span: Span) -> dict[str, Any]:
    """Return the span as we encode it, in the words that the library prints."""
    [resource] = json.loads(encode([span], lambda service: {"service.name": service}))["resourceSpans"]
    [scope] = resource["scopeSpans"]
    [its] = scope["spans"]
    status = its.get("status", {})
    return {
        "name": its["name"],
        "context": place(its),
        "kind": THEIR_KINDS[its["kind"]],
        "parent_id": f"0x{its['parentSpanId']}" if "parentSpanId" in its else None,
        "start_time": moment(its["startTimeUnixNano"]),
        "end_time": moment(its["endTimeUnixNano"]),
        "status": {"status_code": THEIR_STATUS[status.get("code", 0)]}
        | ({"description": status["message"]} if "message" in status else {}),
        "attributes": {each["key"]: value(each["value"]) for each in its["attributes"]},
        "events": [],
        "links": [{"context": place(link), "attributes": None} for link in its.get("links", [])],
    }


def place(its: dict[str, Any]) -> dict[str, str]:
    return {"trace_id": f"0x{its['traceId']}", "span_id": f"0x{its['spanId']}", "trace_state": "[]"}


def moment(nanoseconds: str) -> str:
    at = EPOCH + timedelta(microseconds=int(nanoseconds) // 1000)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def value(its: dict[str, Any]) -> Value:
    [(kind, told)] = its.items()
    read: Value = VALUES[kind](told)
    return read


@given(spans)
def test_a_span_of_ours_says_what_the_librarys_own_says(span: Span) -> None:
    expected = theirs(span)
    del expected["resource"]
    assert ours(span) == expected


INJECTED = (
    "deployment.environment.name=shop,k8s.namespace.name=shop,k8s.deployment.name=payment,k8s.container.name=payment,"
    "k8s.pod.name=payment-{0},k8s.pod.uid={0},k8s.node.name=node-{0},k8s.replicaset.name=payment-{0},host.name=node-{0},"
    "container.id={0},process.pid={0},service.instance.id=shop.payment-{0},service.version={0},telemetry.sdk.version={0}"
)
"""What OpenTelemetry's operator puts into the environment of a pod, and detectors find there."""


def test_what_is_said_of_a_service_is_the_librarys_resource_and_the_same_whoever_says_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once two versions of a service, or two pods that were told their names, told two spans where there was one."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "another")
    said = []
    for pod in (1, 2):
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", INJECTED.format(pod))
        said.append(resource_of("payment"))
    assert (
        said
        == [
            {
                "deployment.environment.name": "shop",
                "k8s.deployment.name": "payment",
                "k8s.namespace.name": "shop",
                "service.name": "payment",
                "service.namespace": "sagaplane",
                "telemetry.sdk.language": "python",
                "telemetry.sdk.name": "sagaplane",
            }
        ]
        * 2
    )
