"""The outbox of one file: rows of many drafts, and those written last remembered."""

import sqlite3
from collections.abc import Iterable, Sequence

from sagakit.adapters.shared import outbox_rows
from sagakit.ports import Draft, OutboxEntry


class Outbox:
    """The outbox of one store."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._recent = outbox_rows.RecentRows()

    def add(self, connection: sqlite3.Connection, drafts: Iterable[Draft]) -> None:
        """Write the drafts, in this order, behind all others."""
        for chunk, encoded in outbox_rows.rows(drafts):
            row = connection.execute(
                "INSERT INTO kit_outbox (size, waiting, drafts) VALUES (?, ?, ?)", (len(chunk), len(chunk), encoded)
            ).lastrowid
            assert row is not None, "SQLite numbers every row it inserts"
            self._recent.keep(row, chunk)

    def oldest(self, reader: sqlite3.Connection, limit: int) -> list[OutboxEntry]:
        """Return the first entries, as whole rows as long as the limit allows, but at least one entry."""
        entries: list[OutboxEntry] = []
        rows = reader.execute("SELECT id, waiting FROM kit_outbox ORDER BY id LIMIT ?", (limit,)).fetchall()
        for row, waiting in rows:
            if entries and len(entries) + waiting > limit:
                break
            entries += outbox_rows.entries(row, self._drafts(reader, row))
        return entries[:limit]

    def forget(self, connection: sqlite3.Connection, positions: Iterable[int]) -> None:
        """Remove these entries; a row goes when none of its entries waits any more."""
        for row, done in outbox_rows.places(positions).items():
            self._recent.drop(row)
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
        self._recent.clear()

    def _drafts(self, reader: sqlite3.Connection, row: int) -> Sequence[Draft | None]:
        remembered = self._recent.get(row)
        if remembered is not None:
            return remembered
        (encoded,) = reader.execute("SELECT drafts FROM kit_outbox WHERE id=?", (row,)).fetchone()
        return outbox_rows.drafts_of(encoded)


def _forget_some(connection: sqlite3.Connection, row: int, done: set[int]) -> None:
    """Leave a row with its other entries, or without any; they keep their places."""
    for (encoded,) in connection.execute("SELECT drafts FROM kit_outbox WHERE id=?", (row,)).fetchall():
        connection.execute(
            "UPDATE kit_outbox SET waiting=?, drafts=? WHERE id=?", (*outbox_rows.without(encoded, done), row)
        )
        connection.execute("DELETE FROM kit_outbox WHERE id=? AND waiting=0", (row,))
