"""Ports for a box of a test's own: free now, and looked for elsewhere by every worker."""

import os
import socket

from onebox.layout import PORTS, Layout


def free_layout() -> Layout:
    """Return a layout all of whose ports are free."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for offset in range(12_050 + 1_000 * (worker % 20), 50_000, 100):
        if all(_is_free(port + offset) for port in PORTS.values()):
            return Layout(offset)
    raise AssertionError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
