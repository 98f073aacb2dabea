"""What processes log, read as a machine reads it."""

import json
from collections.abc import Iterable, Mapping

import pytest


def events_of_sagas(lines: Iterable[str], traces: Mapping[str, str]) -> dict[str, list[str]]:
    """Return what was said of each of these sagas, after every line was one event, and each led to the saga's trace.

    `traces` has the id of the trace of each saga; a saga's own id has to be the one that its caller knows it by.
    """
    said: dict[str, list[str]] = {}
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            pytest.fail(f"a line that is no event: {line}")
        assert {"time", "level", "logger", "message", "service", "instance"} <= event.keys(), line
        saga_id = event.get("saga_id", "")
        if saga_id in traces:
            assert event.get("trace_id", "") in ("", traces[saga_id]), line
            assert event.get("correlation_id", "") in ("", saga_id), line
            said.setdefault(saga_id, []).append(event["message"])
    return said
