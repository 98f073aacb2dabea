"""Writing within one transaction, which the works of several callers may share.

What is written is kept back until the works have ended or somebody selects, to be written many rows in a statement.
What was read from memory, or taken for new, is only believed until then: each statement says which revision it expects,
and a rival that was faster makes the transaction run again. A transaction that is `careful` believes nothing: it locks
what it reads.
"""

import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar, cast
from zlib import crc32

import asyncpg
import msgspec
from typing_extensions import override

from sagakit.adapters.postgres.connections import Connection
from sagakit.adapters.postgres.errors import ConflictError
from sagakit.adapters.postgres.kit import FACT_COLUMNS, FACTS, KitTables
from sagakit.adapters.postgres.memory import Known, Memory
from sagakit.adapters.postgres.reader import PostgresReader
from sagakit.adapters.postgres.tables import RowFormat
from sagakit.adapters.shared import outbox_rows
from sagakit.ports import Draft, DuplicateError, FencedError, Query, StoredFact, StreamMovedError, Table

R = TypeVar("R", bound=msgspec.Struct)
Place = tuple[str, str, int]

BIRTH_BITS = 62
"""The first revision of a row is drawn from so many: a row made anew is as good as never taken for the one before."""
COPIED_FROM = 20
"""COPY takes a round trip more than INSERT, and pays from so many rows on."""
STRIPES = 1024
"""More would crowd the server's table of locks, and fewer would let strangers wait for each other."""


class _Append(NamedTuple):
    """Facts of one stream to be written; `follows` tells that nothing is known of its predecessor.

    A predecessor that is known stays, for facts are only added: then it is enough that nobody else has the same place.
    """

    stream: str
    first: int
    last: int
    at: datetime
    facts: str
    follows: bool


