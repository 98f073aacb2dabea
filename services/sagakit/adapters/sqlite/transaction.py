"""Writing within one transaction. Every method ends without waiting, although the port lets it wait."""
# ruff: noqa: S608 - only our own words go into SQL; values are always parameters

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

import msgspec
from typing_extensions import override

from sagakit.adapters.sqlite.columns import as_column, microseconds
from sagakit.adapters.sqlite.insert import Insert
from sagakit.adapters.sqlite.memory import Memory, Records, Stream
from sagakit.adapters.sqlite.reader import SqliteReader, in_chunks
from sagakit.adapters.sqlite.tables import RowFormat
from sagakit.ports import Draft, DuplicateError, FencedError, StoredFact, StreamMovedError, Table

R = TypeVar("R", bound=msgspec.Struct)

FACTS = Insert("kit_facts (stream_id, version, at, body)", 4)
STREAMS = Insert("kit_streams (id, name)", 2)
CLAIMS = Insert("kit_claims (message_id, at)", 2)


class SqliteTransaction(SqliteReader):
    """Writes as well. Facts are kept back until somebody reads or the work ends, to be written in one go."""

    def __init__(self, connection: sqlite3.Connection, formats: Mapping[str, RowFormat[Any]], memory: Memory) -> None:
        """Begin with an empty hand, and with what is known already."""
        super().__init__(connection, formats)
        self._executemany = connection.executemany
        self._memory = memory
        self.saved: Records = defaultdict(dict)
        self._facts: list[tuple[int, int, int, bytes]] = []
        self._begun: list[tuple[int, str]] = []
        self._last_stream_id: int | None = None
        self.appended: dict[str, Stream] = {}
        self.sent: list[Draft] = []
        self.refused: DuplicateError | None = None

    @override
    async def load(self, table: Table[R], keys: Iterable[str]) -> dict[str, R]:
        """Return what this transaction or one before it saved, and read only what neither knows."""
        saved, known = self.saved[table.name], self._memory.records[table.name]
        found: dict[str, R] = {}
        unknown: list[str] = []
        for key in keys:
            if key in saved:
                record = saved[key]
            elif key in known:
                record = known[key]
            else:
                unknown.append(key)
                continue
            if record is not None:
                found[key] = cast("R", record)
        if unknown:
            read = await super().load(table, unknown)
            saved.update(dict.fromkeys(unknown))
            saved.update(read)
            found |= read
        return found

    async def save(self, table: Table[R], records: Iterable[R]) -> None:
        form = self._form(table)
        changed, alike = self._sorted_by_what_changed(form, records)
        if form.table.unique:
            self._save_each(form, changed)
        else:
            form.upsert.write(self._connection, form.rows(changed))
            form.update.write(self._connection, form.documents(alike))
        saved, key_of = self.saved[table.name], form.key_of
        for record in (*changed, *alike):
            saved[key_of(record)] = record

    async def delete(self, table: Table[R], keys: Iterable[str]) -> None:
        gone = list(keys)
        self._executemany(self._form(table).remove, [(key,) for key in gone])
        self.saved[table.name].update(dict.fromkeys(gone))

    def _save_each(self, form: RowFormat[R], records: Sequence[R]) -> None:
        try:
            form.upsert.write_each(self._connection, form.rows(records))
        except sqlite3.IntegrityError as error:
            self.refused = self._refusal(form, records)
            raise self.refused from error

    def _sorted_by_what_changed(self, form: RowFormat[R], records: Iterable[R]) -> tuple[list[R], list[R]]:
        """Return the records that are new or whose indexed attributes changed, and those that need no index.

        SQLite rewrites every index that an UPDATE names, also when nothing in it changes. Where an index is unique the
        order of writing matters, and is kept; elsewhere the last record of a key is the one that counts.
        """
        if form.table.unique:
            return list(records), []
        saved, known = self.saved[form.table.name], self._memory.records[form.table.name]
        key_of, indexed = form.key_of, form.indexed
        changed: list[R] = []
        alike: list[R] = []
        for key, record in {key_of(record): record for record in records}.items():
            before = saved[key] if key in saved else known.get(key)
            (alike if before is not None and indexed(before) == indexed(record) else changed).append(record)
        return changed, alike

    async def claim(self, message_ids: Sequence[str], at: datetime) -> set[str]:
        time = microseconds(at)
        ids = list(dict.fromkeys(message_ids))
        known: set[str] = set()
        for chunk, marks in in_chunks(ids):
            known.update(
                key for (key,) in self._execute(f"SELECT message_id FROM kit_claims WHERE message_id IN {marks}", chunk)
            )
        fresh = [key for key in ids if key not in known]
        CLAIMS.write(self._connection, [(key, time) for key in fresh])
        return set(fresh)

    async def append(self, stream: str, facts: Sequence[msgspec.Raw], expected: int, at: datetime) -> None:
        known = self._stream(stream)
        version = known.version if known is not None else 0
        if version != expected:
            raise StreamMovedError(f"{stream}: expected version {expected}, found {version}")
        if not facts:
            return
        stream_id = known.id if known is not None else self._begin_stream(stream)
        time = microseconds(at)
        for version, body in enumerate(facts, expected + 1):
            self._facts.append((stream_id, version, time, bytes(body)))
        self.appended[stream] = Stream(stream_id, expected + len(facts))

    @override
    async def read(self, stream: str, after: int = 0) -> list[StoredFact]:
        self._write_facts()
        return await super().read(stream, after)

    async def advance(self, group: str, topic: str, partition: int, expected: int, next_offset: int) -> None:
        place = (group, topic, partition)
        row = self._execute(
            "SELECT next_offset FROM kit_progress WHERE consumer=? AND topic=? AND partition=?", place
        ).fetchone()
        found = row[0] if row else 0
        if found != expected:
            raise FencedError(f"{group} at {topic}-{partition}: expected offset {expected}, found {found}")
        self._execute("INSERT OR REPLACE INTO kit_progress VALUES (?, ?, ?, ?)", (*place, next_offset))

    async def send(self, drafts: Iterable[Draft]) -> None:
        self.sent += drafts

    def finish(self) -> None:
        """Write what was kept back. What was refused stays refused, also when the work went on regardless."""
        if self.refused is not None:
            raise self.refused
        self._write_facts()

    def _stream(self, name: str) -> Stream | None:
        known = self.appended.get(name) or self._memory.streams.get(name)
        if known is None:
            row = self._execute(
                "SELECT id, (SELECT max(version) FROM kit_facts WHERE stream_id=id) FROM kit_streams WHERE name=?",
                (name,),
            ).fetchone()
            known = Stream(*row) if row else None
        return known

    def _begin_stream(self, name: str) -> int:
        """Give a new stream the next number; nobody else does while this transaction has the file."""
        if self._last_stream_id is None:
            (self._last_stream_id,) = self._execute("SELECT coalesce(max(id), 0) FROM kit_streams").fetchone()
        self._last_stream_id += 1
        self._begun.append((self._last_stream_id, name))
        return self._last_stream_id

    def _write_facts(self) -> None:
        if self._begun:
            STREAMS.write(self._connection, self._begun)
            self._begun.clear()
        if self._facts:
            FACTS.write(self._connection, self._facts)
            self._facts.clear()

    def _refusal(self, form: RowFormat[R], records: Sequence[R]) -> DuplicateError:
        """Return the first record whose values another one holds: those before it are written, so it was refused."""
        for record in records:
            key = getattr(record, form.table.key)
            for index in form.table.unique:
                values = [as_column(getattr(record, name)) for name in index]
                if None not in values and self._execute(form.holder(index), (*values, key)).fetchone():
                    return DuplicateError(index, key)
        raise AssertionError(f"{form.table.name}: SQLite refused a record, but no unique index did")
