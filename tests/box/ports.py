"""Ports for a box of a test's own: free now, and drawn anew, so that whoever else looks finds others."""

import random
import socket

from onebox.layout import PORTS, Layout

OFFSETS = range(7_000, 16_900, 10)


def free_layout() -> Layout:
    """Return a layout all of whose ports are free. None is of those that the system gives to clients."""
    for offset in random.sample(OFFSETS, len(OFFSETS)):
        if all(_is_free(port + offset) for port in PORTS.values()):
            return Layout(offset)
    raise AssertionError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
