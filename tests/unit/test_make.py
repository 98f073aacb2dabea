"""What `make` does before a program of ours runs: whose environment it takes, and what it tells of the containers."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = """#!/usr/bin/env bash
echo "$*" >>"$CALLS"
[[ "$*" != "-m venv"* ]] || { mkdir -p .venv/bin; cp "$0" .venv/bin/python; }
"""
SAGACTL = """#!/usr/bin/env bash
echo "$*" >"$CALLS"
env | sort >>"$CALLS"
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with what the Makefile looks at, and a stand-in for Python."""
    clone = tmp_path / "clone"
    clone.mkdir()
    shutil.copy(ROOT / "Makefile", clone)
    (clone / "requirements.lock").touch()
    (clone / "pyproject.toml").touch()
    program(tmp_path / "python", PYTHON)
    return clone


def program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def make(clone: Path, *arguments: str, **environment: str) -> list[str]:
    """Run make in the clone, and return what its stand-ins were asked since."""
    calls = clone / "calls"
    calls.write_text("")
    subprocess.run(
        ["make", "--silent", f"PYTHON={clone.parent / 'python'}", *arguments],
        cwd=clone,
        env={"PATH": os.environ["PATH"], "CALLS": str(calls), **environment},
        check=True,
        timeout=60,
    )
    return calls.read_text().splitlines()


def test_an_environment_is_made_once_in_a_clone_and_brought_up_to_date_when_a_lock_changed(clone: Path) -> None:
    assert "-m venv --clear .venv" in make(clone, "install")
    assert make(clone, "install") == []
    later = (clone / "requirements.lock").stat().st_mtime + 10
    os.utime(clone / "requirements.lock", (later, later))
    assert "-m venv .venv" in make(clone, "install")


@pytest.mark.parametrize("taken", [shutil.copytree, shutil.move])
def test_an_environment_that_came_from_another_place_is_made_anew(
    clone: Path, taken: Callable[[Path, Path], object]
) -> None:
    make(clone, "install")
    second = clone.parent / "second"
    taken(clone, second)
    assert "-m venv --clear .venv" in make(second, "install")
    assert make(second, "install") == []


def test_the_demonstration_in_containers_asks_at_the_ports_that_compose_was_told(clone: Path) -> None:
    make(clone, "install")
    program(clone / "stand-ins" / "docker", "#!/usr/bin/env bash\n")
    program(clone / ".venv" / "bin" / "sagactl", SAGACTL)
    (clone / ".env").write_text(
        "ORDER_PORT=13002\nKAFKA_PORT=19092\nSAGAPLANE_DATABASE_PASSWORD='a b'\nSHIPPING_PORT=1\n"
    )
    path = f"{clone / 'stand-ins'}:{os.environ['PATH']}"
    asked = make(clone, "compose-demo", PATH=path, SHIPPING_PORT="13006")
    assert asked[0] == "demo --here"
    assert {line.partition("=")[0]: line.partition("=")[2] for line in asked if line.startswith("SAGA")} == {
        "SAGACTL_ORDER_URL": "http://127.0.0.1:13002",
        "SAGACTL_PAYMENT_URL": "http://127.0.0.1:3003",
        "SAGACTL_INVENTORY_URL": "http://127.0.0.1:3004",
        "SAGACTL_ANALYTICS_URL": "http://127.0.0.1:3005",
        "SAGACTL_SHIPPING_URL": "http://127.0.0.1:13006",
        "SAGACTL_NOTIFICATION_URL": "http://127.0.0.1:3007",
        "SAGACTL_JAEGER_URL": "http://127.0.0.1:16686",
        "SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:19092",
        "SAGAPLANE_DATABASE_URL": "postgresql://{service}:a b@127.0.0.1:5432/{service}",
        "SAGAPLANE_DATABASE_PASSWORD": "a b",
    }
