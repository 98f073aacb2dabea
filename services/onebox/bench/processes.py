"""What the processes of the box use: memory from the kernel, CPU by room from a sampling profiler."""

import asyncio
import os
import shutil
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from onebox.box import Box
from onebox.layout import Layout

ROOMS = (
    "sagakit/core",
    "sagakit/runtime/http",
    "sagakit/runtime",
    "sagakit/adapters",
    "order_service",
    "payment_service",
    "inventory_service",
    "shipping_service",
    "notification_service",
    "analytics_service",
    "shop_contracts",
    "litestar",
    "uvicorn",
    "asyncio",
)

SHARE_SHOWN = 0.01
ANSWER_SECONDS_MAX = 60.0
"""A scrape waits its turn among thousands of orders."""


def memory_mib(box: Box) -> float:
    """Return the resident memory of all processes of the box, in MiB."""
    pages = sum(int(Path(f"/proc/{child.pid}/statm").read_text().split()[1]) for child in box.children)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def series(layout: Layout) -> int:
    """Return how many series the services tell together."""
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS_MAX) as client:
        pages = [(await client.get(f"{layout.url(service)}/metrics")).text for service in layout.services]
    return sum(not line.startswith("#") for page in pages for line in page.splitlines())


async def profile_by_room(box: Box, seconds: int) -> list[tuple[str, float]]:
    """Return where the CPU goes: the share of samples by the innermost room of each stack, the largest first.

    Statements that run inside SQLite count for the adapter that called them. Without the profiler there is no answer.
    """
    tool = shutil.which("py-spy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if tool is None:
        return []
    with TemporaryDirectory() as directory:
        files = [Path(directory) / str(child.pid) for child in box.children]
        runs = [
            await asyncio.create_subprocess_exec(
                *(
                    tool,
                    "record",
                    "--nonblocking",
                    "-F",
                    "-r",
                    "50",
                    "-f",
                    "raw",
                    "-d",
                    str(seconds),
                    "-o",
                    str(file),
                    "-p",
                    file.name,
                ),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            for file in files
        ]
        await asyncio.gather(*(run.wait() for run in runs))
        return shares([line for file in files if file.exists() for line in file.read_text().splitlines()])


def shares(stacks: list[str]) -> list[tuple[str, float]]:
    """Return the share of each room in stacks of the form `outer;…;inner count`."""
    counts: Counter[str] = Counter()
    for line in stacks:
        stack, _, number = line.rpartition(" ")
        counts[_room(stack.split(";"))] += int(number)
    total = sum(counts.values()) or 1
    return [(room, number / total) for room, number in counts.most_common() if number / total >= SHARE_SHOWN]


def _room(frames: list[str]) -> str:
    for frame in reversed(frames):
        for room in ROOMS:
            if f"({room}" in frame or f"/{room}" in frame:
                return room
    return "other"
