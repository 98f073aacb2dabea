"""How records of a declared table become rows: what an index needs is a column, and the whole record stands beside it.

A row's revision grows with every change, so that a rival's change is noticed. It begins at random, so that a row made
anew under the same key is not taken for the one before. Rows are written many in a statement, as
arrays, in the order of their keys: two instances that write the same ones wait for each other and never in a circle.
"""
# ruff: noqa: S608 - names in SQL are identifiers, checked and quoted; values are always parameters

import re
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

import msgspec

from sagakit.adapters.postgres.columns import TEXT, Numbered, as_column, column_type, is_word
from sagakit.adapters.shared.queries import Queries, quoted
from sagakit.ports import Table

R = TypeVar("R", bound=msgspec.Struct)

NAME = re.compile(r"(?!kit_|pg_)[a-z][a-z0-9_]*")
DOC, REVISION = "record_json", "revision"
encode = msgspec.json.Encoder().encode


class RowFormat(Generic[R]):
    """One table as SQL sees it."""

    def __init__(self, table: Table[R], schema: str) -> None:
        """Make every text that does not depend on a query."""
        if not NAME.fullmatch(table.name):
            raise ValueError(
                f"{table.name!r} cannot name a table: small letters, digits, underscores, no kit_ in front"
            )
        self.table = table
        types = {field.name: field.type for field in msgspec.structs.fields(table.record)}
        self.columns = tuple(
            dict.fromkeys(name for index in (*table.indexes, *table.unique) for name in index if name != table.key)
        )
        self.types = {name: column_type(types[name]) for name in (table.key, *self.columns)}
        self.schema = schema
        self.name = f"{quoted(schema)}.{quoted(table.name)}"
        self.written = (table.key, *self.columns, DOC, REVISION)
        self.key_of: Callable[[R], str] = attrgetter(table.key)
        self.decode: Callable[[str], R] = msgspec.json.Decoder(table.record).decode
        self._attributes = [(attrgetter(name), is_word(types[name])) for name in self.columns]
        self._write_texts(quoted(table.key), [quoted(name) for name in self.columns])
        self.queries = Queries(table, self.name, DOC, Numbered, as_column)

    def _write_texts(self, key: str, columns: Sequence[str]) -> None:
        names = ", ".join([key, *columns, DOC])
        arrays = ", ".join(
            f"${place}::{'text' if kind == TEXT else kind}[]"
            for place, kind in enumerate([TEXT, *(self.types[name] for name in self.columns), "text"], 1)
        )
        last = len(columns) + 3
        source = f"unnest({arrays}) AS n({names})"
        self.insert = (
            f"INSERT INTO {self.name} AS t ({names}, {REVISION}) SELECT {names}, ${last}::bigint FROM {source}"
        )
        changes = ", ".join(f"{name}=n.{name}" for name in [*columns, DOC])
        over = ", ".join(f"{name}=excluded.{name}" for name in [*columns, DOC])
        self.load = f"SELECT {key}, {REVISION}, {DOC} FROM {self.name} WHERE {key}=ANY($1::text[])"
        self.load_locked = f"{self.load} ORDER BY {key} FOR UPDATE"
        self.upsert = (
            f"{self.insert} ON CONFLICT ({key}) DO UPDATE SET {over}, {REVISION}=t.{REVISION}+1"
            f" RETURNING t.{key}, t.{REVISION}"
        )
        self.update = (
            f"UPDATE {self.name} AS t SET {changes}, {REVISION}=t.{REVISION}+1"
            f" FROM unnest({arrays}, ${last}::bigint[]) AS n({names}, {REVISION})"
            f" WHERE t.{key}=n.{key} AND t.{REVISION}=n.{REVISION}"
        )
        seen = f"unnest($1::text[], $2::bigint[]) AS n({key}, {REVISION})"
        met = f"t.{key}=n.{key} AND t.{REVISION}=n.{REVISION}"
        self.remove_seen = f"DELETE FROM {self.name} AS t USING {seen} WHERE {met}"
        self.remove = f"DELETE FROM {self.name} WHERE {key}=ANY($1::text[])"
        same = f"SELECT 1 FROM {self.name} AS t JOIN {seen} ON {met}"
        self.same = f"SELECT count(*) FROM ({same}) AS same"
        self.same_locked = f"SELECT count(*) FROM ({same} FOR SHARE OF t) AS same"
        self.any_of = f"SELECT count(*) FROM {self.name} WHERE {key}=ANY($1::text[])"

    def arrays(self, records: Sequence[R]) -> list[list[Any]]:
        """Return the records as one array for each column."""
        key_of = self.key_of
        arrays: list[list[Any]] = [[key_of(record) for record in records]]
        for attribute, word in self._attributes:
            values = [attribute(record) for record in records]
            arrays.append([as_column(value) for value in values] if word else values)
        arrays.append([encode(record).decode() for record in records])
        return arrays

    def rows(self, records: Iterable[R], revision: int) -> list[tuple[Any, ...]]:
        """Return the records as rows of `written`, all with this revision."""
        key_of, attributes = self.key_of, self._attributes
        return [
            (
                key_of(record),
                *(as_column(attribute(record)) if word else attribute(record) for attribute, word in attributes),
                encode(record).decode(),
                revision,
            )
            for record in records
        ]

    def in_order(self, records: Iterable[R]) -> list[R]:
        """Return the records in the order in which every instance writes them."""
        return sorted(records, key=self.key_of)

    def holder(self, index: tuple[str, ...]) -> str:
        """Return the SQL that finds another record with the values of a unique index; the last parameter is a key."""
        terms = " AND ".join(f"{quoted(name)}=${place}" for place, name in enumerate(index, 1))
        return f"SELECT 1 FROM {self.name} WHERE {terms} AND {quoted(self.table.key)}<>${len(index) + 1}"
