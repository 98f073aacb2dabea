"""A status as the API takes it: texts in one line and within their bounds, and nothing that says nothing."""

import enum
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from saga_operator.resources.shape import (
    MESSAGE_LENGTH_MAX,
    REASON_LENGTH_MAX,
    STEP_TEXT_LENGTH_MAX,
    TRANSITIONS_MAX,
    fields,
)


class Limits(msgspec.Struct, frozen=True):
    """How many characters each text may have, and how many transitions are told."""

    message: int
    inner: int
    transitions: int


LIMITS = (
    Limits(MESSAGE_LENGTH_MAX, 256, TRANSITIONS_MAX),
    Limits(512, 96, TRANSITIONS_MAX),
    Limits(256, 32, 5),
    Limits(128, 0, 2),
)
"""From generous to what always fits: ten steps whose names and times are as long as can be leave 1.5 kB for texts."""


def body_of(shape: msgspec.Struct, limits: Limits) -> dict[str, Any]:
    """Return the fields that say something, as JSON has them."""
    return _body(shape, limits, limits.message)


def _body(shape: msgspec.Struct, limits: Limits, message_length_max: int) -> dict[str, Any]:
    told = ((name, _told(name, value, limits, message_length_max)) for name, value in fields(shape))
    return {name: value for name, value in told if value is not None and value is not False and value != []}


def _told(name: str, value: object, limits: Limits, message_length_max: int) -> object:
    """Return the value as JSON has it, and within its bounds."""
    match value:
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case tuple():
            kept = value[-limits.transitions :] if name == "transitions" else value
            return [_body(item, limits, limits.inner) for item in kept]
        case msgspec.Struct():
            return _body(value, limits, limits.inner)
        case enum.StrEnum():
            return value.value
        case str() if name == "message":
            return shortened(value, message_length_max)
        case str() if name == "step":
            return shortened(value, STEP_TEXT_LENGTH_MAX)
        case str() if name == "reason":
            return word(value)
        case _:
            return value


def shortened(text: str, length_max: int) -> str:
    """Return the text in one line and within the bound; an ellipsis stands for what is missing."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= length_max else f"{line[: length_max - 1]}…" if length_max else ""


def word(text: str) -> str:
    """Return the text as one word, as a reason has to be."""
    made = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_")[:REASON_LENGTH_MAX]
    return made if re.match("[A-Za-z]", made) else f"R_{made}"[:REASON_LENGTH_MAX]


def stored_bytes(body: Mapping[str, Any]) -> int:
    """Return how many bytes the API server stores: its JSON writes `<`, `>` and `&` in six characters each."""
    encoded = msgspec.json.encode(body)
    return len(encoded) + 5 * sum(encoded.count(c) for c in b"<>&")
