"""The schemas in k8s/crds and docs/ordersaga.md, made from `resources`: python -m saga_operator.crds writes them."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect as kinds

from saga_operator import resources
from saga_operator.resources import GROUP, TERMINAL_STAYS, VERSION, Rule

HEADER = "# Made by `python -m saga_operator.crds` from saga_operator/resources; not written by hand.\n"
INT32_MAX = 2**31 - 1
WARNING = (
    "Whoever may create OrderSagas in a namespace that is looked after may steer every saga whose id she knows, by "
    "`sagaRef`, whoever placed it and in whichever namespace: give that right as that to cancel any order."
)


class Column(msgspec.Struct, frozen=True, rename="camel"):
    """What `kubectl get` shows; those of priority 1 only with `-o wide`."""

    name: str
    json_path: str
    description: str
    type: str = "string"
    priority: int = 0


class Kind(msgspec.Struct, frozen=True):
    """A custom resource as a whole."""

    kind: str
    plural: str
    short_name: str
    description: str
    spec: type[resources.Shape]
    spec_description: str
    status: type[resources.Shape]
    rules: tuple[Rule, ...]
    columns: tuple[Column, ...]
    selectable: tuple[str, ...]

    @property
    def file(self) -> str:
        """The name of the file under k8s/crds."""
        return f"{self.plural}.yaml"


_AGE = Column("Age", ".metadata.creationTimestamp", "When the resource was made.", "date")
ORDER_SAGA = Kind(
    resources.ORDER_SAGA_KIND,
    resources.ORDER_SAGA_PLURAL,
    "osaga",
    "A saga of one order as a resource: what is wanted of it, and a view of where it stands. The truth is in the "
    "saga's own history. Deleting a running OrderSaga compensates it first.",
    resources.Spec,
    "What is wanted. What the saga began with is immutable; suspend, cancel, cancelReason, retryToken, retryPolicy, "
    "ttlSecondsAfterFinished and deletionPolicy may change.",
    resources.Status,
    (TERMINAL_STAYS,),
    (
        Column("Phase", ".status.phase", "Where the saga stands."),
        Column("Step", ".status.step", "The step it is at."),
        Column("Reason", ".status.reason", "Why it stands there."),
        Column("Deadline", ".status.deadline", "When it is aborted unless it has ended."),
        _AGE,
        Column("Correlation", ".status.correlationId", "The word to find its logs and traces by.", priority=1),
        Column("Saga", ".status.sagaId", "The saga, which is also the order.", priority=1),
        Column("Mode", ".status.mode", "Who coordinates it.", priority=1),
        Column("Message", ".status.message", "Why it stands there, in a sentence.", priority=1),
    ),
    (".spec.correlationId", ".spec.sagaRef.sagaId", ".status.phase"),
)
SAGA_DEFINITION = Kind(
    resources.SAGA_DEFINITION_KIND,
    resources.SAGA_DEFINITION_PLURAL,
    "sagadef",
    "One version of a saga: its steps as data. The operator validates it and tells it to every service; an OrderSaga "
    "runs by it when its definitionRef says so.",
    resources.DefinitionSpec,
    "The saga. Immutable as a whole: a change is a SagaDefinition with the next version.",
    resources.DefinitionStatus,
    (),
    (
        Column("Saga", ".spec.name", "The name of the saga."),
        Column("Version", ".spec.version", "The version of the definition.", "integer"),
        Column("Validated", '.status.conditions[?(@.type=="Validated")].status', "Whether it means something."),
        Column("Published", '.status.conditions[?(@.type=="Published")].status', "Whether services know.", priority=1),
        _AGE,
    ),
    (".spec.name",),
)
KINDS = (ORDER_SAGA, SAGA_DEFINITION)


def write(root: Path) -> None:
    """Write every schema and the reference of the fields where the repository keeps them."""
    for kind in KINDS:
        (root / "k8s" / "crds" / kind.file).write_text(as_yaml(definition(kind)), encoding="utf-8")
    (root / "docs" / "ordersaga.md").write_text(reference(), encoding="utf-8")


def as_yaml(data: Mapping[str, Any]) -> str:
    """Return the data as a file: once through JSON, so that nothing is shared and YAML needs no anchors."""
    return HEADER + msgspec.yaml.encode(msgspec.json.decode(msgspec.json.encode(data))).decode()


def definition(kind: Kind) -> dict[str, Any]:
    """Return the CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "sagaplane"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [kind.short_name],
                "categories": ["sagas"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _resource(kind)},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": kind.columns,
                    "selectableFields": [{"jsonPath": path} for path in kind.selectable],
                }
            ],
        },
    }


def _resource(kind: Kind) -> dict[str, Any]:
    texts = {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind.kind}
    properties: dict[str, Any] = {
        name: {"type": "string", "description": f"Always {word}."} for name, word in texts.items()
    }
    properties["metadata"] = {"type": "object"}
    properties["spec"] = {"description": kind.spec_description} | _struct(kinds.type_info(kind.spec), defaults=True)
    properties["status"] = {"description": "What was seen; the operator writes it."} | _struct(
        kinds.type_info(kind.status), defaults=False
    )
    whole = {"description": kind.description, "type": "object", "required": ["spec"], "properties": properties}
    return whole | _rules(kind.rules)


