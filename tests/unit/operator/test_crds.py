"""The schemas in k8s/crds and the structs that read and write resources say the same, looked at from both sides."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import jsonschema
import msgspec
import pytest
from tests.e2e.resources.corpus import CORPUS
from tests.unit.operator.largest import largest_status

from saga_operator.crds import KINDS, Kind, as_yaml, definition, reference, write
from saga_operator.resources import Seen, SeenDefinition, Shape

ROOT = Path(__file__).parents[3]
BY_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
FULL: dict[str, dict[str, dict[str, Any]]] = {
    "OrderSaga": {
        "spec": next(case.spec for case in CORPUS.good if "order" in case.spec and len(case.spec) > 5)
        | {"sagaRef": {"sagaId": "order-1"}},
        "status": largest_status("late", steps=1).to_body() | {"step": "payment 1/4", "message": "late"},
    },
    "SagaDefinition": {
        "spec": next(case.spec for case in CORPUS.good if case.name == "everything-that-can-be-said-of-a-step"),
        "status": {
            "observedGeneration": 1,
            "ref": "order/2",
            "conditions": largest_status("late").to_body()["conditions"],
        },
    },
}
"""Of each kind a spec and a status in which every field is given."""


def committed(kind: Kind) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.yaml.decode((ROOT / "k8s" / "crds" / kind.file).read_bytes())
    return document


def schema(kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = committed(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


@BY_KIND
def test_the_schema_in_the_repository_is_what_the_structs_say(kind: Kind) -> None:
    written = (ROOT / "k8s" / "crds" / kind.file).read_text()
    assert written == as_yaml(definition(kind)), "the resources changed: run `python -m saga_operator.crds`"


def test_the_reference_in_the_documents_is_what_the_structs_say() -> None:
    written = (ROOT / "docs" / "ordersaga.md").read_text()
    assert written == reference(), "the resources changed: run `python -m saga_operator.crds`"


def test_writing_leaves_nothing_to_write(tmp_path: Path) -> None:
    (tmp_path / "k8s" / "crds").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    write(tmp_path)
    for path in ("docs/ordersaga.md", *(f"k8s/crds/{kind.file}" for kind in KINDS)):
        assert (tmp_path / path).read_text() == (ROOT / path).read_text()


@BY_KIND
def test_every_field_is_described_and_bounded(kind: Kind) -> None:
    for path, its in nodes(schema(kind)):
        where = ".".join(path)
        if path[-1:] != ("[]",) and path != ("metadata",):
            assert its.get("description"), f"{where} has no description"
        match its["type"]:
            case "string" if path not in (("apiVersion",), ("kind",)):
                assert its.keys() & {"maxLength", "enum", "format"}, f"{where} is a text without a bound"
            case "array":
                assert "maxItems" in its, f"{where} is a list without a bound"
                assert "x-kubernetes-list-type" in its, f"{where} does not say how it is merged"
            case "integer":
                assert its.keys() >= {"minimum", "maximum"}, f"{where} is a number without a bound"
            case kind_of_value:
                assert kind_of_value in ("string", "boolean", "object"), f"{where} is a {kind_of_value}"


@BY_KIND
def test_every_rule_is_told_in_a_sentence_for_people(kind: Kind) -> None:
    rules = [rule for _, its in nodes(schema(kind)) for rule in its.get("x-kubernetes-validations", ())]
    assert rules
    for rule in rules:
        assert len(rule["message"].split()) >= 5, rule
        assert "self" not in rule["message"].split(), rule


@BY_KIND
@pytest.mark.parametrize("part", ["spec", "status"])
def test_schema_and_struct_have_the_same_fields_defaults_and_needs(kind: Kind, part: str) -> None:
    struct = kind.spec if part == "spec" else kind.status
    assert list(differences(struct, schema(kind)["properties"][part], part, defaults=part == "spec")) == []


@BY_KIND
@pytest.mark.parametrize("part", ["spec", "status"])
def test_schema_and_struct_accept_and_refuse_the_same_values(kind: Kind, part: str) -> None:
    its, full = schema(kind)["properties"][part], FULL[kind.kind][part]
    struct = kind.spec if part == "spec" else kind.status
    judge = jsonschema.Draft202012Validator(its)
    assert judge.is_valid(full)
    msgspec.convert(full, struct)
    answers = set()
    for path, body in probes(its, full):
        accepted = judge.is_valid(body)
        assert accepted == readable(body, struct), f"{'.'.join(map(str, path))}: the schema says {accepted} to {body}"
        answers.add(accepted)
    assert answers == {True, False}


@pytest.mark.parametrize(("seen", "kind"), [(Seen, KINDS[0]), (SeenDefinition, KINDS[1])])
def test_whatever_is_read_back_is_what_the_operator_writes(seen: type[Shape], kind: Kind) -> None:
    written = {its.name: its.type for its in msgspec.structs.fields(kind.status)}
    for its in msgspec.structs.fields(seen):
        assert its.name in written
        if its.name not in ("conditions", "transitions"):  # a list is read item by item, whatever its length
            assert bare(its.type) == bare(written[its.name]), its.name


@BY_KIND
def test_columns_and_selectable_fields_point_at_fields(kind: Kind) -> None:
    version = committed(kind)["spec"]["versions"][0]
    paths = {".".join(path) for path, _ in nodes(schema(kind))}
    for json_path in [column["jsonPath"] for column in version["additionalPrinterColumns"]]:
        known = json_path.removeprefix(".").split("[?")[0]
        assert known in paths | {"metadata.creationTimestamp"}, json_path
    assert {path["jsonPath"].removeprefix(".") for path in version["selectableFields"]} <= paths


def nodes(its: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    yield path, its
    for name, inner in its.get("properties", {}).items():
        yield from nodes(inner, (*path, name))
    if "items" in its:
        yield from nodes(its["items"], (*path, "[]"))


def differences(struct: type[msgspec.Struct], its: dict[str, Any], path: str, *, defaults: bool) -> Iterator[str]:
    """Yield where the struct, as msgspec tells of it, and the schema differ; `crds` is not asked."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    if fields.keys() != its["properties"].keys():
        yield f"{path}: {fields.keys() ^ its['properties'].keys()} is on one side only"
    required = {name for name, field in fields.items() if field.required}
    if required != set(its.get("required", ())):
        yield f"{path}: the struct needs {required}, the schema {its.get('required')}"
    for name, field in fields.items():
        inner = its["properties"][name]
        default = {} if field.default_factory is not msgspec.NODEFAULT else field.default
        said = inner.get("default", msgspec.NODEFAULT)
        if defaults and said != (msgspec.NODEFAULT if default is None else default):
            yield f"{path}.{name}: the default is {default!r} in the struct, {said!r} in the schema"
        if not defaults and said is not msgspec.NODEFAULT:
            yield f"{path}.{name}: what was seen has no default"
        inside = [each for each in within(field.type) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
        properties = inner.get("items", inner)
        if bool(inside) != ("properties" in properties):
            yield f"{path}.{name}: is a structure on one side only"
        for each in inside:
            yield from differences(each, properties, f"{path}.{name}", defaults=defaults)


def within(kind: object) -> Iterator[object]:
    """Yield every type that the type expression is made of."""
    yield kind
    for inner in get_args(kind):
        yield from within(inner)


def bare(kind: object) -> set[object]:
    """Return the plain types in the expression, and their bounds without words."""
    found: set[object] = set()
    for each in within(kind):
        if isinstance(each, msgspec.Meta):
            found.add((each.ge, each.le, each.min_length, each.max_length, each.pattern, each.tz))
        elif not get_args(each):
            found.add(each)
    return found - {(None,) * 6}


def readable(body: object, struct: type[msgspec.Struct]) -> bool:
    try:
        msgspec.convert(body, struct)
    except msgspec.ValidationError:
        return False
    return True


def probes(its: dict[str, Any], full: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:  # noqa: ANN401 - any JSON
    """Yield the body with one value after the other replaced by one at a bound, beyond it, or of another kind."""
    for path, inner, value in places(its, full):
        for probe in values(inner, value):
            yield path, replaced(full, path, probe)


def places(
    its: dict[str, Any],
    value: Any,  # noqa: ANN401 - any JSON
    path: tuple[str | int, ...] = (),
) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any], Any]]:
    if path:
        yield path, its, value
    for name, inner in its.get("properties", {}).items():
        assert name in value, f"{'.'.join(map(str, path))}: the full example has no {name}"
        yield from places(inner, value[name], (*path, name))
    if "items" in its:
        yield from places(its["items"], value[0], (*path, 0))


