"""How a log grows at its end and is cut at its beginning: within one transaction, heads and batches together."""

import sqlite3
from collections.abc import Iterable

from sagakit.adapters.sqlite.batches import NewBatch, Place


def append(connection: sqlite3.Connection, new: Iterable[NewBatch], at: int) -> None:
    """Give the batches their offsets, behind all others, and keep them."""
    for batch in new:
        (end,) = connection.execute(
            "INSERT INTO kit_heads VALUES (?, ?, 0, ?)"
            " ON CONFLICT DO UPDATE SET next_offset=next_offset+excluded.next_offset RETURNING next_offset",
            (batch.topic, batch.partition, batch.size),
        ).fetchone()
        connection.execute(
            "INSERT INTO kit_batches (topic, partition, first_offset, next_offset, at, records)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (batch.topic, batch.partition, end - batch.size, end, at, batch.records),
        )


def prune(connection: sqlite3.Connection, place: Place, before: int) -> int:
    """Drop the batches older than that, up to the first that is not."""
    row = connection.execute(
        "SELECT first_offset, next_offset FROM kit_heads WHERE topic=? AND partition=?", place
    ).fetchone()
    if row is None:
        return 0
    first, end = row
    (kept,) = connection.execute(
        "SELECT coalesce(min(first_offset), ?) FROM kit_batches WHERE topic=? AND partition=? AND at>=?",
        (end, *place, before),
    ).fetchone()
    connection.execute("DELETE FROM kit_batches WHERE topic=? AND partition=? AND next_offset<=?", (*place, kept))
    connection.execute("UPDATE kit_heads SET first_offset=? WHERE topic=? AND partition=?", (kept, *place))
    return int(kept - first)
