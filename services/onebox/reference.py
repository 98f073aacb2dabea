"""The command reference in docs/cli.md, made from the commands themselves: python -m onebox.reference prints it."""

import enum
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from onebox.cli import app
from onebox.errors import MEANINGS


@dataclass(frozen=True, slots=True)
class Command:
    """One command as a person types it, what it does, and examples of it."""

    name: str
    does: Callable[..., Any]
    examples: tuple[str, ...]


def reference() -> str:
    """Return every exit code, and every command with its examples, arguments and options, as Markdown."""
    lines = ["### Exit codes", "", "| code | meaning |", "| --- | --- |"]
    lines += [f"| {code.value} | {meaning} |" for code, meaning in MEANINGS.items()]
    for command in commands(app, "sagactl"):
        lines += ["", f"### {command.name}", "", inspect.getdoc(command.does) or "", ""]
        lines += [f"    {example}" for example in command.examples]
        rows = list(_rows(command.does))
        if rows:
            lines += ["", "| argument or option | what it means |", "| --- | --- |", *rows]
    return "\n".join(lines) + "\n"


def commands(group: typer.Typer, path: str) -> Iterator[Command]:
    """Yield every command of the group and of the groups in it."""
    for known in group.registered_commands:
        assert known.callback is not None
        examples = tuple(line for line in (known.epilog or "").split("\n\n") if line.startswith("sagactl "))
        yield Command(f"{path} {known.name}", known.callback, examples)
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            yield from commands(inner.typer_instance, f"{path} {inner.name}")


def _rows(does: Callable[..., Any]) -> Iterator[str]:
    hints = get_type_hints(does, include_extras=True)
    for name, parameter in inspect.signature(does).parameters.items():
        kind, info = _parts(hints[name])
        names: list[str] = []
        if isinstance(info, ArgumentInfo):
            names.append(info.metavar or name.upper())
        else:
            # typer keeps the first of the names given in `Annotated` as the default.
            names += [str(word) for word in (info.default, *(info.param_decls or ())) if str(word).startswith("-")]
        names = names or [f"--{name.replace('_', '-')}"]
        shown = "`, `".join(names).replace("|", r"\|")  # else the cell would end there
        yield f"| `{shown}` | {info.help}{_one_of(kind)}{_default(parameter.default)} |"


def _parts(hint: Any) -> tuple[Any, OptionInfo | ArgumentInfo]:  # noqa: ANN401 - a type expression
    assert get_origin(hint) is Annotated, f"{hint} has no words for its help"
    kind, info = get_args(hint)
    return kind, info


def _one_of(kind: Any) -> str:  # noqa: ANN401 - a type expression
    for each in (kind, *get_args(kind)):
        if isinstance(each, type) and issubclass(each, enum.Enum):
            return f" One of {', '.join(str(word.value) for word in each)}."
    return ""


def _default(default: object) -> str:
    if default is inspect.Parameter.empty:
        return " Required."
    return "" if default is None or isinstance(default, bool) else f" Default: `{getattr(default, 'value', default)}`."


if __name__ == "__main__":
    print(reference(), end="")
