"""Headers as Kafka carries them, one text each in UTF-8, and as the port has them, one JSON object.

Which values are numbers in that object is not written into records: the attributes of a CloudEvent that are numbers
are known by name. Only a record that is otherwise (a number under another name, a text that looks like the number
expected) says so itself, in one more header that lists its numbers. So it comes back as it was, byte for byte, when it
was encoded without spaces, as `msgspec` does.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from sagakit.core.messages import Envelope

NUMBERS = tuple(field.encode_name for field in msgspec.structs.fields(Envelope) if field.type is int)
"""The attributes that are whole numbers."""
MARK = "json-numbers"
"""The header that lists what is not text, where the names do not tell."""

DIGITS_MAX = 18
"""So many fit into 64 bits. What is longer is marked."""
NUMBER_END = 10**DIGITS_MAX

Header = tuple[str, bytes | None]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, str | int]).decode
_decode_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def to_kafka(headers: bytes) -> list[Header]:
    """Return the headers of a draft as those of a record."""
    try:
        values = _decode(headers)
    except msgspec.ValidationError:
        return _to_kafka_marked(headers)
    told = 0
    for name in NUMBERS:
        value = values.get(name)
        if isinstance(value, int):
            told += 0 <= value < NUMBER_END
        elif value is not None and _is_whole(value):
            return _to_kafka_marked(headers)
    found: list[Header] = []
    for name, value in values.items():
        if isinstance(value, str):
            found.append((name, value.encode()))
        else:
            told -= 1
            found.append((name, b"%d" % value))
    return found if not told else _to_kafka_marked(headers)


def from_kafka(headers: Iterable[Header]) -> bytes:
    """Return the headers of a record as a JSON object; a header that has no value counts as empty."""
    try:
        texts: dict[str, Any] = {name: value.decode() for name, value in headers}  # type: ignore[union-attr]
    except (AttributeError, UnicodeDecodeError):
        texts = {name: (value or b"").decode(errors="backslashreplace") for name, value in headers}
    if MARK in texts:
        return _from_kafka_marked(texts)
    for name in NUMBERS:
        text = texts.get(name)
        if text is not None and _is_whole(text):
            texts[name] = int(text)
    return _encode(texts)


def _is_whole(text: str) -> bool:
    """Tell whether the text is how JSON writes a whole number."""
    return text.isdecimal() and text.isascii() and len(text) <= DIGITS_MAX and (text[0] != "0" or text == "0")


def _to_kafka_marked(headers: bytes) -> list[Header]:
    values = _decode_raw(headers)
    numbers = [name for name, value in values.items() if not bytes(value).startswith(b'"')]
    found: list[Header] = [
        (name, bytes(value) if name in numbers else msgspec.json.decode(value, type=str).encode())
        for name, value in values.items()
    ]
    return [*found, (MARK, _encode(numbers))]


def _from_kafka_marked(texts: dict[str, str]) -> bytes:
    """Return the object that the mark describes; a mark that describes none, which is not ours, counts for nothing."""
    try:
        numbers = msgspec.json.decode(texts[MARK], type=list[str])
        values = {name: msgspec.Raw(text) if name in numbers else text for name, text in texts.items() if name != MARK}
        encoded = _encode(values)
        _decode_raw(encoded)
    except msgspec.DecodeError:
        return _encode(texts)
    return encoded
