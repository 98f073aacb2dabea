"""Prometheus' own judge of rules and questions, where it is on PATH."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Promtool = Callable[..., str]
"""Asks it, of what it is given to read if there is something, and returns what it says; it has to be content."""
SECONDS_MAX = 120


def find_promtool() -> Promtool:
    """Return a way to ask it; without it, the test is skipped."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not on PATH; it comes with Prometheus")

    def ask(*arguments: str | Path, reads: str = "") -> str:
        command = ["promtool", *map(str, arguments)]
        done = subprocess.run(command, input=reads, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return ask
