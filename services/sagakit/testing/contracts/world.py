"""What surrounds the log under test."""

from datetime import datetime
from typing import Protocol

from sagakit.ports import Log


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
