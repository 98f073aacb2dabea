"""What `.ci/again` makes of tests that fail; a stand-in for make runs pytest on a module of the case."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

AGAIN = Path(__file__).parents[2] / ".ci" / "again"
MAKE = f'#!/usr/bin/env bash\nexec "{sys.executable}" -m pytest $MORE "$1"\n'
SECONDS_MAX = 60

UNLUCKY = """
from pathlib import Path

def test_is_fine():
    with open("ran", "a") as ran:
        ran.write("fine ")

def test_is_late():
    first = not Path("late").exists()
    Path("late").touch()
    assert not first
"""


class Room:
    """A directory with such a module in it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.unsteady = place / "unsteady"
        make = place / "bin" / "make"
        make.parent.mkdir()
        make.write_text(MAKE)
        make.chmod(0o755)
        (place / "pytest.ini").write_text("[pytest]\n")

    def again(self, text: str, *options: str) -> subprocess.CompletedProcess[str]:
        (self.place / "test_it.py").write_text(text)
        environment = {
            "PATH": f"{self.place / 'bin'}:{os.environ['PATH']}",
            "PYTHON": sys.executable,
            "UNSTEADY": str(self.unsteady),
            "MORE": " ".join(options),
        }
        return subprocess.run(
            [AGAIN, "test_it.py"],
            cwd=self.place,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_what_passes_at_once_is_run_once(room: Room) -> None:
    done = room.again("def test_is_fine(): pass")
    assert done.returncode == 0, done
    assert "1 passed" in done.stdout
    assert "once more" not in done.stdout
    assert not room.unsteady.exists()


def test_what_fails_once_is_run_alone_and_named(room: Room) -> None:
    done = room.again(UNLUCKY, "-n", "2", "--dist", "loadgroup")
    assert done.returncode == 0, done
    assert room.unsteady.read_text() == "make test_it.py: test_it.py::test_is_late\n"
    assert (room.place / "ran").read_text() == "fine "
    assert "1 failed, 1 passed" in done.stdout
    assert "1 passed" in done.stdout.splitlines()[-1]


def test_what_fails_twice_is_refused(room: Room) -> None:
    done = room.again("def test_is_wrong(): assert False")
    assert done.returncode != 0
    assert "1 failed" in done.stdout.splitlines()[-1]
    assert not room.unsteady.exists()


def test_what_no_luck_explains_is_refused_at_once(room: Room) -> None:
    many = "import pytest\n@pytest.mark.parametrize('number', range(21))\ndef test_is_wrong(number): assert False"
    done = room.again(many)
    assert done.returncode != 0
    assert "again: 21 tests of make test_it.py failed, more than 20: not run again" in done.stderr
    assert "once more" not in done.stdout


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "by two"])
def test_a_module_that_could_not_be_read_is_no_bad_luck(room: Room, options: tuple[str, ...]) -> None:
    """Nothing was run but that module: what the others would have said, nobody knew, and it passed."""
    (room.place / "test_other.py").write_text("def test_is_wrong(): assert False")
    once = "import pathlib\nfirst = not pathlib.Path('late').exists()\npathlib.Path('late').touch()\nassert not first\n"
    done = room.again(f"{once}def test_is_fine(): pass", *options, "test_other.py")
    assert done.returncode != 0
    assert "again: make test_it.py did not run to its end: not run again" in done.stderr
    assert not room.unsteady.exists()


def test_a_run_that_failed_otherwise_is_refused(room: Room) -> None:
    done = room.again("def test_is_fine(): pass", "--no-such-option")
    assert done.returncode != 0
    assert "again: make test_it.py failed, and no test of it: not run again" in done.stderr
