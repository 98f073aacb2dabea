"""The outbox: what one transaction sent is one row, so that a message costs little more than its bytes.

A position is the row's number, which never comes again, and the place within the row. Drafts that were just written are
remembered, to spare the relay the reading; which rows there are, only the table says.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec

from sagakit.ports import Draft, OutboxEntry

PLACE_BITS = 12
DRAFTS_PER_ROW_MAX = 500
DRAFTS_REMEMBERED_MAX = 20_000


class _Kept(msgspec.Struct, array_like=True, frozen=True):
    topic: str
    key: str | None
    headers: bytes
    value: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Kept | None]).decode


class Outbox:
    """The outbox of one store."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._remembered: dict[int, Sequence[Draft | None]] = {}
        self._remembered_count = 0

    def add(self, connection: sqlite3.Connection, drafts: Iterable[Draft]) -> None:
        """Write the drafts, in this order, behind all others."""
        rest = iter(drafts)
        while chunk := [*islice(rest, DRAFTS_PER_ROW_MAX)]:
            kept = [(draft.topic, draft.key, draft.headers, bytes(draft.value)) for draft in chunk]
            row = connection.execute(
                "INSERT INTO kit_outbox (size, waiting, drafts) VALUES (?, ?, ?)", (len(kept), len(kept), _encode(kept))
            ).lastrowid
            assert row is not None, "SQLite numbers every row it inserts"
            self._remember(row, chunk)

    def oldest(self, reader: sqlite3.Connection, limit: int) -> list[OutboxEntry]:
        """Return the first entries, as whole rows as long as the limit allows, but at least one entry."""
        entries: list[OutboxEntry] = []
        rows = reader.execute("SELECT id, waiting FROM kit_outbox ORDER BY id LIMIT ?", (limit,)).fetchall()
        for row, waiting in rows:
            if entries and len(entries) + waiting > limit:
                break
            first = row << PLACE_BITS
            drafts = self._drafts(reader, row)
            entries += [OutboxEntry(first + place, draft) for place, draft in enumerate(drafts) if draft is not None]
        return entries[:limit]

    def forget(self, connection: sqlite3.Connection, positions: Iterable[int]) -> None:
        """Remove these entries; a row goes when none of its entries waits any more."""
        places: dict[int, set[int]] = defaultdict(set)
        for position in positions:
            places[position >> PLACE_BITS].add(position & (1 << PLACE_BITS) - 1)
        for row, done in places.items():
            self._drop(row)
            whole = max(done) + 1 == len(done) and connection.execute(
                "DELETE FROM kit_outbox WHERE id=? AND size=?", (row, len(done))
            )
            if not whole or not whole.rowcount:
                _forget_some(connection, row, done)

    def depth(self, reader: sqlite3.Connection) -> int:
        """Return how many entries wait."""
        (number,) = reader.execute("SELECT coalesce(sum(waiting), 0) FROM kit_outbox").fetchone()
        return int(number)

    def forget_memory(self) -> None:
        """Trust nothing but the table: what was written last may not have happened."""
        self._remembered.clear()
        self._remembered_count = 0

    def _drafts(self, reader: sqlite3.Connection, row: int) -> Sequence[Draft | None]:
        remembered = self._remembered.get(row)
        if remembered is not None:
            return remembered
        (encoded,) = reader.execute("SELECT drafts FROM kit_outbox WHERE id=?", (row,)).fetchone()
        return [Draft(k.topic, k.key, k.headers, k.value) if k else None for k in _decode(encoded)]

    def _remember(self, row: int, drafts: Sequence[Draft | None]) -> None:
        """Remember a row just written; whatever was remembered under its number did not happen."""
        self._drop(row)
        if self._remembered_count + len(drafts) <= DRAFTS_REMEMBERED_MAX:
            self._remembered[row] = drafts
            self._remembered_count += len(drafts)

    def _drop(self, row: int) -> None:
        self._remembered_count -= len(self._remembered.pop(row, ()))


def _forget_some(connection: sqlite3.Connection, row: int, done: set[int]) -> None:
    """Leave a row with its other entries, or without any; they keep their places."""
    for (encoded,) in connection.execute("SELECT drafts FROM kit_outbox WHERE id=?", (row,)).fetchall():
        kept = [None if place in done else draft for place, draft in enumerate(_decode(encoded))]
        waiting = sum(draft is not None for draft in kept)
        connection.execute("UPDATE kit_outbox SET waiting=?, drafts=? WHERE id=?", (waiting, _encode(kept), row))
        connection.execute("DELETE FROM kit_outbox WHERE id=? AND waiting=0", (row,))
