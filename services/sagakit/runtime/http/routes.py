"""Routes as data: what a request must look like, who answers it, and every status the answer can have.

A route's `params` is a struct. Its attributes that stand in the path are path parameters, those marked with `header(…)`
are headers, the others are the query. All input is parsed into structs before the handler sees it; so `Call` is typed.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar, get_args

import msgspec
from msgspec import Meta

from sagakit.runtime.http.decimals import strict
from sagakit.runtime.http.problems import DEPTH_MAX, broken_rule, depth, invalid, nul_at

BODY_BYTES_MAX = 262_144
JSON = "application/json"
ACTOR_DEFAULT = "anonymous"

P = TypeVar("P")
B = TypeVar("B")

encode = msgspec.json.Encoder(decimal_format="number").encode
"""JSON as every answer has it: decimals as exact numbers, times in RFC 3339."""


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters, or no body."""


class Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an answer is made of: names in camelCase, nothing left out."""


class Input(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a request is made of: names in camelCase, unknown ones refused."""


def header(name: str) -> Meta:
    """Return the mark of a parameter that comes in a header."""
    return Meta(extra={"header": name})


Id = Annotated[
    str,
    Meta(
        pattern=r"^(?!\.\.?$)[A-Za-z0-9._-]{1,50}$", description="1 to 50 characters of A-Z a-z 0-9 . _ -, not . or .."
    ),
]
"""The id of an order, which is also its saga, in a path (where `.` and `..` mean something else)."""
Actor = Annotated[
    str,
    Meta(pattern=r"^[!-~]([ -~]{0,98}[!-~])?$", description="Who asks for this; it goes into the history."),
    header("X-Actor"),
]
"""Who asks, as a parameter of a route: `actor: Actor = ACTOR_DEFAULT`."""


@dataclass(frozen=True, slots=True)
class Call(Generic[P, B]):
    """One request, parsed."""

    params: P
    body: B


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with a status or headers of its own.

    `body` is a struct, or bytes of `media_type` already, or parts of those that come one after the other.
    """

    status: int
    body: msgspec.Struct | bytes | AsyncIterator[bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = JSON


Handler = Callable[[Call[Any, Any]], Awaitable[Reply | msgspec.Struct]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation. `returns` maps each good status to what it carries; the first is that of a bare struct.

    `problems` are the bad statuses beyond those that follow from the route itself (400, 403, 408, 413, 415, 500,
    503), `headers` the headers of its answers, by status. Only what is `documented` stands in the OpenAPI document.
    The parts of a body that is read `in_parts` (`msgspec.Raw`) are for the handler to judge, each for itself. What is
    `spared` is answered also when more ask at once than may.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    returns: Mapping[int, Any]
    params: type[msgspec.Struct] = Nothing
    body: type[msgspec.Struct] | None = None
    body_bytes_max: int = BODY_BYTES_MAX
    problems: tuple[int, ...] = ()
    headers: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    tag: str = ""
    media_type: str = JSON
    documented: bool = True
    in_parts: bool = False
    spared: bool = False


class Reading(Generic[P, B]):
    """How the input of one route is read."""

    def __init__(self, route: Route) -> None:
        """Look at the route's structs once."""
        self._params = route.params
        fields = msgspec.structs.fields(route.params)
        self.headers = {name: f.encode_name for f in fields if (name := header_name(f.type))}
        self._attributes = {f.encode_name: f.name for f in fields}
        self._plain = not fields
        self._decode = msgspec.json.Decoder(route.body).decode if route.body else None
        self._in_parts = route.in_parts
        self._amounts = strict(route.body) if route.body else None

    def params(self, path: Mapping[str, Any], query: list[tuple[str, str]], headers: Mapping[str, str]) -> Any:  # noqa: ANN401
        """Return the parameters as the route's struct.

        Raises:
            ProblemError: when one is missing, unknown, doubled, or breaks its rule.
        """
        if self._plain and not query:
            return self._params()
        values = dict(path)
        for name, value in query:
            if name in self.headers.values():
                raise invalid(name, "is not a parameter here")
            if name in values:
                raise invalid(name, "is given twice")
            values[name] = value
        for name, attribute in self.headers.items():
            if (given := headers.get(name)) is not None:
                values[attribute] = given
        for name, value in values.items():
            # A pattern's `$` would let a newline at the end pass.
            if not value.isprintable():
                raise invalid(name, "must be printable characters")
        try:
            read = msgspec.convert(values, self._params, strict=False)
        except msgspec.ValidationError as error:
            pointer, rule = broken_rule(error)
            name = pointer.removeprefix("/")
            shown = next((header for header, attribute in self.headers.items() if attribute == name), name)
            raise invalid(shown, rule.replace("is not a field", "is not a parameter")) from None
        for name, value in values.items():
            # To msgspec the text "null" is nothing; to whoever sends it as a filter it is not.
            if value.lower() == "null" and getattr(read, self._attributes[name]) is None:
                raise invalid(name, "must not be null")
        return read

    def body(self, raw: bytes) -> Any:  # noqa: ANN401 - the route's struct
        """Return the body as the route's struct.

        Raises:
            ProblemError: when it is no JSON, or breaks a rule.
        """
        if self._decode is None:
            return None
        try:
            value = self._decode(raw)
            if self._amounts is not None:
                self._amounts.decode(raw)
        except msgspec.ValidationError as error:
            _refuse_depth(raw)
            raise invalid(*broken_rule(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            _refuse_depth(raw)
            raise invalid(
                "", f"the body must be JSON in UTF-8: {error}" if raw else "a JSON body is required"
            ) from None
        except RecursionError:
            raise _too_deep() from None
        if not self._in_parts and b"\\u0000" in raw and (at := nul_at(msgspec.json.decode(raw))) is not None:
            raise invalid(at, "must not contain a NUL character")
        return value


def header_name(declared: Any) -> str | None:  # noqa: ANN401 - a type expression
    """Return the header that a parameter comes in, if it does."""
    for mark in getattr(declared, "__metadata__", ()):
        if isinstance(mark, Meta) and mark.extra and "header" in mark.extra:
            return str(mark.extra["header"])
    return next((name for part in get_args(declared) if (name := header_name(part))), None)


def _refuse_depth(raw: bytes) -> None:
    if depth(raw) > DEPTH_MAX:
        raise _too_deep()


def _too_deep() -> Exception:
    return invalid("", f"nested deeper than {DEPTH_MAX}")
