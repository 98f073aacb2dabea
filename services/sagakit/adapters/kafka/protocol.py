"""Requests in the versions that we need, where aiokafka speaks an older one or a slower way.

This is the one place that knows how aiokafka's connections encode a request and decode its answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Generic, TypeVar

from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.api import RequestHeader_v1, RequestHeader_v2, ResponseHeader_v0, ResponseHeader_v1
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    String,
    TaggedFields,
)

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Answer(Generic[A]):
    """How an answer is read."""

    read: Callable[[BytesIO], A]

    def decode(self, buffer: BytesIO) -> A:
        """Return what the broker said; connections call this."""
        return self.read(buffer)


@dataclass(frozen=True, slots=True)
class Request(Generic[A]):
    """One request of one version, already encoded; its attributes are those that connections look at."""

    API_KEY: int
    API_VERSION: int
    body: bytes
    RESPONSE_TYPE: Answer[A]
    flexible: bool = False

    def prepare(self, versions: Mapping[int, tuple[int, int]]) -> "Request[A]":
        """Return the request when the broker understands its version."""
        least, most = versions.get(self.API_KEY, (0, -1))
        if not least <= self.API_VERSION <= most:
            raise IncompatibleBrokerVersion(
                f"request {self.API_KEY} is spoken in version {self.API_VERSION}; the broker knows {least} to {most}"
            )
        return self

    def encode(self) -> bytes:
        return self.body

    def build_request_header(self, correlation_id: int, client_id: str) -> Any:  # noqa: ANN401 - aiokafka has no types
        header = RequestHeader_v2 if self.flexible else RequestHeader_v1
        return header(self, correlation_id=correlation_id, client_id=client_id)

    def parse_response_header(self, buffer: BytesIO) -> Any:  # noqa: ANN401
        return (ResponseHeader_v1 if self.flexible else ResponseHeader_v0).decode(buffer)


class _TopicId:
    """Sixteen bytes."""

    @staticmethod
    def encode(value: bytes) -> bytes:
        return value

    @staticmethod
    def decode(buffer: BytesIO) -> bytes:
        return buffer.read(16)


_TEXT = String("utf-8")
_COMPACT = CompactString("utf-8")

_METADATA_REQUEST = Schema(
    ("topics", CompactArray(("id", _TopicId), ("name", _COMPACT), ("tags", TaggedFields))),
    ("create", Boolean),
    ("operations", Boolean),
    ("tags", TaggedFields),
)
_METADATA_ANSWER = Schema(
    ("throttled", Int32),
    (
        "brokers",
        CompactArray(("node", Int32), ("host", _COMPACT), ("port", Int32), ("rack", _COMPACT), ("tags", TaggedFields)),
    ),
    ("cluster", _COMPACT),
    ("controller", Int32),
    (
        "topics",
        CompactArray(
            ("error", Int16),
            ("name", _COMPACT),
            ("id", _TopicId),
            ("internal", Boolean),
            (
                "partitions",
                CompactArray(
                    ("error", Int16),
                    ("number", Int32),
                    ("leader", Int32),
                    ("epoch", Int32),
                    ("replicas", CompactArray(Int32)),
                    ("in_sync", CompactArray(Int32)),
                    ("offline", CompactArray(Int32)),
                    ("tags", TaggedFields),
                ),
            ),
            ("operations", Int32),
            ("tags", TaggedFields),
        ),
    ),
    ("tags", TaggedFields),
)
_HEARTBEAT = Schema(("group", _TEXT), ("generation", Int32), ("member", _TEXT), ("instance", _TEXT))
_LEAVE = Schema(("group", _TEXT), ("members", Array(("member", _TEXT), ("instance", _TEXT))))
_THROTTLED_ERROR = Schema(("throttled", Int32), ("error", Int16))


@dataclass(frozen=True, slots=True)
class TopicSeen:
    """What the brokers say of a topic."""

    name: str
    error: int
    id: bytes
    partitions: int


def topics_request(names: list[str]) -> Request[list[TopicSeen]]:
    """Ask what these topics are (Metadata, version 12: the first with ids that every broker of Kafka 4 keeps)."""
    wanted: list[tuple[bytes, str, dict[int, bytes]]] = [(bytes(16), name, {}) for name in names]
    body = _METADATA_REQUEST.encode((wanted, False, False, {}))
    return Request(3, 12, body, Answer(_topics_seen), flexible=True)


def _topics_seen(buffer: BytesIO) -> list[TopicSeen]:
    topics = _METADATA_ANSWER.decode(buffer)[4]
    return [TopicSeen(name, error, its_id, len(parts)) for error, name, its_id, _, parts, _, _ in topics]


def heartbeat(group: str, generation: int, member: str, instance: str) -> Request[int]:
    """Say that we live (version 3: it names the instance, so that whoever was displaced hears of it)."""
    return Request(12, 3, _HEARTBEAT.encode((group, generation, member, instance)), Answer(_error))


def leave_group(group: str, member: str, instance: str) -> Request[int]:
    """Go, also as an instance that would be waited for (version 3)."""
    return Request(13, 3, _LEAVE.encode((group, [(member, instance)])), Answer(_error))


def _error(buffer: BytesIO) -> int:
    return int(_THROTTLED_ERROR.decode(buffer)[1])
