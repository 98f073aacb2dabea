"""Amounts as text are read strictly: digits, and a point if need be.

Python's Decimal would also read `NaN`, `1_0`, ` 1`, or Arabic digits. So that nothing but the promised form passes, a
body with amounts is read a second time against a shadow of its struct, which holds only the way to each amount.
"""

from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import Meta

PATTERN = r"^-?[0-9]{1,40}(\.[0-9]{1,40})?$"
_Amount = int | float | Annotated[str, Meta(pattern=PATTERN.replace("$", r"\Z"))]


def strict(body: type[msgspec.Struct]) -> msgspec.json.Decoder[Any] | None:
    """Return what refuses an amount in another form, or None when the body has no amounts."""
    shadow = _shadow(body)
    return None if shadow is None else msgspec.json.Decoder(shadow)


def _shadow(declared: Any) -> Any:  # noqa: ANN401 - a type expression
    """Return the way to the amounts within a type, or None when there are none."""
    if declared is Decimal:
        return _Amount
    if isinstance(declared, type) and issubclass(declared, msgspec.Struct):
        return _shadow_struct(declared)
    origin, inner = get_origin(declared), get_args(declared)
    if origin is Annotated:
        return _shadow(inner[0])
    ways = [_shadow(part) for part in inner]
    if not any(way is not None for way in ways):
        return None
    if origin in (Union, UnionType):
        assert inner[1:] == (NoneType,), f"{declared}: an amount may be optional, and no other union"
        return ways[0] | None
    assert origin in (list, dict), f"{declared}: amounts stand in structs, lists and dictionaries only"
    return list[ways[0]] if origin is list else dict[str, ways[1]]  # type: ignore[valid-type]


def _shadow_struct(declared: type[msgspec.Struct]) -> Any:  # noqa: ANN401 - a type made here
    fields = [
        (field.name, way, None)
        for field in msgspec.structs.fields(declared)
        if (way := _shadow(field.type)) is not None
    ]
    names = {field.name: field.encode_name for field in msgspec.structs.fields(declared)}
    return msgspec.defstruct(declared.__name__, fields, rename=names) if fields else None