def values(its: dict[str, Any], now: Any) -> list[Any]:  # noqa: ANN401 - any JSON
    """Return values at the bounds, beyond them, and of other kinds."""
    match its:
        case {"enum": words}:
            return [*words, words[0].lower(), f"{words[0]} ", "", 1, True, []]
        case {"format": "date-time"}:
            return [5, True, []]
        case {"type": "string"}:
            least, most = its.get("minLength", 0), its["maxLength"]
            lengths = [letter * length for letter in "a1Zf" for length in {least, most, most + 1, max(least - 1, 0)}]
            return [
                *lengths,
                "",
                " ",
                "a b",
                " a",
                "a ",
                "é",
                "1.5",
                "1.",
                "-1",
                "a/1",
                "/1",
                "A_b",
                "1_a",
                1,
                True,
                [],
            ]
        case {"type": "integer", "minimum": least, "maximum": most}:
            return [least, most, least - 1, most + 1, 1.5, "1", True, []]
        case {"type": "boolean"}:
            return [True, False, "true", 1, []]
        case {"type": "array"}:
            least, most = its.get("minItems", 0), its["maxItems"]
            return [now[:1] * least, now[:1] * most, now[:1] * (most + 1), [], {}, "a", 1]
        case _:
            lacking = [{name: each for name, each in now.items() if name != left_out} for left_out in now]
            return [*lacking, {}, [], "a", 1, now | {"unheardOf": 1}]


def replaced(full: Any, path: tuple[str | int, ...], probe: Any) -> Any:  # noqa: ANN401 - any JSON
    made = deepcopy(full)
    place = made
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = probe
    return made
