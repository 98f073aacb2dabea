"""A reader who types what a document says: one shell per document, one box for all, at ports that nobody else has."""

import asyncio
import doctest
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import httpx
from tests.docs.blocks import Block, Command, commands, matches

from onebox.box import Box
from onebox.demo import PRODUCTS, STOCK_QUANTITY
from onebox.layout import PORTS, Layout

ROOT = Path(__file__).parents[2]
LOOK = re.compile(
    r"curl (?!.*( -X | -d | --data))"
    r"|sagactl (list|describe|timeline|events|graph|replay|audit|batch show)\b"
    r"|sagactl analytics (report|windows|order|products)\b",
    re.DOTALL,
)
"""Commands that change nothing: a reader may look again until the saga is as far as the document says."""
PATIENCE_SECONDS = 15.0
END = "--- end of output"


class Reader:
    """Owns the box and the shell. Use it as a context."""

    def __init__(self, data_dir: Path, offset: int) -> None:
        """Keep the box's files in `data_dir`, and move every port by `offset`."""
        self.layout = Layout(offset)
        self._data_dir = data_dir
        self._loop = asyncio.Runner()
        self._box: Box | None = None
        self._settings: Mapping[str, str] = {}
        self._shell: subprocess.Popen[str] | None = None
        self._names: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Nothing runs before it is needed."""
        self._loop.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the shell and the box."""
        self.forget()
        self._stop()
        self._loop.__exit__(kind, error, trace)

    def forget(self) -> None:
        """Begin a document: a new shell, and no Python names."""
        if self._shell is not None:
            assert self._shell.stdin is not None
            self._shell.stdin.close()
            self._shell.wait(10)
            assert self._shell.stdout is not None
            self._shell.stdout.close()
        self._shell = None
        self._names = {}

    def follow(self, block: Block, name: str) -> None:
        """Do what the block says, and hold its output against what is printed there."""
        if block.kind == "console":
            self._run_box(block.box)
            for command in commands(block):
                self._type(command, name)
        elif block.kind == "pycon":
            self._interpret(block, name)
        elif block.kind == "python":
            exec(compile("\n" * block.line + block.body, name, "exec"), self._names)

    def _type(self, command: Command, name: str) -> None:
        promised = self._moved(command.output)
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            printed, code = self._ask(self._moved(command.text))
            if (matches(promised, printed) if promised else code == 0) or not LOOK.match(command.text):
                break
            if time.monotonic() > until:
                break
            time.sleep(0.1)
        where = f"{name}:{command.line}: $ {command.text}"
        told = f"{where}\n--- promised\n{promised}\n--- printed (exit code {code})\n{printed}"
        assert matches(promised, printed) if promised else code == 0, told

    def _interpret(self, block: Block, name: str) -> None:
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        text = block.body.replace("…", "...")
        found = doctest.DocTestParser().get_doctest(text, self._names, name, name, block.line)
        said: list[str] = []
        runner = doctest.DocTestRunner(verbose=False, optionflags=flags)
        runner.run(found, out=said.append, clear_globs=False)
        self._names.update(found.globs)
        assert not runner.failures, "".join(said)

    def _moved(self, text: str) -> str:
        """Return the text with the ports of this box in place of the usual ones."""
        ports = "|".join(str(port) for port in PORTS.values())
        return re.sub(
            rf"(localhost|127\.0\.0\.1):({ports})\b", lambda m: f"{m[1]}:{int(m[2]) + self.layout.offset}", text
        )

    def _ask(self, text: str) -> tuple[str, int]:
        shell = self._shell or self._open()
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write(f"{text}\nprintf '\\n%s %s\\n' '{END}' $?\n")
        shell.stdin.flush()
        return _until_end(shell.stdout)

    def _open(self) -> subprocess.Popen[str]:
        urls = {f"SAGACTL_{name.upper()}_URL": self.layout.url(name) for name in PORTS}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {**os.environ, **urls, "PATH": path, "NO_COLOR": "1", "COLUMNS": "100", "SAGACTL_ACTOR": "ada"}
        self._shell = subprocess.Popen(
            ["bash"],
            cwd=ROOT,
            env=own,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return self._shell

    def _run_box(self, settings: Mapping[str, str] | None) -> None:
        """Run a box with these settings: the one that runs, or another one over the same files."""
        if self._box is not None and settings in (None, self._settings):
            return
        self._stop()
        self._settings = settings or {}
        self._box = Box(self._data_dir, 1, self._settings, self.layout)
        self._loop.run(self._box.__aenter__())
        self._stock()

    def _stock(self) -> None:
        for product in PRODUCTS:
            url = f"{self.layout.url('inventory')}/stock/{product}"
            if httpx.get(url).status_code == httpx.codes.NOT_FOUND:
                httpx.put(url, json={"quantity": STOCK_QUANTITY}).raise_for_status()

    def _stop(self) -> None:
        """End the box as a power cut would: what it had answered is on disk, and nobody waits for it to drain."""
        if self._box is not None:
            for child in self._box.children:
                child.kill()
            self._loop.run(self._box.stop())
            self._box = None


def _until_end(output: IO[str]) -> tuple[str, int]:
    rows: list[str] = []
    for row in output:
        if row.startswith(END):
            return "".join(rows).strip("\n"), int(row.removeprefix(END))
        rows.append(row)
    raise AssertionError(f"the shell ended: {''.join(rows)}")
