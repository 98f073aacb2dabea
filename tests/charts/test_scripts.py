"""What the chart's Jobs run, with programs of ours on PATH."""

import os
import subprocess
from pathlib import Path

from tests.charts.rendering import CHART

REFUSED_TWICE = """#!/bin/sh
echo "$@" >> "$CALLS"
[ "$(wc -l < "$CALLS")" -gt 2 ]
"""


def test_topics_are_made_once_the_brokers_are_there_however_late(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    for name, text in {"sagactl": REFUSED_TWICE, "sleep": "#!/bin/sh\n"}.items():
        program = tmp_path / name
        program.write_text(text)
        program.chmod(0o755)
    done = subprocess.run(
        ["sh", CHART / "files/topics.sh", "--partitions=6", "--replication=3"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(calls)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert calls.read_text().splitlines() == ["topics apply --partitions=6 --replication=3"] * 3
