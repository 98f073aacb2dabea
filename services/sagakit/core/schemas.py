"""JSON Schemas of message data, and which changes of a schema keep old and new readers working. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from sagakit.core.contracts import Contract

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NUMBER = {"type": "number"}
NOTES = frozenset({"title", "description", "examples", "$id", "$schema"})

Schema = dict[str, Any]


def schema_of(contract: Contract) -> Schema:
    """Return the JSON Schema of the newest version of a message type; amounts are numbers, as they are written."""
    (root,), components = msgspec.json.schema_components([contract.data], ref_template="#/$defs/{name}")
    name = root["$ref"].rpartition("/")[2]
    whole = with_decimals({**components.pop(name), **({"$defs": dict(components)} if components else {})}, NUMBER)
    return {"$schema": DIALECT, "$id": f"{contract.type}.v{contract.version}.json", **whole, "title": contract.type}


def with_decimals(schema: Any, decimal: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any piece of a schema
    """Return the schema with each decimal said as `decimal` says it."""
    if isinstance(schema, list):
        return [with_decimals(inner, decimal) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal":
        return {**{name: said for name, said in schema.items() if name not in ("type", "format")}, **decimal}
    return {name: with_decimals(inner, decimal) for name, inner in schema.items()}


def breaks(old: Schema, new: Schema) -> list[str]:
    """Return what a reader of the other schema would stumble over, in sentences; empty when nothing.

    Within one version a field may only be added, and only one that may be left out: then messages of either schema are
    read by either. Whatever else changes needs a new version, with an upcaster from this one.
    """
    return sorted(set(_breaks(old, new, "")))


def _breaks(old: Any, new: Any, at: str) -> Iterator[str]:  # noqa: ANN401 - any piece of a schema
    if not isinstance(old, dict) or not isinstance(new, dict):
        if old != new:
            yield f"{at or '/'}: {_short(old)} became {_short(new)}"
        return
    yield from _fields(old, new, at)
    for word in sorted((old.keys() | new.keys()) - NOTES - {"properties", "required", "$defs"}):
        if word not in new or word not in old:
            yield f"{at or '/'}: {word} {'was dropped' if word in old else 'is new'}"
        elif isinstance(old[word], list) and isinstance(new[word], list) and len(old[word]) == len(new[word]):
            for one, other in zip(old[word], new[word], strict=True):
                yield from _breaks(one, other, at)
        else:
            yield from _breaks(old[word], new[word], at)
    for name, definition in old.get("$defs", {}).items():
        if name in new.get("$defs", {}):
            yield from _breaks(definition, new["$defs"][name], f"{at}/{name}")


def _fields(old: Schema, new: Schema, at: str) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    required, still = set(old.get("required", ())), set(new.get("required", ()))
    for name in before:
        if name not in after:
            yield f"{at}/{name}: was removed"
            continue
        yield from _breaks(before[name], after[name], f"{at}/{name}")
        if name in required - still:
            yield f"{at}/{name}: may be left out now, which an old reader does not expect"
    for name in sorted(still - required):
        yield f"{at}/{name}: is required now, which old messages do not have"


def _short(value: object) -> str:
    return repr(value) if len(repr(value)) <= 40 else f"{repr(value)[:39]}…"  # noqa: PLR2004 - a line's worth
