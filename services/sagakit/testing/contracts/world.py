"""What surrounds the log under test, and how it is read through."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

import msgspec

from sagakit.ports import Log, Record

LONG_SECONDS = 30.0
"""Longer than any test waits: who returns after this time was not woken."""


class LogWorld(Protocol):
    """One log, the processes that open it, and the time that passes for them."""

    @property
    def lease_seconds(self) -> float:
        """How long a silent member of a group is taken to live."""

    def open(self) -> Log:
        """Open the same log each time, as another process would. Whoever made the world closes what was opened."""

    def now(self) -> datetime:
        """Return the present, as the log sees it."""

    async def pass_by(self, seconds: float) -> None:
        """Let so much time pass for the log."""


def beginnings(log: Log, *topics: str) -> dict[tuple[str, int], int]:
    """Return offset 0 of every partition of these topics."""
    return {(topic, partition): 0 for topic in topics for partition in range(log.partitions)}


async def everything(log: Log, *topics: str) -> list[Record]:
    """Return all records of these topics."""
    positions = beginnings(log, *topics)
    found: list[Record] = []
    while records := await log.fetch(positions, 100):
        found += records
        for record in records:
            positions[record.topic, record.partition] = record.offset + 1
    return found


def texts(records: Iterable[Record]) -> list[str]:
    """Return what the records say."""
    return [msgspec.json.decode(record.value)["text"] for record in records]
