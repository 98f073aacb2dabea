"""What every field is made of, texts and numbers within their bounds, and what holds across fields.

A rule is a CEL expression for the API server with the same rule in Python beside it, so that `parse` refuses what the
API server refuses: a resource may be older than the schema.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

STATUS_BYTES_MAX = 10_000
"""What a status takes in etcd; beyond it the upstream targets for the number of objects no longer hold (KEP-95)."""
MESSAGE_LENGTH_MAX = 1024
REASON_LENGTH_MAX = 64
STEP_TEXT_LENGTH_MAX = 64
CONDITIONS_MAX = 16
TRANSITIONS_MAX = 10
LINES_MAX = 100
QUANTITY_MAX = 1_000_000
TIMEOUT_SECONDS_MAX = 604_800
INTEGER_MAX = 2**31 - 1
GENERATION_MAX = 2**53 - 1


class MalformedError(ValueError):
    """The resource means nothing. The text is one sentence that names the place; correct the resource."""


class Rule(msgspec.Struct, frozen=True):
    """What holds across fields: in CEL, as a sentence, at which field, and in Python where it is about one version."""

    cel: str
    message: str
    at: str | None = None
    holds: Callable[[Any], bool] | None = None


class Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Names in camelCase; `RULES` hold across its fields; what is not known was for a later version and is ignored."""

    RULES: ClassVar[tuple[Rule, ...]] = ()


def check(shape: Shape, place: str) -> None:
    """Hold the shape and those within it against their rules."""
    for rule in shape.RULES:
        if rule.holds is not None and not rule.holds(shape):
            raise MalformedError(f"{place}{rule.at or ''}: {rule.message}")
    for name, value in fields(shape):
        if isinstance(value, Shape):
            check(value, f"{place}.{name}")
        elif isinstance(value, tuple):
            for number, item in enumerate(value):
                check(item, f"{place}.{name}[{number}]")


def fields(shape: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    """Yield every field by its name in Kubernetes."""
    return ((encoded, getattr(shape, name)) for encoded, name in _names(type(shape)))


@cache
def _names(kind: type[msgspec.Struct]) -> tuple[tuple[str, str], ...]:
    """Return the name of every field in Kubernetes and here; msgspec finds them out anew each time it is asked."""
    return tuple((its.encode_name, its.name) for its in msgspec.structs.fields(kind))


def whole(pattern: str) -> str:
    """Return the pattern of a whole text: Python's `$` would let a line break pass."""
    return rf"\A{pattern}\Z"


def listed(kind: str, *keys: str) -> dict[str, Any]:
    return {"x-kubernetes-list-type": kind} | ({"x-kubernetes-list-map-keys": list(keys)} if keys else {})


_NAME = whole("[A-Za-z0-9._-]+")
_REF = whole("[A-Za-z0-9._-]+/[0-9]+")
_WORD = whole("[A-Za-z][A-Za-z0-9_]*")
_TEXT = whole(r"\S(.*\S)?")

Text = Annotated[str, Meta(min_length=1, max_length=100, pattern=_TEXT)]
Name = Annotated[str, Meta(min_length=1, max_length=50, pattern=_NAME)]
MessageType = Annotated[str, Meta(min_length=1, max_length=100, pattern=_NAME)]
Ref = Annotated[str, Meta(min_length=3, max_length=61, pattern=_REF)]
Reason = Annotated[str, Meta(min_length=1, max_length=REASON_LENGTH_MAX, pattern=_WORD)]
Token = Annotated[str, Meta(min_length=1, max_length=63)]
Sentence = Annotated[str, Meta(max_length=MESSAGE_LENGTH_MAX)]
Count = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
Generation = Annotated[int, Meta(ge=0, le=GENERATION_MAX)]
Version = Annotated[int, Meta(ge=1, le=INTEGER_MAX)]
TimeoutSeconds = Annotated[int, Meta(ge=1, le=TIMEOUT_SECONDS_MAX)]
Time = Annotated[datetime, Meta(tz=True)]
