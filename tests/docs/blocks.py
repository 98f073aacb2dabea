"""The fenced blocks of a Markdown file, and the commands of a console block with what they are said to print."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(?P<fence>```+)(?P<kind>\S*)[^\n]*\n(?P<body>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL)
BOX = re.compile(r"<!-- box: (?P<settings>[^>\n]+?) -->")
ANYTHING = "…"


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, what is in it, where it begins, and the box it needs (None: the one before)."""

    kind: str
    body: str
    line: int
    box: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Command:
    """One command and the output that the reader is promised; `…` in it stands for anything."""

    text: str
    output: str
    line: int


def blocks(document: Path) -> Iterator[Block]:
    """Yield the fenced blocks. `<!-- box: NAME=value -->` before a block asks for a box with these settings."""
    text, behind = document.read_text(), 0
    for found in FENCE.finditer(text):
        asked = BOX.findall(text, behind, found.start())
        box = dict(pair.split("=", 1) for pair in asked[-1].split()) if asked else None
        yield Block(found["kind"], found["body"], text.count("\n", 0, found.start()) + 1, box)
        behind = found.end()


def commands(block: Block) -> Iterator[Command]:
    """Yield the commands: `$ ` begins one, `> ` goes on with it, everything else is its output."""
    text: list[str] = []
    output: list[str] = []
    line = block.line
    for number, row in enumerate(block.body.splitlines(), block.line + 1):
        if row.startswith("$ "):
            if text:
                yield Command("\n".join(text), "\n".join(output), line)
            text, output, line = [row[2:]], [], number
        elif row.startswith("> ") and not output:
            text.append(row[2:])
        else:
            output.append(row)
    if text:
        yield Command("\n".join(text), "\n".join(output), line)


def matches(promised: str, printed: str) -> bool:
    """Tell whether the output is as promised: `…` stands for characters of its line, and alone for lines."""
    pattern = r"\n".join(map(_pattern, promised.strip("\n").splitlines()))
    printed = "\n".join(row.rstrip() for row in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, printed) is not None


def _pattern(row: str) -> str:
    if row.strip() == ANYTHING:
        return r"[^\n]*(\n[^\n]*)*?"
    return r"[^\n]*?".join(map(re.escape, row.rstrip().split(ANYTHING)))
