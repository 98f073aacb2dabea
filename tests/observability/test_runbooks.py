"""What a page tells somebody to type at night is there."""

import re
import shlex
from pathlib import Path

import pytest
import typer.core
import typer.main
from observability import questions
from observability.names import KNOWN, base
from observability.questions import Question

from onebox.cli import app

PAGES = sorted((questions.HERE.parent / "docs/runbooks").glob("*.md"))
COMMAND = re.compile(r"sagactl [^`\n#&|;]+")
METRIC = re.compile(r"\b(?:saga|sagaplane)_[a-z_]+\b")
LINK = re.compile(r"\]\(([^)#]+)")
OF_PROMETHEUS = {"up"}
FIELDS_OF_LOGS = {"saga_id"}


def commands(path: Path) -> list[str]:
    return [found.strip().rstrip(".,:") for found in COMMAND.findall(path.read_text())]


def unknown(typed: str) -> list[str]:
    """Return the words of this command that sagactl does not know."""
    command = typer.main.get_command(app)
    words = shlex.split(typed.removeprefix("sagactl ").replace("…", "x"))
    while isinstance(command, typer.core.TyperGroup):
        if not words or words[0] not in command.commands:
            return words[:1]
        command = command.commands[words.pop(0)]
    options = {option for its in command.params for option in its.opts}
    return [word for word in words if word.startswith("-") and word not in options]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_command_on_a_page_is_one(path: Path) -> None:
    assert not {typed: words for typed in commands(path) if (words := unknown(typed))}


def test_there_are_commands_and_a_wrong_one_is_found() -> None:
    assert sum(len(commands(path)) for path in PAGES) > 40
    assert unknown("sagactl rety ID") == ["rety"]
    assert unknown("sagactl list --fase running") == ["--fase"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_metric_on_a_page_is_in_the_catalogue(path: Path) -> None:
    named = {base(name) for name in METRIC.findall(path.read_text())}
    assert named - FIELDS_OF_LOGS <= KNOWN.keys()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_link_on_a_page_leads_somewhere(path: Path) -> None:
    for link in LINK.findall(path.read_text()):
        assert link.startswith("http") or (path.parent / link).exists(), link


def test_the_first_page_leads_to_every_other_and_to_every_alert() -> None:
    [first] = [path for path in PAGES if path.stem == "README"]
    assert {path.name for path in PAGES} - {first.name} <= set(LINK.findall(first.read_text()))
    for rule in questions.rules():
        if "alert" in rule:
            [line] = [line for line in first.read_text().splitlines() if f"`{rule['alert']}`" in line]
            assert Path(rule["annotations"]["runbook_url"]).name in line


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_question_to_prometheus_on_a_page_is_one_of_known_labels(path: Path) -> None:
    for asks in re.findall(r"`((?:sum|max|count|min|rate)[ (][^`]+)`", path.read_text()):
        for name, labels in Question(path.stem, asks).selectors():
            assert name in OF_PROMETHEUS or labels <= {*KNOWN[base(name)].labels, "job", "instance"}, asks
