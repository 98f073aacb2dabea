"""The OpenAPI 3.1 document of a service, computed from its routes: what is read is what is documented."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from sagakit.core.schemas import Schema, with_decimals
from sagakit.runtime.http.decimals import PATTERN
from sagakit.runtime.http.problems import PROBLEM_JSON, Problem
from sagakit.runtime.http.routes import JSON, Route, header_name

REFERENCE = "#/components/schemas/{name}"
DECIMAL_READ = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": PATTERN}]}
DECIMAL_SAID = {"type": "number"}
MEANINGS = {
    200: "As asked.",
    201: "Made.",
    202: "Accepted; it goes on.",
    204: "Done; there is nothing to say.",
    400: "The request breaks a rule.",
    403: "A page of another site asks.",
    404: "There is no such thing.",
    408: "The body did not come in time.",
    409: "It stands as it does not allow this.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "It is well said, and names something that is not known here, or not yet.",
    500: "An error of the service's own.",
    503: "Not now; nothing was done, try again.",
}


def document(title: str, routes: Sequence[Route]) -> Schema:
    """Return the document of these routes."""
    shown = [route for route in routes if route.documented]
    read, said = _Schemas(DECIMAL_READ), _Schemas(DECIMAL_SAID)
    for route in shown:
        for parameter in msgspec.structs.fields(route.params):
            read.want(parameter.type)
        if route.body is not None:
            read.want(route.body)
        for carried in filter(None, route.returns.values()):
            said.want(carried)
    said.want(Problem)
    paths: dict[str, Schema] = {}
    for route in shown:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, read, said)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version("sagaplane")},
        "paths": paths,
        "components": {"schemas": _merged(read.components, said.components)},
    }


class _Schemas:
    """The schemas of all types that go in one direction, with one name for each struct."""

    def __init__(self, decimal: Schema) -> None:
        self._decimal = decimal
        self._types: list[Any] = []
        self._made: tuple[list[Schema], dict[str, Schema]] | None = None

    def want(self, wanted: Any) -> None:  # noqa: ANN401 - a type
        self._types.append(wanted)

    def of(self, wanted: Any) -> Schema:  # noqa: ANN401 - a type
        schemas, _ = self._make()
        return schemas[self._types.index(wanted)]

    @property
    def components(self) -> dict[str, Schema]:
        return self._make()[1]

    def _make(self) -> tuple[list[Schema], dict[str, Schema]]:
        if self._made is None:
            schemas, components = msgspec.json.schema_components(self._types, ref_template=REFERENCE)
            self._made = (
                [with_decimals(schema, self._decimal) for schema in schemas],
                {name: with_decimals(schema, self._decimal) for name, schema in components.items()},
            )
        return self._made


def _operation(route: Route, read: _Schemas, said: _Schemas) -> Schema:
    operation: Schema = {
        "summary": route.summary,
        "operationId": route.handler.__name__,
        "parameters": _parameters(route, read),
        "responses": _responses(route, said),
    }
    if route.handler.__doc__:
        operation["description"] = route.handler.__doc__
    if route.tag:
        operation["tags"] = [route.tag]
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": read.of(route.body)}}}
    return operation


def _parameters(route: Route, read: _Schemas) -> list[Schema]:
    parameters: list[Schema] = []
    for field in msgspec.structs.fields(route.params):
        header = header_name(field.type)
        place = "header" if header else "path" if f"{{{field.encode_name}}}" in route.path else "query"
        schema = _given(read.of(field.type))
        if field.default not in (msgspec.NODEFAULT, None):
            schema = {**schema, "default": msgspec.to_builtins(field.default)}
        parameter: Schema = {
            "name": header or field.encode_name,
            "in": place,
            "required": field.required or place == "path",
            "schema": schema,
        }
        parameters.append(parameter)
    return parameters


def _given(schema: Schema) -> Schema:
    """Return the schema of a parameter when it is there: one that may be left out is no null."""
    whole = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    return whole[0] if len(whole) == 1 else schema


def _responses(route: Route, said: _Schemas) -> Schema:
    responses: Schema = {}
    for status, carried in route.returns.items():
        content = {route.media_type: {"schema": said.of(carried)}} if carried else {}
        responses[str(status)] = _response(status, route, content)
    bad = {400, 500, 503, *route.problems}
    bad |= {403} if route.method != "GET" else set()
    bad |= {408, 413, 415} if route.body is not None else set()
    for status in sorted(bad):
        responses[str(status)] = _response(status, route, {PROBLEM_JSON: {"schema": said.of(Problem)}})
    return responses


def _response(status: int, route: Route, content: Schema) -> Schema:
    response: Schema = {"description": MEANINGS[status], **({"content": content} if content else {})}
    names = [*route.headers.get(status, ()), *(("Retry-After",) if status == 503 else ())]  # noqa: PLR2004 - HTTP's own
    if names:
        response["headers"] = {name: {"schema": {"type": "string"}} for name in names}
    return response


def _merged(read: Mapping[str, Schema], said: Mapping[str, Schema]) -> dict[str, Schema]:
    for name in read.keys() & said.keys():
        if read[name] != said[name]:
            raise ValueError(f"{name} reads otherwise than it is said; give the two directions a struct each")
    return dict(sorted({**read, **said}.items()))
