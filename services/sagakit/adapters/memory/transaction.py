"""Reading and writing the state of a memory store; every write remembers how to take itself back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec
from typing_extensions import override

from sagakit.adapters.memory.queries import is_equal, matching
from sagakit.ports import (
    Draft,
    DuplicateError,
    FencedError,
    OutboxEntry,
    Query,
    StoredFact,
    StreamMovedError,
    Table,
)

R = TypeVar("R", bound=msgspec.Struct)

_MISSING: Any = object()


@dataclass(slots=True)
class MemoryState:
    """What a disk would hold: hand it to a new `MemoryStore`, and that one is the old one after a crash."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    facts: dict[str, tuple[StoredFact, ...]] = field(default_factory=dict)
    claims: dict[str, datetime] = field(default_factory=dict)
    progress: dict[tuple[str, str, int], int] = field(default_factory=dict)
    outbox: dict[int, OutboxEntry] = field(default_factory=dict)
    last_position: int = 0


class OpenTable(Generic[R]):
    """A declared table, its rows, and who holds which values of its unique indexes."""

    def __init__(self, table: Table[R], rows: dict[str, R]) -> None:
        """Find the holders of the unique values."""
        self.table = table
        self.rows = rows
        self.holders: dict[tuple[str, ...], dict[tuple[Any, ...], str]] = {
            index: {values: key for key, record in rows.items() if None not in (values := values_of(record, index))}
            for index in table.unique
        }
        self._decode = msgspec.json.Decoder(table.record).decode

    def as_stored(self, record: R) -> R:
        """Return the record as it comes back from a disk: what JSON cannot carry fails here as it would there.

        It shares nothing with the one given, so that nobody changes by hand what only a transaction may change.
        """
        return self._decode(msgspec.json.encode(record))


class MemoryReader:
    """Reads the state as it is: nothing else runs meanwhile."""

    def __init__(self, state: MemoryState, tables: Mapping[str, OpenTable[Any]]) -> None:
        """Read these tables."""
        self._state = state
        self._tables = tables

    async def load(self, table: Table[R], keys: Iterable[str]) -> dict[str, R]:
        opened = self._open(table)
        return {key: opened.as_stored(opened.rows[key]) for key in keys if key in opened.rows}

    async def select(self, table: Table[R], query: Query) -> list[R]:
        query.check(table)
        opened = self._open(table)
        return [opened.as_stored(record) for record in matching(opened.rows, query)]

    async def count(self, table: Table[R], where: Mapping[str, Any]) -> int:
        Query(where).check(table)
        return sum(is_equal(record, where) for record in self._open(table).rows.values())

    async def read(self, stream: str, after: int = 0) -> list[StoredFact]:
        return list(self._state.facts.get(stream, ())[after:])

    async def progress(self, group: str) -> dict[tuple[str, int], int]:
        return {
            (topic, partition): offset
            for (owner, topic, partition), offset in self._state.progress.items()
            if owner == group
        }

    def _open(self, table: Table[R]) -> OpenTable[R]:
        if table.name not in self._tables:
            raise LookupError(f"{table.name}: the store was not opened with this table")
        return self._tables[table.name]


class MemoryTransaction(MemoryReader):
    """Writes as well; `take_back` undoes everything, the last first."""

    def __init__(self, state: MemoryState, tables: Mapping[str, OpenTable[Any]]) -> None:
        """Begin with nothing to undo."""
        super().__init__(state, tables)
        self.refused: DuplicateError | None = None
        self.sent = False
        self._lent: list[tuple[msgspec.Struct, msgspec.Struct]] = []
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []

    @override
    async def load(self, table: Table[R], keys: Iterable[str]) -> dict[str, R]:
        rows, found = self._open(table).rows, await super().load(table, keys)
        self._lent += [(record, rows[key]) for key, record in found.items()]
        return found

    async def save(self, table: Table[R], records: Iterable[R]) -> None:
        opened = self._open(table)
        for record in records:
            key = getattr(record, table.key)
            for index, holders in opened.holders.items():
                self._hold(opened, index, holders, key, record)
            self._set(opened.rows, key, opened.as_stored(record))

    async def delete(self, table: Table[R], keys: Iterable[str]) -> None:
        opened = self._open(table)
        for key in keys:
            record = opened.rows.get(key)
            if record is None:
                continue
            for index, holders in opened.holders.items():
                self._set(holders, values_of(record, index), _MISSING)
            self._set(opened.rows, key, _MISSING)

    async def claim(self, message_ids: Sequence[str], at: datetime) -> set[str]:
        fresh = {message_id for message_id in message_ids if message_id not in self._state.claims}
        for message_id in fresh:
            self._set(self._state.claims, message_id, at)
        return fresh

    async def append(self, stream: str, facts: Sequence[msgspec.Raw], expected: int, at: datetime) -> None:
        before = self._state.facts.get(stream, ())
        if len(before) != expected:
            raise StreamMovedError(f"{stream}: expected version {expected}, found {len(before)}")
        appended = tuple(
            StoredFact(stream, version, at, msgspec.Raw(bytes(body)))
            for version, body in enumerate(facts, expected + 1)
        )
        self._set(self._state.facts, stream, before + appended)

    async def advance(self, group: str, topic: str, partition: int, expected: int, next_offset: int) -> None:
        place = (group, topic, partition)
        found = self._state.progress.get(place, 0)
        if found != expected:
            raise FencedError(f"{group} at {topic}-{partition}: expected offset {expected}, found {found}")
        self._set(self._state.progress, place, next_offset)

    async def send(self, drafts: Iterable[Draft]) -> None:
        for draft in drafts:
            self._state.last_position += 1
            position = self._state.last_position
            self._set(self._state.outbox, position, OutboxEntry(position, as_bytes(draft)))
            self.sent = True

    def finish(self) -> None:
        """What was refused stays refused, also when the work went on regardless. What was lent comes back unchanged."""
        if self.refused is not None:
            raise self.refused
        for record, kept in self._lent:
            assert record == kept, f"a loaded record was changed in place: {record}, not {kept}"

    def take_back(self) -> None:
        """Undo every write."""
        while self._undo:
            mapping, key, before = self._undo.pop()
            _put(mapping, key, before)

    def _hold(
        self,
        opened: OpenTable[R],
        index: tuple[str, ...],
        holders: dict[tuple[Any, ...], str],
        key: str,
        record: R,
    ) -> None:
        values = values_of(record, index)
        if holders.get(values, key) != key:
            self.refused = DuplicateError(index, key)
            raise self.refused
        if key in opened.rows:
            self._set(holders, values_of(opened.rows[key], index), _MISSING)
        if None not in values:
            self._set(holders, values, key)

    def _set(self, mapping: dict[Any, Any], key: object, value: object) -> None:
        self._undo.append((mapping, key, mapping.get(key, _MISSING)))
        _put(mapping, key, value)


def as_bytes(draft: Draft) -> Draft:
    """Return the draft as it comes back from a disk: its value may have been JSON still encoded (`msgspec.Raw`)."""
    return Draft(draft.topic, draft.key, bytes(draft.headers), bytes(draft.value))


def values_of(record: msgspec.Struct, index: tuple[str, ...]) -> tuple[Any, ...]:
    """Return the indexed values of a record."""
    return tuple(getattr(record, name) for name in index)


def _put(mapping: dict[Any, Any], key: object, value: object) -> None:
    if value is _MISSING:
        mapping.pop(key, None)
    else:
        mapping[key] = value
