"""Scripts of ours, run with other programs than they expect."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

SECONDS_MAX = 60


def programs(place: Path, **texts: str) -> Mapping[str, str]:
    """Return an environment in which these programs come first."""
    for name, text in texts.items():
        program = place / name
        program.write_text(text)
        program.chmod(0o755)
    return {**os.environ, "PATH": f"{place}:{os.environ['PATH']}", "CALLS": str(place / "calls"), "GRAFANA": ""}


def run(*command: str | Path, environment: Mapping[str, str]) -> str:
    """Return what a command says; it has to end well."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
