"""The versions of the streams that were appended to last, to spare the look-up before each append."""

import sqlite3
from collections.abc import Mapping

STREAMS_REMEMBERED_MAX = 20_000


class StreamHeads:
    """What this process knows of the streams; it knows nothing any more once another one has written."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._versions: dict[str, int] = {}
        self._data_version = -1

    def known(self, connection: sqlite3.Connection) -> Mapping[str, int]:
        """Return the versions known within the transaction that has begun."""
        (data_version,) = connection.execute("PRAGMA data_version").fetchone()
        if data_version != self._data_version or len(self._versions) > STREAMS_REMEMBERED_MAX:
            self._versions.clear()
            self._data_version = data_version
        return self._versions

    def learn(self, versions: Mapping[str, int]) -> None:
        """Remember what a transaction has appended."""
        self._versions.update(versions)

    def forget(self) -> None:
        """Know nothing: what was appended last may not have happened."""
        self._versions.clear()
