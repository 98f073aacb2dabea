"""Every durable write can be crashed before and after: a named place stands on both sides of it."""

import ast
import gc
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sagakit.runtime import failpoints
from sagakit.runtime.failpoints import (
    ARMED,
    BROKER_NAMES,
    LEASE_NAMES,
    LETTER_NAMES,
    NAMES,
    VARIABLE,
    VIEW_NAMES,
    arm_from_environment,
)

SERVICES = Path(__file__).parents[2] / "services"
WRITES = frozenset({"transact", "published", "publish", "join"})
"""What makes something durable, of a store or of a log."""
FORGETTING = frozenset({"prune"})
"""What only forgets may be repeated or left out at will, and needs no failpoint."""


def writes() -> Iterator[tuple[str, ast.AST, ast.Call]]:
    """Yield each durable write of the loops and the services, with the function around it."""
    for path in sorted([*SERVICES.glob("sagakit/runtime/**/*.py"), *SERVICES.glob("*_service/*.py")]):
        for function in ast.walk(parsed(path)):
            if isinstance(function, ast.AsyncFunctionDef):
                for node in _own(function):
                    if isinstance(node, ast.Call) and _name(node) in WRITES and _is_port(node):
                        yield f"{path.relative_to(SERVICES)}:{node.lineno}", function, node


def parsed(path: Path) -> ast.AST:
    """Parse a module while nothing is collected.

    A collection may log what became of a task that nobody asked for; the traceback is parsed too, and Python 3.11 takes
    a parser within the parser for a mistake of its own.
    """
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()


def test_a_failpoint_stands_before_and_after_every_durable_write() -> None:
    bare = []
    for where, function, write in writes():
        places = [
            node.lineno for node in ast.walk(function) if isinstance(node, ast.Call) and _name(node) == "failpoint"
        ]
        end = write.end_lineno or write.lineno
        if not (any(line < write.lineno for line in places) and any(line > end for line in places)):
            bare.append(where)
    assert not bare, f"no failpoint around: {', '.join(bare)}"
    assert len(list(writes())) > 10


def test_every_named_place_is_in_the_code_and_every_place_in_the_code_has_a_name() -> None:
    found = set()
    for path in SERVICES.rglob("*.py"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and _name(node) == "failpoint" and isinstance(node.args[0], ast.Constant):
                found.add(node.args[0].value)
    assert found == {*NAMES, *LEASE_NAMES, *BROKER_NAMES, *LETTER_NAMES, *VIEW_NAMES}


def test_the_environment_arms_one_place_for_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr("os.kill", lambda *what: killed.append(what))
    monkeypatch.setattr(failpoints, "ARMED", armed := dict(ARMED))
    arm_from_environment({VARIABLE: "relay.after_publish:3"})
    assert list(armed) == ["relay.after_publish"]
    for passes in range(5):
        failpoints.failpoint("relay.after_publish")
        assert len(killed) == (passes >= 2)


@pytest.mark.parametrize("wish", ["nowhere:1", "relay.after_publish:soon", "relay.after_publish:0"])
def test_a_place_that_does_not_exist_cannot_be_armed(wish: str) -> None:
    with pytest.raises(ValueError, match="expected name:number"):
        arm_from_environment({VARIABLE: wish})


@pytest.mark.parametrize("environment", [{}, {VARIABLE: ""}])
def test_without_a_wish_nothing_is_armed(environment: Mapping[str, str]) -> None:
    arm_from_environment(environment)
    assert not ARMED


def _own(function: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function, without those of the functions inside it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
            yield node
            yield from _own(node)


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _is_port(call: ast.Call) -> bool:
    """Tell whether it is called on a store, a log or a catalogue, by name."""
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
    return name.lstrip("_") in {"store", "log", "catalogue"}
