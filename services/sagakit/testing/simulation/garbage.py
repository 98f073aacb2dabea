"""Records that nobody can read, each wrong in its own way."""

from collections.abc import Callable

import msgspec

from sagakit.ports import Draft

Garbage = Callable[[str, str], Draft]
"""(topic, key) → a record that must end among the dead letters of everyone who reads the topic."""


def sound_headers(key: str, kind: str = "NobodyKnowsThis", **more: str) -> bytes:
    """Return headers with which nothing is wrong, but perhaps the type."""
    sound = {
        "ce_id": key,
        "ce_type": kind,
        "ce_source": "simulation",
        "ce_time": "2026-01-01T00:00:00Z",
        "ce_sagaid": key,
        "ce_correlationid": key,
        "ce_specversion": "1.0",
        "content-type": "application/json",
    }
    return msgspec.json.encode({**sound, **more})


GARBAGE: tuple[Garbage, ...] = (
    lambda topic, key: Draft(topic, key, b"", b""),
    lambda topic, key: Draft(topic, key, b"no json", b"{}"),
    lambda topic, key: Draft(topic, key, b"{}", b"\xff\xfe"),
    lambda topic, key: Draft(topic, key, sound_headers(key), b"{}"),
    lambda topic, key: Draft(topic, key, sound_headers(key), b"[1"),
    lambda topic, key: Draft(topic, key, sound_headers(key, ce_time="yesterday"), b"{}"),
    lambda topic, key: Draft(topic, key, sound_headers(key, ce_specversion="9.9"), b"{}"),
)