class PostgresTransaction(PostgresReader):
    """Keeps the promises of `Transaction`, and after `finish` knows what to remember."""

    def __init__(
        self,
        connection: Connection,
        formats: Mapping[str, RowFormat[Any]],
        kit: KitTables,
        memory: Memory,
        *,
        careful: bool,
    ) -> None:
        """Begin with an empty hand."""
        super().__init__(connection, formats, kit)
        self._memory = memory
        self._careful = careful
        self._saved: dict[str, dict[str, msgspec.Struct | None]] = defaultdict(dict)
        self._revisions: dict[str, dict[str, int]] = defaultdict(dict)
        """Of the rows that were met; 0 is a row that is not there."""
        self._unwritten: dict[str, dict[str, msgspec.Struct | None]] = defaultdict(dict)
        self._unlocked: dict[str, set[str]] = defaultdict(set)
        """Which rows were read and are neither locked nor written: they have to be the same at the end."""
        self._versions: dict[str, int] = {}
        self._appends: list[_Append] = []
        self._moves: dict[Place, tuple[int, int]] = {}
        self._drafts: list[Draft] = []
        self._refused: DuplicateError | None = None
        self._wrote = False
        self._birth = secrets.randbits(BIRTH_BITS)
        self.believed = False
        """True once anything was believed that is not known."""
        self.sent_rows: list[tuple[int, list[Draft]]] = []

    @override
    async def load(self, table: Table[R], keys: Iterable[str]) -> dict[str, R]:
        form, saved = self._form(table), self._saved[table.name]
        wary = self._careful or self._memory.is_contended(table.name)
        known = {} if wary else self._memory.records[table.name]
        unlocked, revisions = self._unlocked[table.name], self._revisions[table.name]
        wanted = list(dict.fromkeys(keys))
        unknown: list[str] = []
        for key in wanted:
            if key in saved:
                continue
            if (its := known.get(key)) is not None:
                saved[key], revisions[key] = its
                unlocked.add(key)
                self.believed = True
            else:
                unknown.append(key)
        if unknown:
            text = form.load_locked if wary else form.load
            saved.update(dict.fromkeys(unknown))
            revisions.update(dict.fromkeys(unknown, 0))
            unlocked.update(unknown)
            for key, revision, document in await self._connection.fetch(text, unknown):
                saved[key], revisions[key] = form.decode(document), revision
                if wary:
                    unlocked.discard(key)
        return {key: cast("R", record) for key in wanted if (record := saved[key]) is not None}

    @override
    async def select(self, table: Table[R], query: Query) -> list[R]:
        await self._write_table(self._form(table))
        return await super().select(table, query)

    @override
    async def count(self, table: Table[R], where: Mapping[str, Any]) -> int:
        await self._write_table(self._form(table))
        return await super().count(table, where)

    @override
    async def read(self, stream: str, after: int = 0) -> list[StoredFact]:
        await self._write_facts()
        return await super().read(stream, after)

    @override
    async def progress(self, group: str) -> dict[tuple[str, int], int]:
        await self._write_progress()
        return await super().progress(group)

    async def save(self, table: Table[R], records: Iterable[R]) -> None:
        form = self._form(table)
        records = list(records)
        new = {form.key_of(record): record for record in records}
        if form.table.unique:
            await self._save_each(form, records)
        else:
            self._unwritten[table.name].update(new)
        self._saved[table.name].update(new)

    async def delete(self, table: Table[R], keys: Iterable[str]) -> None:
        form = self._form(table)
        gone = dict.fromkeys(keys)
        self._unwritten[table.name].update(gone)
        self._saved[table.name].update(gone)
        if form.table.unique:
            await self._write_table(form)

    async def claim(self, message_ids: Sequence[str], at: datetime) -> set[str]:
        if not message_ids:
            return set()
        self._wrote = True
        rows = await self._connection.fetch(self._kit.claim, sorted(set(message_ids)), at)
        return {key for (key,) in rows}

    async def append(self, stream: str, facts: Sequence[msgspec.Raw], expected: int, at: datetime) -> None:
        version = self._versions.get(stream)
        follows = False
        if version is None:
            if not self._careful:
                known = self._memory.streams.get(stream)
                version = expected if known is None else known
                follows = known is None and expected > 0
                self.believed = True
            if version != expected:
                follows = False
                version = await self._connection.fetchval(self._kit.version_of, stream) or 0
        if version != expected:
            raise StreamMovedError(f"{stream}: expected version {expected}, found {version}")
        if not facts:
            return
        self._versions[stream] = last = expected + len(facts)
        body = f"[{','.join([bytes(fact).decode() for fact in facts])}]"
        self._appends.append(_Append(stream, expected + 1, last, at, body, follows))

    async def advance(self, group: str, topic: str, partition: int, expected: int, next_offset: int) -> None:
        place = (group, topic, partition)
        if place in self._moves:
            begun, reached = self._moves[place]
            if reached != expected:
                raise _fenced(place, expected, reached)
            self._moves[place] = (begun, next_offset)
        else:
            self._moves[place] = (expected, next_offset)

    async def send(self, drafts: Iterable[Draft]) -> None:
        self._drafts += drafts

    async def forget(self, positions: Sequence[int]) -> None:
        """Remove entries of the outbox; a row goes when none of its entries waits any more."""
        places = outbox_rows.places(positions)
        if not places:
            return
        self._wrote = True
        whole = [(row, len(done)) for row, done in sorted(places.items()) if max(done) + 1 == len(done)]
        rows, sizes = [row for row, _ in whole], [size for _, size in whole]
        gone = {row for (row,) in await self._connection.fetch(self._kit.forget_whole, rows, sizes)} if rows else set()
        rest = sorted(places.keys() - gone)
        if rest:
            for row, encoded in await self._connection.fetch(self._kit.lock_drafts, rest):
                await self._connection.execute(self._kit.shorten, row, *outbox_rows.without(encoded, places[row]))
            await self._connection.execute(self._kit.forget_empty, rest)

    async def prune_claims(self, before: datetime, limit: int) -> int:
        """Forget so many of the claims that are older, at most, and writers that are gone; return how many claims."""
        self._wrote = True
        await self._connection.execute(self._kit.prune_writers, before)
        return _count(await self._connection.execute(self._kit.prune_claims, before, limit))

    async def finish(self) -> bool:
        """Write what was kept back; return whether anything was written at all.

        Raises:
            ConflictError: when something believed does not hold.
            DuplicateError: when a save was refused, also when the work went on regardless.
            FencedError: when progress has moved.
        """
        if self._refused is not None:
            raise self._refused
        await self._write_progress()
        for name, form in self._formats.items():
            if self._unwritten[name]:
                await self._write_table(form)
        await self._write_facts()
        await self._write_outbox()
        if self._wrote or self.believed:
            await self._verify()
        return self._wrote

    def learnt(self) -> tuple[dict[str, dict[str, Known | None]], dict[str, int]]:
        """Return what this transaction has found out, to be remembered once it is committed."""
        records: dict[str, dict[str, Known | None]] = {}
        for name, saved in self._saved.items():
            revisions = self._revisions[name]
            records[name] = {
                key: None if record is None or not revisions.get(key) else Known(record, revisions[key])
                for key, record in saved.items()
            }
        return records, self._versions

    async def _save_each(self, form: RowFormat[R], records: Sequence[R]) -> None:
        """Write at once and one by one: when one is refused, it is known which, and by what."""
        await self._write_table(form)
        for record in records:
            await self._check_unique(form, record)
            try:
                ((_, revision),) = await self._connection.fetch(form.upsert, *form.arrays([record]), self._birth)
            except asyncpg.UniqueViolationError as error:
                raise ConflictError(str(error)) from error  # a rival saved it after our look; look again
            self._wrote = True
            self._expect_revision(form, form.key_of(record), revision)
            self._met(form, form.key_of(record), revision)

    async def _check_unique(self, form: RowFormat[R], record: R) -> None:
        key = form.key_of(record)
        for index in form.table.unique:
            values = [getattr(record, name) for name in index]
            if None not in values and await self._connection.fetch(form.holder(index), *values, key):
                self._refused = DuplicateError(index, key)
                raise self._refused

    async def _write_table(self, form: RowFormat[Any]) -> None:
        """Write what was kept back of a table: rows that were met by their revision, others over whatever is there."""
        name = form.table.name
        unwritten = self._unwritten.pop(name, None)
        if not unwritten:
            return
        self._wrote = True
        revisions = self._revisions[name]
        new: list[Any] = []
        changed: list[Any] = []
        blind: list[Any] = []
        gone = sorted(key for key, record in unwritten.items() if record is None)
        for record in form.in_order(record for record in unwritten.values() if record is not None):
            revision = revisions.get(form.key_of(record))
            (blind if revision is None else changed if revision else new).append(record)
        if gone:
            await self._remove(form, gone)
        if changed:
            await self._change(form, changed)
        if new:
            try:
                await self._insert(form, new)
            except asyncpg.UniqueViolationError as error:
                self._memory.contend(name)
                raise ConflictError(str(error)) from error
            for record in new:
                self._met(form, form.key_of(record), self._birth)
        if blind:
            for key, revision in await self._connection.fetch(form.upsert, *form.arrays(blind), self._birth):
                self._met(form, key, revision)

    async def _insert(self, form: RowFormat[Any], new: Sequence[Any]) -> None:
        """Write rows that are believed to be new; many are copied, which costs the driver a fifth of an INSERT."""
        if len(new) < COPIED_FROM:
            await self._connection.execute(form.insert, *form.arrays(new), self._birth)
            return
        await self._connection.copy_records_to_table(
            form.table.name, schema_name=form.schema, columns=form.written, records=form.rows(new, self._birth)
        )

    async def _change(self, form: RowFormat[Any], changed: Sequence[Any]) -> None:
        revisions = self._revisions[form.table.name]
        expected = [revisions[form.key_of(record)] for record in changed]
        status = await self._connection.execute(form.update, *form.arrays(changed), expected)
        self._expect(form.table.name, _count(status), len(changed))
        for record, revision in zip(changed, expected, strict=True):
            self._met(form, form.key_of(record), revision + 1)

    async def _remove(self, form: RowFormat[Any], keys: Sequence[str]) -> None:
        revisions = self._revisions[form.table.name]
        seen = [(key, revision) for key in keys if (revision := revisions.get(key))]
        if seen:
            status = await self._connection.execute(form.remove_seen, [k for k, _ in seen], [r for _, r in seen])
            self._expect(form.table.name, _count(status), len(seen))
        blind = [key for key in keys if key not in revisions]
        if blind:
            await self._connection.execute(form.remove, blind)
        for key in keys:
            self._met(form, key, 0)

    async def _write_facts(self) -> None:
        if not self._appends:
            return
        self._wrote = True
        appends, self._appends = self._appends, []
        appends.sort(key=lambda its: (its.stream, its.first))
        rows = [its[:-1] for its in appends]
        try:
            if len(rows) < COPIED_FROM:
                columns = [list(column) for column in zip(*rows, strict=True)]
                await self._connection.execute(self._kit.append_facts, *columns)
            else:
                await self._connection.copy_records_to_table(
                    FACTS, schema_name=self._kit.schema, columns=FACT_COLUMNS, records=rows
                )
        except asyncpg.UniqueViolationError as error:
            raise self._moved(appends, str(error)) from error
        unsure = [(its.stream, its.first) for its in appends if its.follows]
        if unsure:
            columns = [list(column) for column in zip(*unsure, strict=True)]
            if await self._connection.fetchval(self._kit.predecessors, *columns) != len(unsure):
                raise self._moved(appends, "its predecessor is not there")

    def _moved(self, appends: Iterable[_Append], why: str) -> ConflictError:
        for stream in {its.stream for its in appends}:
            self._memory.streams.pop(stream, None)
        return ConflictError(f"a stream has moved: {why}")

    async def _write_progress(self) -> None:
        moves, self._moves = sorted(self._moves.items()), {}
        begun = [(*place, reached) for place, (expected, reached) in moves if not expected]
        moved = [(*place, *offsets) for place, offsets in moves if offsets[0]]
        done: set[Place] = set()
        for text, rows in ((self._kit.begin_progress, begun), (self._kit.advance, moved)):
            if rows:
                self._wrote = True
                columns = [list(column) for column in zip(*rows, strict=True)]
                done.update(map(tuple, await self._connection.fetch(text, *columns)))
        for place, (expected, _) in moves:
            if place not in done:
                found = (await super().progress(place[0])).get(place[1:], 0)
                raise _fenced(place, expected, found)

    async def _write_outbox(self) -> None:
        """Come last, so that rows of one key are numbered in the order of their commits."""
        if not self._drafts:
            return
        self._wrote = True
        drafts, self._drafts = self._drafts, []
        portions = [*outbox_rows.rows(drafts)]
        sizes = [len(portion) for portion, _ in portions]
        rows = await self._connection.fetch(self._kit.send, sizes, [encoded for _, encoded in portions])
        self.sent_rows += [(row, portion) for (row,), (portion, _) in zip(rows, portions, strict=True)]

    async def _verify(self) -> None:
        """Make sure that what was read and not written is still the same, and stays so until the commit.

        A row that is not there cannot be locked. So whoever relies on a key that is free reserves it, in every table at
        once: of two who each take the key in one table, because it is free in the other, the second one sees the first.
        """
        for name, keys in self._unlocked.items():
            if not keys:
                continue
            form, revisions = self._formats[name], self._revisions[name]
            there = sorted(key for key in keys if revisions[key])
            if there:
                text = form.same_locked if self._wrote else form.same
                same = await self._connection.fetchval(text, there, [revisions[key] for key in there])
                self._expect(name, same, len(there))
        if not self._wrote:
            return
        missing = {name: absent for name, keys in self._unlocked.items() if (absent := self._missing(name, keys))}
        if missing:
            await self._connection.execute(
                self._kit.reserve, _stripes(key for keys in missing.values() for key in keys)
            )
        for name, absent in missing.items():
            self._expect(name, await self._connection.fetchval(self._formats[name].any_of, absent), 0)

    def _missing(self, name: str, keys: Iterable[str]) -> list[str]:
        revisions = self._revisions[name]
        return [key for key in keys if not revisions[key]]

    def _expect_revision(self, form: RowFormat[Any], key: str, revision: int) -> None:
        """Make sure that a row, written over whatever was there, had the revision that was met."""
        met = self._revisions[form.table.name].get(key)
        if met is not None:
            self._expect(form.table.name, int(revision == (met + 1 if met else self._birth)), 1)

    def _met(self, form: RowFormat[Any], key: str, revision: int) -> None:
        name = form.table.name
        self._revisions[name][key] = revision
        self._unlocked[name].discard(key)

    def _expect(self, table: str, found: int, expected: int) -> None:
        if found != expected:
            self._memory.contend(table)
            raise ConflictError(f"{table}: {found} of {expected} rows are as they were")


def _stripes(keys: Iterable[str]) -> list[int]:
    """Return which of a bounded number of locks stand for these keys, in the order in which everybody takes them."""
    return sorted({crc32(key.encode()) % STRIPES for key in keys})


def _count(status: str) -> int:
    """Return the number of rows in the server's word of what it did."""
    return int(status.rpartition(" ")[2])


def _fenced(place: Place, expected: int, found: int) -> FencedError:
    group, topic, partition = place
    return FencedError(f"{group} at {topic}-{partition}: expected offset {expected}, found {found}")
