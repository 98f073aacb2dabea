"""What a line of ours shows of a step, an attempt or a place in the log, it has in fields of its own too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagakit.runtime.telling import Fields

ROOT = Path(__file__).parents[3]
ROOMS = ("services/*_service", "services/sagakit", "operator")
MODULES = {
    path.relative_to(ROOT): source
    for room in ROOMS
    for path in ROOT.glob(f"{room}/**/*.py")
    if "log_lines." in (source := path.read_text())
}
PLACE = frozenset({"topic", "partition", "offset"})
SHOWN = {
    "step": {"step"},
    "attempt": {"attempt"},
    "attempts": {"attempt"},
    "tries": {"attempt"},
    "topic": {"topic"},
    "partition": {"partition"},
    "offset": {"offset"},
    "where": PLACE,
    "_where": PLACE,
}
"""What a value of that name is, in the words of a line."""


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, ast.expr | None]]:
    """Return each call that leaves a line, with what it says beside its words: the variable's last value before it."""
    for function in (its for its in ast.walk(tree) if isinstance(its, ast.FunctionDef | ast.AsyncFunctionDef)):
        bound: dict[str, ast.expr] = {}
        for node in sorted(_own(function), key=lambda its: its.lineno):
            if isinstance(node, ast.Assign):
                bound.update(_bound(node.targets[0], node.value))
            elif isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "log_lines":
                extra = next((its.value for its in node.keywords if its.arg == "extra"), None)
                yield node, bound[extra.id] if isinstance(extra, ast.Name) else extra


def _own(function: ast.AST) -> Iterator[ast.Assign | ast.Call]:
    """Return what the function itself assigns and calls, and no function within it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if isinstance(node, ast.Assign | ast.Call):
                yield node
            yield from _own(node)


def _bound(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for each, its in zip(target.elts, value.elts, strict=True):
            yield from _bound(each, its)


def shown(call: ast.Call) -> set[str]:
    """Return of what the words of a line show a value."""
    nodes = [node for argument in call.args for node in ast.walk(argument)]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return {field for name in names for field in SHOWN.get(name, ())}


def had(extra: ast.expr | None) -> set[str]:
    """Return the fields that a line has; `fields` alone makes them."""
    if extra is None:
        return set()
    assert isinstance(extra, ast.Call), ast.unparse(extra)
    assert ast.unparse(extra.func) == "fields", ast.unparse(extra)
    found = {its.arg for its in extra.keywords if its.arg is not None}
    whole = [ast.unparse(its.value) for its in extra.keywords if its.arg is None]
    return found | (PLACE if any(its.startswith("place_of(") for its in whole) else set())


def lacking(source: str) -> list[tuple[int, set[str]]]:
    """Return the lines of a module at which a log line lacks a field, and which."""
    found = ((call.lineno, shown(call) - had(extra)) for call, extra in calls(ast.parse(source)))
    return [(line, lacks) for line, lacks in found if lacks]


def test_every_line_of_ours_has_as_a_field_what_it_shows() -> None:
    assert not {path: lacks for path, source in MODULES.items() if (lacks := lacking(source))}


def test_every_field_is_had_by_some_line_and_every_line_is_looked_at() -> None:
    found = [each for source in MODULES.values() for each in calls(ast.parse(source))]
    assert {field for _, extra in found for field in had(extra)} == Fields.__annotations__.keys()
    assert {field for call, _ in found for field in shown(call)} == Fields.__annotations__.keys()
    assert len(found) == sum(source.count("log_lines.") for source in MODULES.values())


def test_every_field_is_explained() -> None:
    rows = [line for line in (ROOT / "docs/observability.md").read_text().splitlines() if line.startswith("| `")]
    assert not [name for name in Fields.__annotations__ if not any(f"`{name}`" in row.split("|")[1] for row in rows)]


@pytest.mark.parametrize(
    ("line", "lacks"),
    [
        ('log_lines.info("%s", its.step)', {"step"}),
        ('log_lines.info("%d", ask.tries + 1, extra=fields(ids, step=its.step))', {"attempt"}),
        ('log_lines.info("%s", _where(record), extra=fields(ids))', PLACE),
        ('extra = fields(ids, topic=topic)\n    log_lines.info("%s", where, extra=extra)', {"partition", "offset"}),
    ],
)
def test_a_line_that_lacks_a_field_is_found(line: str, lacks: set[str]) -> None:
    assert [each for _, each in lacking(f"def f():\n    {line}\n")] == [lacks]
