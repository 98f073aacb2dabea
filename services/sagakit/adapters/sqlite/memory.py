"""What this process has written last, so that it need not be read and decoded again: stream versions and records.

It holds while nobody else writes to the file: SQLite's `data_version` tells, within the transaction that has begun.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

import msgspec

STREAMS_REMEMBERED_MAX = 10_000
RECORDS_REMEMBERED_MAX = 3_000
"""Per table; about as many as sagas are under way when a machine is fully loaded. Twice that, and half is forgotten."""


class Stream(NamedTuple):
    """A stream by its number in the file (new ones lie together, whatever their names), and its last version."""

    id: int
    version: int


Records = dict[str, dict[str, msgspec.Struct | None]]
"""By table name and key; None is a record that is not there."""


class Memory:
    """What this process knows of its file; it knows nothing any more once another one has written."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.streams: dict[str, Stream] = {}
        self.records: Records = defaultdict(dict)
        self._data_version = -1

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Forget what another process may have changed, within the transaction that has begun."""
        (data_version,) = connection.execute("PRAGMA data_version").fetchone()
        if data_version != self._data_version:
            self.forget()
            self._data_version = data_version
        if len(self.streams) > STREAMS_REMEMBERED_MAX:
            self.streams.clear()

    def learn(self, streams: Mapping[str, Stream], records: Records) -> None:
        """Remember what a work has appended, saved and found missing; what was met first is forgotten first."""
        self.streams.update(streams)
        for table, saved in records.items():
            known = self.records[table]
            known.update(saved)
            if len(known) > 2 * RECORDS_REMEMBERED_MAX:
                self.records[table] = dict(islice(known.items(), RECORDS_REMEMBERED_MAX, None))

    def forget(self) -> None:
        """Know nothing: what was written last may not have happened."""
        self.streams.clear()
        self.records.clear()
