"""What the repository promises about itself, whoever adds the next room."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_every_room_is_known_to_the_import_contracts() -> None:
    rooms = {init.parent.name for init in (*ROOT.glob("services/*/__init__.py"), *ROOT.glob("operator/*/__init__.py"))}
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    assert rooms == set(contracts["importlinter"]["root_packages"].split())


def test_the_operator_room_leaves_pythons_own_operator_alone() -> None:
    assert not list(ROOT.glob("operator/*.py"))
    program = "import sys; sys.path.insert(0, '.'); del sys.modules['operator']; import operator; operator.itemgetter"
    subprocess.run([sys.executable, "-c", f"import operator; {program}"], cwd=ROOT, check=True)


def test_nothing_in_the_operator_room_is_collected_as_a_test() -> None:
    assert not [*ROOT.glob("operator/**/test_*.py"), *ROOT.glob("operator/**/conftest.py")]


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-services.lock", "requirements-build.lock", "requirements-judges.lock"]
)
def test_a_lock_pins_every_line_by_hash_and_names_no_address(name: str) -> None:
    lock = (ROOT / name).read_text()
    assert not re.search(r"https?://|--index-url|--extra-index-url|--find-links|--trusted-host", lock)
    pins = re.findall(r"^[a-z0-9].*$", lock, re.MULTILINE)
    assert pins
    assert all(re.fullmatch(r"[a-z0-9._-]+==\S+( ; .+)? \\", pin) for pin in pins)
