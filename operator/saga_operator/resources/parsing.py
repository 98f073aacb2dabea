"""Bodies of the API become values here, once; what means nothing is refused in one sentence that names the place."""

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
from sagakit.core.misfit import parted, sentence

T = TypeVar("T")
S = TypeVar("S", bound=Shape)


class Resource(Shape, frozen=True, kw_only=True):
    """What is known of any object of the API, by the names in its metadata."""

    namespace: str
    name: str
    uid: str
    generation: int = 1
    resource_version: str = ""
    created_at: datetime = field(name="creationTimestamp")
    deleted_at: datetime | None = field(name="deletionTimestamp", default=None)
    finalizers: tuple[str, ...] = ()
    annotations: Mapping[str, str] = {}

    def is_older_than(self, other: "Resource") -> bool:
        """Tell whether it was stored before the other, as far as their versions tell: numbers that grow."""
        mine, others = self.resource_version, other.resource_version
        return mine.isdecimal() and others.isdecimal() and int(mine) < int(others)


class OrderSaga(Resource, frozen=True, kw_only=True):
    """One saga as a resource: what is wanted, and what was last reported."""

    spec: Spec
    status: Seen


class DefinitionResource(Resource, frozen=True, kw_only=True):
    """One definition as a resource: its steps, and what was last reported."""

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


def _metadata(body: Mapping[str, Any]) -> dict[str, Any]:
    return msgspec.structs.asdict(_convert(body.get("metadata"), Resource, "metadata"))


def _convert(raw: object, kind: type[T], place: str) -> T:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        what, within = parted(str(error))
        raise MalformedError(sentence(what, place + within)) from error


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
