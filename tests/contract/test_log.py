"""Every log keeps the promises of the port."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sagakit.adapters.memory import MemoryLog, MemoryLogState
from sagakit.adapters.sqlite import SqliteLog
from sagakit.ports import Log
from sagakit.testing.contracts import LogContract, LogWorld


@dataclass
class TurnedByHand:
    """A clock, and a world around it."""

    directory: Path
    another: Callable[["TurnedByHand"], Log]
    lease_seconds: float = 10.0
    moment: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)
    opened: list[Log] = field(default_factory=list)
    state: MemoryLogState = field(default_factory=MemoryLogState)

    def open(self) -> Log:
        self.opened.append(self.another(self))
        return self.opened[-1]

    def now(self) -> datetime:
        return self.moment

    async def pass_by(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)

    def chance(self) -> float:
        return 0.5

    async def sleep(self, seconds: float) -> None:
        await self.pass_by(seconds)


def memory(around: TurnedByHand) -> Log:
    return MemoryLog(around, around.state, lease_seconds=around.lease_seconds)


def sqlite(around: TurnedByHand) -> Log:
    return SqliteLog(around.directory / "log.db", lease_seconds=around.lease_seconds, now=around.now)


class TestLog(LogContract):
    @pytest.fixture(params=[memory, sqlite])
    async def world(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LogWorld]:
        around = TurnedByHand(tmp_path, request.param)
        yield around
        for log in around.opened:
            await log.close()
