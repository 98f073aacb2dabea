"""A start that is refused: soon, in one line, with exit code 2, and without anything that is nobody's business."""

import json
import time

from tests.real.shop import Shop, say

REFUSED = 2
REFUSED_SECONDS_MAX = 10.0
LOADED_MACHINE = 2.0
"""Where several tests share two cores, everything takes twice as long."""


def refused(its: Shop, service: str, **variables: str) -> str:
    """Start a service that cannot start with these settings, and return the one line that it says."""
    began = time.monotonic()
    instance = its.add(service, **variables)
    code = instance.wait(REFUSED_SECONDS_MAX * LOADED_MACHINE)
    seconds = time.monotonic() - began
    output = instance.latest_output()
    say(f"{seconds:.1f} s, exit code {code}: {output.strip()}")
    lines = [line for line in output.splitlines() if not _is_recital(line)]
    assert "Traceback" not in output
    assert code == REFUSED
    assert len(lines) == 1, output
    assert "secret" not in output
    event = json.loads(lines[0])
    assert event["level"] == "critical"
    told = str(event["message"])
    assert told.startswith("cannot start: ")
    return told


def _is_recital(line: str) -> bool:
    """Tell whether a line recites the settings, as every start does."""
    return '"level":"info"' in line and "sagakit.hosting.process" in line and "SAGAPLANE_HOST=" in line
