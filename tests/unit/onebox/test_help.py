"""The help answers at once, has an example for every command, and is what docs/cli.md says."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from onebox.cli import app, execute
from onebox.errors import MEANINGS, ExitCode
from onebox.reference import Command, commands, reference

ROOT = Path(__file__).parents[3]
SLOW = (
    "httpx",
    "asyncio",
    "rich.progress",
    "rich.live",
    "litestar",
    "uvicorn",
    "prometheus_client",
    "opentelemetry",
    "iso4217",
    "duckdb",
    "ddsketch",
)
"""What a help needs not; together they take longer to import than the help may take to print."""
COMMANDS = list(commands(app, "sagactl"))

LOADED = f"""
import sys
from onebox.cli import execute
assert execute(["--help"]) == 0
print([name for name in {SLOW} if name in sys.modules], file=sys.stderr)
"""


def test_the_help_imports_nothing_that_is_slow() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_explains_itself_with_an_example(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.examples
    assert all(example.startswith(command.name) for example in command.examples)
    assert execute([*command.name.split()[1:], "--help"]) == 0
    assert "Example" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_example_is_a_command_line_that_can_be_understood(command: Command) -> None:
    for example in command.examples:
        words = shlex.split(example)[1:]
        assert execute([*words, "--help"]) == 0


def test_every_exit_code_is_explained_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(MEANINGS) == set(ExitCode)
    execute(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert all(f"{code.value} {meaning}" in text for code, meaning in MEANINGS.items())


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--version"]) == 0
    assert capsys.readouterr().out.startswith("sagactl 0.")


def test_no_command_at_all_is_a_question_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute([]) == ExitCode.USAGE
    printed = capsys.readouterr()
    assert "Usage: sagactl" in printed.out + printed.err


def test_the_reference_in_the_documents_is_what_the_commands_say() -> None:
    document = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    written = document.split("Made by `python -m onebox.reference`.\n\n", 1)[1]
    assert written == reference(), "the commands changed: put what `python -m onebox.reference` prints into docs/cli.md"
