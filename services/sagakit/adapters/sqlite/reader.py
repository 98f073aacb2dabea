"""Reading within one transaction. Every method ends without waiting, although the port lets it wait."""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from sagakit.adapters.sqlite.columns import moment
from sagakit.adapters.sqlite.tables import RowFormat
from sagakit.ports import Query, StoredFact, Table

R = TypeVar("R", bound=msgspec.Struct)

PARAMETERS_MAX = 500


class SqliteReader:
    """Reads by one connection that is within a transaction."""

    def __init__(self, connection: sqlite3.Connection, formats: Mapping[str, RowFormat[Any]]) -> None:
        """Read the tables of these formats."""
        self._connection = connection
        self._execute = connection.execute
        self._formats = formats

    async def load(self, table: Table[R], keys: Iterable[str]) -> dict[str, R]:
        form = self._form(table)
        decode = form.decode
        found: dict[str, R] = {}
        for chunk, marks in in_chunks(list(keys)):
            for key, doc in self._execute(form.load + marks, chunk):
                found[key] = decode(doc)
        return found

    async def select(self, table: Table[R], query: Query) -> list[R]:
        form = self._form(table)
        decode = form.decode
        return [decode(doc) for (doc,) in self._execute(*form.queries.select(query))]

    async def count(self, table: Table[R], where: Mapping[str, Any]) -> int:
        (number,) = self._execute(*self._form(table).queries.count(where)).fetchone()
        return int(number)

    async def read(self, stream: str, after: int = 0) -> list[StoredFact]:
        rows = self._execute(
            "SELECT version, at, body FROM kit_facts"
            " WHERE stream_id=(SELECT id FROM kit_streams WHERE name=?) AND version>? ORDER BY version",
            (stream, after),
        )
        return [StoredFact(stream, version, moment(at), msgspec.Raw(body)) for version, at, body in rows]

    async def progress(self, group: str) -> dict[tuple[str, int], int]:
        rows = self._execute("SELECT topic, partition, next_offset FROM kit_progress WHERE consumer=?", (group,))
        return {(topic, partition): next_offset for topic, partition, next_offset in rows}

    def _form(self, table: Table[R]) -> RowFormat[R]:
        form = self._formats.get(table.name)
        if form is None:
            raise LookupError(f"{table.name}: the store was not opened with this table")
        return form


def in_chunks(keys: list[str]) -> list[tuple[list[str], str]]:
    """Return the keys in groups, each with its `(?,?,…)`; few different texts, by repeating the last key."""
    chunks = []
    for start in range(0, len(keys), PARAMETERS_MAX):
        chunk = keys[start : start + PARAMETERS_MAX]
        size = 1 << (len(chunk) - 1).bit_length()
        chunk += [chunk[-1]] * (size - len(chunk))
        chunks.append((chunk, _MARKS[size]))
    return chunks


_MARKS = {1 << power: f"({','.join('?' * (1 << power))})" for power in range(10)}
