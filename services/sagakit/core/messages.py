"""What travels between participants: one immutable value, its identity, and nothing about how it travels.

The id of a message is a function of what it says (saga, step, type, attempt), never of chance, so that a service that
is killed and does its work again says the same thing under the same name, and everybody who heard it already can tell.
"""

import enum
import re
from datetime import datetime
from hashlib import sha1

import msgspec

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"

NAMESPACE = bytes.fromhex("5f9a7d3e0c814e6b9b1d2a7c64e80f35")
"""The namespace of all Sagaplane message ids (RFC 9562, version 5)."""

EMPTY = msgspec.Raw(b"{}")
TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, level 1: version, trace id, parent id and flags, none of the ids all zeros."""


class Mode(enum.StrEnum):
    """Who coordinates: nobody (each reacts to events), or an orchestrator that sends the commands owed."""

    CHOREOGRAPHY = "choreography"
    ORCHESTRATION = "orchestration"


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is said about a message: CloudEvents 1.0 attributes, Sagaplane's extensions, and the W3C trace context.

    The names on the wire are those of CloudEvents' binary form for Kafka (`ce_id`, `ce_sagaid`, …).
    """

    type: str = msgspec.field(name="ce_type")
    id: str = msgspec.field(name="ce_id")
    source: str = msgspec.field(name="ce_source")
    time: datetime = msgspec.field(name="ce_time")
    saga_id: str = msgspec.field(name="ce_sagaid")
    correlation_id: str = msgspec.field(name="ce_correlationid")
    causation_id: str = msgspec.field(name="ce_causationid", default="")
    mode: Mode = msgspec.field(name="ce_sagamode", default=Mode.CHOREOGRAPHY)
    definition: str = msgspec.field(name="ce_sagadefinition", default="")
    attempt: int = msgspec.field(name="ce_attempt", default=0)
    data_version: int = msgspec.field(name="ce_dataversion", default=1)
    deadline: datetime | None = msgspec.field(name="ce_deadline", default=None)
    traceparent: str | None = None
    took_milliseconds: int = msgspec.field(name="ce_tookmilliseconds", default=0)
    spec_version: str = msgspec.field(name="ce_specversion")
    content_type: str = msgspec.field(name="content-type")


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A command or an event of one saga.

    `data` is JSON, still encoded: who understands the type decodes it, everybody else passes it on untouched.
    `took_milliseconds` is how long before `time` that was which it answers; for the end of a saga, its beginning.
    """

    type: str
    id: str
    source: str
    time: datetime
    saga_id: str
    correlation_id: str
    causation_id: str
    mode: Mode = Mode.CHOREOGRAPHY
    definition: str = ""
    attempt: int = 0
    data_version: int = 1
    deadline: datetime | None = None
    traceparent: str | None = None
    took_milliseconds: int = 0
    data: msgspec.Raw = EMPTY


def name_based_id(*parts: str) -> str:
    """Return the version 5 UUID (RFC 9562) of the parts, in the Sagaplane namespace, as text.

    The standard library's `uuid5` gives the same value; this one costs a third of it, and the core calls it for
    every message.
    """
    digest = sha1(NAMESPACE + "/".join(parts).encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def message_id(saga_id: str, step: str, message_type: str, attempt: int = 0) -> str:
    """Return the one id that this message has, whoever says it and however often."""
    return name_based_id(saga_id, step, message_type, str(attempt))


def is_traceparent(text: str | None) -> bool:
    """Tell whether the text is a `traceparent` that names a trace; any other is to be ignored."""
    return text is not None and TRACEPARENT.fullmatch(text) is not None
