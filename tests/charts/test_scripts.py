"""What the chart's Jobs run, with programs of ours on PATH."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.charts.rendering import CHART

REFUSED_TWICE = """#!/bin/sh
echo "$@" >> "$CALLS"
[ "$(wc -l < "$CALLS")" -gt 2 ]
"""

TOLD = """#!/bin/sh
echo "$@" >> "$CALLS"
"""


def test_topics_are_made_once_the_brokers_are_there_however_late(tmp_path: Path) -> None:
    calls = run(
        tmp_path, "topics.sh", {"sagactl": REFUSED_TWICE, "sleep": "#!/bin/sh\n"}, "--partitions=6", "--replication=3"
    )
    assert calls == ["topics apply --partitions=6 --replication=3"] * 3


def test_no_password_of_a_service_is_an_argument_that_whoever_lists_processes_reads(tmp_path: Path) -> None:
    passwords = {"SERVICES": "order payment", "password_order": "secret-1", "password_payment": "secret-2"}
    calls = run(tmp_path, "roles.sh", {"pg_isready": "#!/bin/sh\n", "psql": TOLD}, **passwords)
    assert [call.partition("--set service=")[2].split()[:1] for call in calls] == [["order"], ["payment"], []]
    assert "secret" not in "".join(calls)


def test_no_service_may_enter_the_databases_that_every_server_has(tmp_path: Path) -> None:
    calls = run(tmp_path, "roles.sh", {"pg_isready": "#!/bin/sh\n", "psql": TOLD}, SERVICES="")
    assert [call.partition("--command ")[2] for call in calls] == [
        "REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC"
    ]


def run(room: Path, script: str, programs: Mapping[str, str], *arguments: str, **environment: str) -> list[str]:
    """Run a script of the chart to its end, and return what the programs say that they were called with."""
    calls = room / "calls"
    for name, text in programs.items():
        program = room / name
        program.write_text(text)
        program.chmod(0o755)
    told = {"PATH": f"{room}:{os.environ['PATH']}", "CALLS": str(calls), **environment}
    done = subprocess.run(["sh", CHART / "files" / script, *arguments], env=told, timeout=60, check=False)
    assert done.returncode == 0
    return calls.read_text().splitlines()
