"""What documents point at exists: files, headings, make targets, and the words of the saga in its picture."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from onebox.layout import PORTS
from shop_contracts.order_saga import ORDER_SAGA

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\[[^\]\n]+\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
NAMED = re.compile(r"(?<![\w/.-])docs/[\w/-]+\.md\b")
FENCED = re.compile(r"^```.*?^```[ \t]*$", re.MULTILINE | re.DOTALL)


def documents() -> list[Path]:
    tracked = ""
    if git := shutil.which("git"):
        listing = [git, "ls-files", "*.md"]
        tracked = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    found = tracked.split() or [
        str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
    ]
    return sorted(ROOT / name for name in found)


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_within_the_repository_leads_somewhere(document: Path) -> None:
    prose = FENCED.sub("", document.read_text())
    for target in LINK.findall(prose):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), f"{document.name}: {target} does not exist"
        if heading:
            assert heading in anchors(file), f"{document.name}: {target} has no such heading"


def test_every_document_that_code_names_exists() -> None:
    rooms = (ROOT / name for name in ("services", "operator", "observability", "charts", "compose", "k8s", "tests"))
    files = [
        path for room in rooms for path in room.rglob("*") if path.suffix in (".py", ".yaml", ".sh", ".tpl", ".txt")
    ]
    named = {(found, path.name) for path in files for found in NAMED.findall(path.read_text())}
    assert len(named) > 10
    assert not [(name, where) for name, where in named if not (ROOT / name).exists()]


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:`|^|\$ )make ([a-z0-9-]+)", document.read_text(), re.MULTILINE)
    assert set(named) <= targets, f"{document.name}: no make {', '.join(set(named) - targets)}"


def test_the_picture_in_the_readme_shows_every_command_and_event_of_the_order_saga() -> None:
    picture = next(block for block in FENCED.findall((ROOT / "README.md").read_text()) if "mermaid" in block)
    steps = ORDER_SAGA.steps
    words = {word for s in steps for word in (s.command, s.success, s.failure, s.compensation, s.compensated) if word}
    words |= {ORDER_SAGA.started, ORDER_SAGA.completed, ORDER_SAGA.cancelled}
    assert {word for word in words if word not in picture} == set()


def test_the_readme_names_every_service_with_its_port() -> None:
    readme = (ROOT / "README.md").read_text()
    rows = dict(re.findall(r"^\| ([a-z]+) \| (\d+) \|", readme, re.MULTILINE))
    assert rows == {name: str(port) for name, port in PORTS.items()}


def test_every_decision_is_in_the_list_of_decisions() -> None:
    room = ROOT / "docs" / "adr"
    listed = set(LINK.findall((room / "README.md").read_text()))
    assert listed == {path.name for path in room.glob("0*.md")}


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    texts = HEADING.findall(FENCED.sub("", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}
