"""How an attribute stands in a column, so that PostgreSQL orders it as Python does."""

import enum
import types
import typing
from datetime import datetime
from typing import Any

from typing_extensions import override

TYPES: dict[type, str] = {bool: "boolean", int: "bigint", float: "double precision", datetime: "timestamptz"}
TEXT = 'text COLLATE "C"'
"""Ordered by code point, whatever the language of the database."""


def column_type(declared: Any) -> str:  # noqa: ANN401 - a type expression
    """Return the SQL type of an attribute declared so: text for words and enumerations of words."""
    kinds = [kind for kind in _alternatives(declared) if kind is not type(None)]
    if set(kinds) == {int, float}:
        return TYPES[float]
    assert len(kinds) == 1, f"{declared} is no type of an indexed attribute"
    return TYPES.get(kinds[0], TEXT)


def as_column(value: Any) -> Any:  # noqa: ANN401 - whatever an attribute may be
    """Return an attribute's value as the driver takes it."""
    return value.value if isinstance(value, enum.Enum) else value


def is_word(declared: Any) -> bool:  # noqa: ANN401 - a type expression
    """Tell whether an attribute declared so may be an enumeration, which the driver does not know."""
    plain = (*TYPES, str, type(None))
    return any(kind not in plain for kind in _alternatives(declared))


class Numbered:
    """The parameters of one text: $1, $2 and so on, each time it is written."""

    def __init__(self) -> None:
        """Begin with the first."""
        self._last = 0

    @override
    def __str__(self) -> str:
        self._last += 1
        return f"${self._last}"


def _alternatives(declared: Any) -> list[Any]:  # noqa: ANN401 - a type expression
    origin = typing.get_origin(declared)
    if origin is typing.Annotated:
        return _alternatives(typing.get_args(declared)[0])
    if origin in (typing.Union, types.UnionType):
        return [kind for part in typing.get_args(declared) for kind in _alternatives(part)]
    if origin is typing.Literal:
        return [type(value) for value in typing.get_args(declared)]
    return [declared]
