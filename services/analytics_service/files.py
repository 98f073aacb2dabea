"""The stores of versions as SQLite files in one directory: `analytics-1.db`, `analytics-2.db` and so on.

Views can be made again from the log, and a commit that a power failure takes takes its offsets with it: so they are not
waited for (`synchronous=NORMAL`), unlike everything that a saga depends on.
"""

from pathlib import Path

from analytics_service.tables import VIEWS
from sagakit.adapters.sqlite import SqliteStore

CACHE_KIBIBYTES = 16_000
"""Twice a service's: the keys of a million orders come in no order, and catching up looks for all of them."""


class FileStores:
    """Keeps the promises of `Stores`."""

    def __init__(self, directory: Path) -> None:
        """Keep the files in this directory, which exists."""
        self._directory = directory

    def open(self, version: int) -> SqliteStore:
        """Open a version's file, and make it when it is missing."""
        return SqliteStore(self.path(version), VIEWS, "NORMAL", cache_kibibytes=CACHE_KIBIBYTES)

    async def drop(self, version: int) -> None:
        """Remove a version's file, with what SQLite keeps beside it."""
        path = self.path(version)
        for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            file.unlink(missing_ok=True)

    def path(self, version: int) -> Path:
        """Return the file of a version."""
        return self._directory / f"analytics-{version}.db"
