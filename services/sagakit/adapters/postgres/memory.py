"""What this process knows of the database, so that it need not be read and decoded again.

Other instances write there too. So whatever is taken from here is only believed: the transaction that relies on it
finds out before its commit whether it still holds, by the revisions of the rows.
"""

import time
from collections import defaultdict
from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

import msgspec

STREAMS_REMEMBERED_MAX = 10_000
RECORDS_REMEMBERED_MAX = 6_000
"""Per table. Twice that, and half is forgotten."""
CONTENDED_SECONDS = 10.0


class Known(NamedTuple):
    """A record and the revision of its row."""

    record: msgspec.Struct
    revision: int


class Memory:
    """What one process believes."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.records: dict[str, dict[str, Known]] = defaultdict(dict)
        self.streams: dict[str, int] = {}
        self._contended: dict[str, float] = {}

    def learn(self, records: Mapping[str, Mapping[str, Known | None]], streams: Mapping[str, int]) -> None:
        """Remember what was committed; what was met first is forgotten first."""
        for table, changed in records.items():
            known = self.records[table]
            for key, its in changed.items():
                if its is None:
                    known.pop(key, None)
                else:
                    known[key] = its
            if len(known) > 2 * RECORDS_REMEMBERED_MAX:
                self.records[table] = dict(islice(known.items(), RECORDS_REMEMBERED_MAX, None))
        self.streams.update(streams)
        if len(self.streams) > 2 * STREAMS_REMEMBERED_MAX:
            self.streams = dict(islice(self.streams.items(), STREAMS_REMEMBERED_MAX, None))

    def forget(self) -> None:
        """Believe nothing any more."""
        self.records.clear()
        self.streams.clear()

    def contend(self, table: str) -> None:
        """Note that others change the same rows of this table now."""
        self.records[table].clear()
        self._contended[table] = time.monotonic() + CONTENDED_SECONDS

    def is_contended(self, table: str) -> bool:
        """Tell whether rows of this table had better be locked when they are read."""
        until = self._contended.get(table)
        return until is not None and time.monotonic() < until
