"""How a process ends before its time: by one event of the log where machines read it, and in words elsewhere."""

import json
import subprocess
import sys
from typing import Any

import pytest

PREAMBLE = """
import threading
from sagakit.hosting.process import CannotStartError, cannot_start, log_as
log_as("payment", {"SAGAPLANE_LOG_FORMAT": "%s"})
"""
AGAIN = """
try:
    log_as("payment", {"SAGAPLANE_LOG_FORMAT": "xml"})
except CannotStartError as error:
    cannot_start(error)
"""


def ended(form: str, then: str) -> subprocess.CompletedProcess[str]:
    """Return how a process ended that logs in this form and then does this."""
    script = PREAMBLE % form + then
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def only_line(its: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the one line that was said."""
    [line] = its.stderr.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_start_that_fails_is_one_event_where_machines_read() -> None:
    its = ended("json", "cannot_start(CannotStartError('PORT=x: no number'))")
    line = only_line(its)
    assert (line["service"], line["level"]) == ("payment", "critical")
    assert line["message"] == "cannot start: PORT=x: no number"
    assert (its.returncode, its.stdout) == (2, "")


def test_a_start_that_fails_is_a_sentence_where_people_read() -> None:
    its = ended("text", "cannot_start(CannotStartError('PORT=x: no number'))")
    assert (its.returncode, its.stderr) == (2, "sagaplane: PORT=x: no number\n")


def test_a_form_that_does_not_exist_is_told_in_a_sentence() -> None:
    its = ended("text", AGAIN)
    assert its.returncode == 2
    assert its.stderr.startswith("sagaplane: SAGAPLANE_LOG_FORMAT=xml: ")


def test_a_crash_is_one_event_with_its_traceback_where_machines_read() -> None:
    its = ended("json", "raise ValueError('postgresql://u:hush@place/x')")
    line = only_line(its)
    assert (line["level"], line["error.type"]) == ("critical", "ValueError")
    assert line["error.traceback"].endswith("ValueError: postgresql://u:***@place/x")
    assert its.returncode == 1


def test_a_thread_that_crashes_is_one_event_where_machines_read() -> None:
    script = "t = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()"
    assert only_line(ended("json", script))["error.type"] == "ZeroDivisionError"


@pytest.mark.parametrize(("form", "then"), [("text", "raise ValueError('no')"), ("json", "raise KeyboardInterrupt")])
def test_what_people_read_and_ctrl_c_stay_as_python_has_them(form: str, then: str) -> None:
    assert ended(form, then).stderr.startswith("Traceback (most recent call last):\n")
