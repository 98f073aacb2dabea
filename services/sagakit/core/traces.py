"""One trace per saga: its ids are functions of the saga and of what was said, never of chance or of a process.

So any process can add to a trace at any time, and whoever is killed and does its work again tells the same spans. Every
span of a saga hangs directly below its root, and the root is told by whoever begins the saga: what is lost with a
process leaves a gap, but no orphan.
"""

import enum
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha1

import msgspec

from sagakit.core.messages import NAMESPACE, is_traceparent

SPAN_DIGITS = 16

Value = str | int | float | bool
Chosen = Callable[[str], bool]
"""Tells of the id of a trace that nobody else has decided about whether its spans are to be told; always the same."""


class SpanKind(enum.IntEnum):
    """What a span is, by OTLP's numbers."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class Place(msgspec.Struct, frozen=True):
    """Where in which trace a span is."""

    trace_id: str
    span_id: str


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work that is over: times are nanoseconds since 1970, and an `error` is one word."""

    service: str
    place: Place
    parent_id: str = ""
    name: str
    kind: SpanKind = SpanKind.INTERNAL
    begin: int
    end: int
    attributes: dict[str, Value] = {}
    links: tuple[Place, ...] = ()
    error: str = ""


def trace_of(saga_id: str, traceparent: str | None = None) -> str:
    """Return the id of the saga's trace: the caller's, or else one made of its id."""
    return traceparent[3:35] if traceparent else _digest("trace", saga_id)[:32]


def root_of(saga_id: str) -> str:
    """Return the id of the span that all others of the saga hang below."""
    return _digest("root", saga_id)[:SPAN_DIGITS]


def span_of(message_id: str) -> str:
    """Return the id of the span in which this message was said."""
    return _digest("said", message_id)[:SPAN_DIGITS]


def span_heard(message_id: str, group: str) -> str:
    """Return the id of the span in which a group that only listens handled this message."""
    return _digest("heard", message_id, group)[:SPAN_DIGITS]


def parent_of_root(saga_id: str, traceparent: str) -> str:
    """Return the caller's span, below which the saga's root hangs; nothing when nobody called from within a trace."""
    parent = traceparent[36:52]
    return "" if parent == root_of(saga_id) else parent


def sampled(traceparent: str | None) -> bool:
    """Tell whether the spans of this trace are to be told: its flag says so, and nobody decides again."""
    return traceparent is not None and bool(int(traceparent[-2:], 16) & 1)


def begin(saga_id: str, caller: str | None, chosen: Chosen) -> str | None:
    """Return the `traceparent` of a saga that begins: the caller's as it is, or our own if its trace is chosen."""
    if is_traceparent(caller):
        return caller
    trace = trace_of(saga_id)
    return f"00-{trace}-{root_of(saga_id)}-01" if chosen(trace) else None


def took(begin: datetime | None, end: datetime) -> int:
    """Return how many milliseconds that took; nothing when it is not known when it began, or clocks disagree."""
    return max(0, (end - begin) // _MILLISECOND) if begin is not None else 0


def _digest(*parts: str) -> str:
    return sha1(NAMESPACE + "/".join(parts).encode(), usedforsecurity=False).hexdigest()


_MILLISECOND = timedelta(milliseconds=1)
