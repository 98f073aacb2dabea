"""How answers are printed: a table for people, JSON for machines. Standard output carries the answer and nothing else.

Progress, warnings and errors go to standard error. A status is always a word; a symbol and a colour stand beside it.
"""

import contextlib
import enum
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from sagakit.runtime.plain import plain

if TYPE_CHECKING:  # rich takes a quarter of the time that `sagactl --help` may take
    from rich.console import Console
    from rich.table import Table

R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T")

PIPE_WIDTH = 10_000
"""A table into a pipe is never cut to a width: whoever greps it wants whole ids."""

_encoder = msgspec.json.Encoder(decimal_format="number")
_ESCAPED = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
"""What a terminal obeys and JSON lets pass, as JSON may write it too."""

_LOOKS = {
    "Pending": ("·", "dim"),
    "Running": ("▶", "cyan"),
    "Compensating": ("↩", "yellow"),
    "NeedsIntervention": ("!", "bold red"),
    "Completed": ("✔", "green"),
    "Compensated": ("↩", "yellow"),
    "Killed": ("✖", "red"),
    "pending": ("·", "dim"),
    "confirmed": ("✔", "green"),
    "cancelled": ("✖", "yellow"),
    "idle": ("·", "dim"),
    "begun": ("▶", "cyan"),
    "succeeded": ("✔", "green"),
    "refused": ("✖", "red"),
    "barred": ("■", "red"),
    "compensating": ("↩", "yellow"),
    "compensated": ("↩", "yellow"),
}


class Format(enum.StrEnum):
    """What `-o` takes. `jsonl` is one JSON object a line, `name` only the ids."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    NAME = "name"


def worded(status: str) -> str:
    """Return the status as symbol and word."""
    return f"{_LOOKS[status][0]} {status}" if status in _LOOKS else status


def style_of(status: str) -> str:
    """Return how the status looks in a terminal that has colours."""
    return _LOOKS.get(status, ("", ""))[1]


@dataclass(frozen=True)  # no slots: Python 3.11 cannot write `Column[Saga](…)` with both
class Column(Generic[T]):
    """One column of a table: its head, its text for a record, and whether the text is a status."""

    head: str
    text: Callable[[T], str]
    status: bool = False


@dataclass
class Output:
    """Where a command prints, in one format."""

    format: Format = Format.TABLE

    @property
    def for_people(self) -> bool:
        """True when the answer is a table and there may be words around it."""
        return self.format is Format.TABLE

    def one(self, record: msgspec.Struct, name: str, show: Callable[[], str]) -> None:
        """Print one record; `show` says how it looks to a person."""
        match self.format:
            case Format.TABLE:
                self.say(show())
            case Format.JSON:
                self.line(_shown(msgspec.json.format(encode(record), indent=2)))
            case Format.JSONL:
                self.line(_shown(encode(record)))
            case Format.NAME:
                self.line(plain(name))

    def many(self, records: Sequence[R], name: Callable[[R], str], columns: Sequence[Column[R]]) -> None:
        """Print a list of records."""
        match self.format:
            case Format.TABLE:
                self.table(records, columns)
            case Format.JSON:
                self.line(_shown(msgspec.json.format(encode(records), indent=2)))
            case Format.JSONL:
                for record in records:
                    self.line(_shown(encode(record)))
            case Format.NAME:
                for record in records:
                    self.line(plain(name(record)))

    def table(self, records: Sequence[R], columns: Sequence[Column[R]]) -> None:
        """Print a table without lines, for eyes and for grep; a status is coloured where there are colours."""
        self._out.print(table_of(records, columns))

    def say(self, text: str) -> None:
        """Print words that belong to the answer, plain and at once."""
        self.line(plain(text))
        sys.stdout.flush()

    def line(self, text: str) -> None:
        """Print one line, or several, for a machine."""
        sys.stdout.write(text + "\n")

    def note(self, text: str) -> None:
        """Tell a person something that is not the answer."""
        sys.stderr.write(plain(text) + "\n")

    @contextlib.contextmanager
    def progress(self, title: str, total: float | None) -> Iterator[Callable[[float, float | None], None]]:
        """Show how far something long has come, to people who watch; the value is called with (done, total)."""
        if not self._err.is_terminal:
            yield lambda _done, _total: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._err, transient=True) as bar:
            task = bar.add_task(title, total=total)
            yield lambda done, known: bar.update(task, completed=done, total=known)

    @contextlib.contextmanager
    def live(self, columns: Sequence[Column[R]]) -> Iterator[Callable[[Sequence[R]], None]]:
        """Show a table that changes, to people who watch, else as it was last; the value is called with records."""
        if not self.for_people:
            yield lambda _records: None
        elif self._out.is_terminal:
            from rich.live import Live

            with Live(console=self._out, auto_refresh=False) as live:
                yield lambda records: live.update(table_of(records, columns), refresh=True)
        else:
            last: list[Sequence[R]] = [()]
            yield lambda records: last.__setitem__(0, records)
            self.table(last[0], columns)

    @cached_property
    def _out(self) -> "Console":
        return _console(stderr=False)

    @cached_property
    def _err(self) -> "Console":
        return _console(stderr=True)


def table_of(records: Sequence[R], columns: Sequence[Column[R]]) -> "Table":
    """Return a table without lines."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.head, no_wrap=True, overflow="fold")
    for record in records:
        texts = [(plain(column.text(record), kept=""), column.status) for column in columns]
        table.add_row(*(Text(worded(t), style=style_of(t)) if status else Text(t) for t, status in texts))
    return table


def encode(value: object) -> bytes:
    """Return JSON as the services write it: amounts are exact numbers, times are RFC 3339."""
    return _encoder.encode(value)


def _shown(value: bytes) -> str:
    return value.decode().translate(_ESCAPED)


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console
    from typing_extensions import override

    class Pipe(Console):
        @override
        def on_broken_pipe(self) -> None:
            raise  # noqa: PLE0704 - rich calls it while it handles the error, and would end with 1

    file = sys.stderr if stderr else sys.stdout
    return Pipe(stderr=stderr, width=None if file.isatty() else PIPE_WIDTH)