def schema(its: kinds.Type, *, defaults: bool) -> dict[str, Any]:
    """Return the structural schema of a type. What was seen has no defaults: absent means not seen."""
    match its:
        case kinds.Metadata():
            return (its.extra_json_schema or {}) | schema(its.type, defaults=defaults)
        case kinds.UnionType():
            (only,) = (each for each in its.types if not isinstance(each, kinds.NoneType))
            return schema(only, defaults=defaults)
        case kinds.StructType():
            return _struct(its, defaults=defaults)
        case kinds.VarTupleType():
            bounds = _given(minItems=its.min_length, maxItems=its.max_length)
            return {"type": "array", **bounds, "items": schema(its.item_type, defaults=defaults)}
        case kinds.StrType():
            pattern = its.pattern and its.pattern.replace(r"\A", "^").replace(r"\Z", "$")
            return {"type": "string", **_given(minLength=its.min_length, maxLength=its.max_length, pattern=pattern)}
        case kinds.IntType():
            wide = its.le is None or its.le > INT32_MAX
            return {"type": "integer", "format": "int64" if wide else "int32", **_given(minimum=its.ge, maximum=its.le)}
        case kinds.BoolType():
            return {"type": "boolean"}
        case kinds.EnumType():
            return {"type": "string", "enum": [each.value for each in its.cls]}
        case kinds.DateTimeType():
            return {"type": "string", "format": "date-time"}
        case _:
            raise TypeError(f"{its} has no structural schema")


def _struct(its: kinds.Type, *, defaults: bool) -> dict[str, Any]:
    assert isinstance(its, kinds.StructType)
    assert issubclass(its.cls, resources.Shape)
    properties = {}
    for each in its.fields:
        properties[each.encode_name] = schema(each.type, defaults=defaults) | (_default(each) if defaults else {})
    required = [each.encode_name for each in its.fields if each.required]
    return {"type": "object", **_given(required=required or None), "properties": properties, **_rules(its.cls.RULES)}


def _default(its: kinds.Field) -> dict[str, Any]:
    """Return the default; that of a structure is empty, for each of its fields has its own."""
    if its.default_factory is not msgspec.NODEFAULT:
        return {"default": {}}
    return {} if its.default is msgspec.NODEFAULT or its.default is None else {"default": its.default}


def _rules(rules: tuple[Rule, ...]) -> dict[str, Any]:
    said = [{"rule": r.cel, "message": r.message, **_given(fieldPath=r.at)} for r in rules]
    return {"x-kubernetes-validations": said} if said else {}


def _given(**bounds: Any) -> dict[str, Any]:  # noqa: ANN401 - numbers, texts and lists
    return {name: bound for name, bound in bounds.items() if bound is not None}


def reference() -> str:
    """Return what each field means, as Markdown."""
    lines = [
        "# OrderSaga and SagaDefinition",
        "",
        "Made by `python -m saga_operator.crds`; the same words as in `kubectl explain`.",
        "",
        WARNING,
    ]
    for kind in KINDS:
        whole = _resource(kind)
        lines += ["", f"## {kind.kind}", "", whole["description"], ""]
        lines += [f"`{GROUP}/{VERSION}`, namespaced, short name `{kind.short_name}`, category `sagas`. "]
        lines[-1] += f"Selectable: {', '.join(f'`{path[1:]}`' for path in kind.selectable)}."
        for part in ("spec", "status"):
            inside = whole["properties"][part]
            lines += ["", f"### {kind.kind} {part}", "", inside["description"], ""]
            lines += ["| field | type | meaning |", "| --- | --- | --- |", *_rows(inside, "")]
        lines += ["", f"### {kind.kind} rules", "", *(f"- {sentence}" for sentence in _sentences(whole))]
    return "\n".join(lines) + "\n"


def _rows(inside: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, its in inside["properties"].items():
        needed = " Required." if name in inside.get("required", ()) else ""
        default = f" Default: `{_word(its['default'])}`." if its.get("default", {}) != {} else ""
        yield f"| `{path}{name}` | {_type(its)} | {its['description'].removesuffix('.')}.{needed}{default} |"
        within = its.get("items", its)
        if "properties" in within:
            yield from _rows(within, f"{path}{name}{'[]' if within is not its else ''}.")


def _word(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def _type(its: Mapping[str, Any]) -> str:
    match its:
        case {"enum": words}:
            return ", ".join(f"`{word}`" for word in words)
        case {"type": "array", "maxItems": most}:
            return f"list of {its.get('minItems', 0)} to {most}"
        case {"type": "integer", "minimum": least, "maximum": most}:
            return f"integer from {least} to {most}"
        case {"format": "date-time"}:
            return "time"
        case {"type": "string", "maxLength": most}:
            return f"text of {its.get('minLength', 0)} to {most}"
        case _:
            return str(its["type"])


def _sentences(its: Mapping[str, Any]) -> Iterator[str]:
    for rule in its.get("x-kubernetes-validations", ()):
        yield f"{rule['message'][0].upper()}{rule['message'][1:]}."
    for each in its.get("properties", {}).values():
        yield from _sentences(each.get("items", each))


if __name__ == "__main__":
    write(Path(*sys.argv[1:]))
