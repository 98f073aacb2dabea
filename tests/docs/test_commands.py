"""What the documents say a reader can type works as printed."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.blocks import Block, Command, blocks, commands, matches
from tests.docs.reader import ROOT, Reader

from onebox.layout import PORTS

DOCUMENTS = ("README.md", "docs/tutorial.md", "docs/your-own-saga.md")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with Reader(tmp_path_factory.mktemp("docs"), _free_offset()) as one:
        yield one


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if (ROOT / name).exists()])
def test_what_a_document_says_a_reader_can_type_works_as_printed(name: str, reader: Reader) -> None:
    reader.forget()
    for block in blocks(ROOT / name):
        reader.follow(block, name)


def test_a_console_block_is_read_as_commands_and_their_output(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("Text\n\n<!-- box: A=1 B=x -->\n```console\n$ echo one \\\n> two\none two\n$ true\n```\n")
    (block,) = blocks(document)
    assert block == Block("console", "$ echo one \\\n> two\none two\n$ true\n", 4, {"A": "1", "B": "x"})
    assert list(commands(block)) == [Command("echo one \\\ntwo", "one two", 5), Command("true", "", 8)]


def test_an_ellipsis_stands_for_anything_within_its_line_and_alone_for_lines() -> None:
    assert matches('{"id":"…","a":1}', '{"id":"x","a":1}')
    assert not matches('{"id":"…","a":1}', '{"id":"x","a":2}')
    assert matches("one\n…\nfour", "one  \ntwo\nthree\nfour\n")
    assert not matches("one …", "one two\nthree")


def _free_offset() -> int:
    """Return an offset at which all ports of the box are free now; tests that run beside this one look elsewhere."""
    worker = int("0" + "".join(filter(str.isdigit, os.environ.get("PYTEST_XDIST_WORKER", ""))))
    for offset in range(11_000 + 1_000 * (worker % 20), 50_000, 100):
        if all(_is_free(port + offset) for port in PORTS.values()):
            return offset
    raise AssertionError("no free ports on this machine")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
