"""How the records of a declared table become rows, and come back.

A row holds the key, the indexed attributes each in a column of its own, and the record whole as JSON. Rows stand in the
order of their writing (the key is a unique index beside them): random keys cost a third of what they cost as the
order of the rows. Statement texts are made once per table, so that the cache of prepared statements finds them.
"""
# ruff: noqa: S608 - names in SQL are identifiers, checked and quoted; values are always parameters

import re
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

import msgspec

from sagakit.adapters.shared.queries import Queries, quoted
from sagakit.adapters.sqlite.columns import Marks, as_column
from sagakit.adapters.sqlite.insert import Insert
from sagakit.ports import Table

R = TypeVar("R", bound=msgspec.Struct)

NAME = re.compile(r"(?!kit_|sqlite_)[a-z][a-z0-9_]*")
DOC = "record_json"
encode = msgspec.json.Encoder().encode


class RowFormat(Generic[R]):
    """One table as SQL sees it."""

    def __init__(self, table: Table[R]) -> None:
        """Make every text that does not depend on a query."""
        if not NAME.fullmatch(table.name):
            raise ValueError(
                f"{table.name!r} cannot name a table: small letters, digits, underscores, no kit_ in front"
            )
        self.table = table
        self.columns = tuple(
            dict.fromkeys(name for index in (*table.indexes, *table.unique) for name in index if name != table.key)
        )
        self.decode: Callable[[bytes], R] = msgspec.json.Decoder(table.record).decode
        names = ", ".join(quoted(name) for name in (table.key, *self.columns, DOC))
        updates = ", ".join(f"{quoted(name)}=excluded.{quoted(name)}" for name in (*self.columns, DOC))
        self._key = quoted(table.key)
        self._name = quoted(table.name)
        self.upsert = Insert(
            f"{self._name} ({names})", len(self.columns) + 2, f"ON CONFLICT({self._key}) DO UPDATE SET {updates}"
        )
        self.update = Insert(
            f"{self._name} ({self._key}, {DOC})", 2, f"ON CONFLICT({self._key}) DO UPDATE SET {DOC}=excluded.{DOC}"
        )
        self.remove = f"DELETE FROM {self._name} WHERE {self._key}=?"
        self.load = f"SELECT {self._key}, {DOC} FROM {self._name} WHERE {self._key} IN "
        self.queries = Queries(table, self._name, DOC, Marks, as_column)
        self._attributes = attrgetter(table.key, *self.columns)
        self.key_of: Callable[[R], str] = attrgetter(table.key)
        self.indexed: Callable[[msgspec.Struct], Any] = attrgetter(*self.columns) if self.columns else _nothing
        self._conversions = _conversions(table.record, (table.key, *self.columns))

    def rows(self, records: Iterable[R]) -> list[Sequence[Any]]:
        """Return the records as rows of `upsert`."""
        attributes, conversions = self._attributes, self._conversions
        if not self.columns:
            return [(attributes(record), encode(record)) for record in records]
        if not conversions:
            return [(*attributes(record), encode(record)) for record in records]
        rows: list[Sequence[Any]] = []
        for record in records:
            row = [*attributes(record), encode(record)]
            for place, convert in conversions:
                if row[place] is not None:
                    row[place] = convert(row[place])
            rows.append(row)
        return rows

    def documents(self, records: Iterable[R]) -> list[tuple[str, bytes]]:
        """Return the records as rows of `update`."""
        key_of = self.key_of
        return [(key_of(record), encode(record)) for record in records]

    def holder(self, index: tuple[str, ...]) -> str:
        """Return the SQL that finds another record with the values of a unique index."""
        terms = " AND ".join(f"{quoted(name)}=?" for name in index)
        return f"SELECT 1 FROM {self._name} WHERE {terms} AND {self._key}<>?"


def _nothing(record: msgspec.Struct) -> None:
    """Return what is indexed of a record of a table without indexes."""
    del record


def _conversions(record: type[msgspec.Struct], names: Sequence[str]) -> list[tuple[int, Callable[[Any], Any]]]:
    """Return which attributes need a conversion: all that are not plainly text or number by their declaration."""
    types = {field.name: field.type for field in msgspec.structs.fields(record)}
    return [(place, as_column) for place, name in enumerate(names) if not _is_plain(types[name])]


def _is_plain(declared: Any) -> bool:  # noqa: ANN401 - a type expression
    plain = {str, int, float, bool, type(None)}
    return declared in plain or set(getattr(declared, "__args__", (object,))) <= plain
