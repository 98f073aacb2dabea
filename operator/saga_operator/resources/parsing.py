"""Bodies of the API become values here, once; what means nothing is refused in one sentence that names the place."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import field

from saga_operator.resources.definitions import DefinitionSpec, SeenDefinition
from saga_operator.resources.order import check_order
from saga_operator.resources.shape import MalformedError, Shape, check
from saga_operator.resources.spec import Spec
from saga_operator.resources.status import Seen

T = TypeVar("T")
S = TypeVar("S", bound=Shape)

_UNKNOWN_VALUE = re.compile(r"Invalid enum value (.+)")
_MISSING = re.compile(r"Object missing required field `(.+)`")
_REGEX = re.compile(r"Expected `str` matching regex (.+)")
_BOUND = re.compile(r"Expected `(.+?)` (.+)")
_WRONG = re.compile(r"Expected `(.+?)`, got `(.+?)`")
_TYPES = {"str": "a text", "int": "a whole number", "float": "a number", "array": "a list", "object": "a mapping"}
_TYPES |= {"null": "nothing", "bool": "true or false", "datetime": "a time"}


class OrderSaga(msgspec.Struct, frozen=True, kw_only=True):
    """One saga as a resource: what is wanted, and what was last reported."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    created_at: datetime
    deleted_at: datetime | None
    finalizers: tuple[str, ...]
    annotations: Mapping[str, str]
    spec: Spec
    status: Seen


class DefinitionResource(msgspec.Struct, frozen=True, kw_only=True):
    """One definition as a resource: its steps, and what was last reported."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    created_at: datetime
    deleted_at: datetime | None
    finalizers: tuple[str, ...]
    annotations: Mapping[str, str]
    spec: DefinitionSpec
    status: SeenDefinition


def parse(body: Mapping[str, Any]) -> OrderSaga:
    """Return the saga that the body describes.

    Raises:
        MalformedError: with one sentence that names the place.
    """
    spec = _convert(body.get("spec"), Spec, "spec")
    check(spec, "spec")
    if spec.order is not None:
        check_order(spec.order)
    return OrderSaga(**_metadata(body), spec=spec, status=_seen(body.get("status"), Seen))


def parse_definition(body: Mapping[str, Any]) -> DefinitionResource:
    """Return the definition that the body describes; whether its words are known is for the services to say.

    Raises:
        MalformedError: with one sentence that names the place.
    """
    spec = _convert(body.get("spec"), DefinitionSpec, "spec")
    check(spec, "spec")
    return DefinitionResource(**_metadata(body), spec=spec, status=_seen(body.get("status"), SeenDefinition))


class _Metadata(Shape, frozen=True, kw_only=True):
    namespace: str
    name: str
    uid: str
    generation: int = 1
    resource_version: str = ""
    created_at: datetime = field(name="creationTimestamp")
    deleted_at: datetime | None = field(name="deletionTimestamp", default=None)
    finalizers: tuple[str, ...] = ()
    annotations: Mapping[str, str] = {}


def _metadata(body: Mapping[str, Any]) -> dict[str, Any]:
    return msgspec.structs.asdict(_convert(body.get("metadata"), _Metadata, "metadata"))


def _convert(raw: object, kind: type[T], place: str) -> T:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise MalformedError(_sentence(str(error), place)) from error


def _seen(raw: object, kind: type[S]) -> S:
    """Return what can be read, field by field and item by item."""
    if not isinstance(raw, Mapping):
        return kind()
    found: dict[str, Any] = {}
    for its in msgspec.structs.fields(kind):
        value = raw.get(its.encode_name)
        if get_origin(its.type) is tuple:
            items = value if isinstance(value, list | tuple) else ()
            found[its.name] = tuple(item for each in items for item in _readable(each, get_args(its.type)[0]))
        else:
            found.update((its.name, only) for only in _readable(value, its.type))
    return kind(**found)


def _readable(value: object, kind: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a type expression
    try:
        return (msgspec.convert(value, kind),)
    except msgspec.ValidationError:
        return ()


def _sentence(error: str, root: str) -> str:
    """Return msgspec's words as a sentence of ours: the place first, then what is wrong there."""
    what, _, place = error.partition(" - at `$")
    where = root + place.removesuffix("`")
    if found := _MISSING.fullmatch(what):
        return f"{where} needs a field {found[1]!r}"
    if found := _REGEX.fullmatch(what):
        return f"{where} is not of the form {found[1]}"
    if found := _WRONG.fullmatch(what):
        return f"{where} must be {_type(found[1])}, not {_type(found[2])}"
    if found := _BOUND.fullmatch(what):
        return f"{where} must be {_type(found[1])} {found[2]}"
    if found := _UNKNOWN_VALUE.fullmatch(what):
        return f"{where} cannot be {found[1]}"
    return f"{where}: {what}"


def _type(names: str) -> str:
    return " or ".join(_TYPES.get(name, name) for name in names.split(" | "))
