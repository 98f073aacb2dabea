"""One SQL table per declared `Table`, brought up to its declaration when the file is opened.

The record is kept whole, so every column and index beside it can be made again from it: a program that declares another
index needs no migration, only a moment at its start.
"""
# ruff: noqa: S608 - names in SQL are identifiers, checked and quoted; values are always parameters

import sqlite3
from typing import Any

from sagakit.adapters.shared.queries import quoted
from sagakit.adapters.sqlite.connection import WrongFileError
from sagakit.adapters.sqlite.tables import DOC, RowFormat

RECORDS_PER_STEP = 1000


def declare(connection: sqlite3.Connection, form: RowFormat[Any]) -> None:
    """Make the table and its indexes, or make them fit; within a transaction."""
    name, key = quoted(form.table.name), form.table.key
    columns = "".join(f"{quoted(column)}, " for column in form.columns)
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {name} ({quoted(key)} TEXT NOT NULL UNIQUE, {columns}{DOC} BLOB NOT NULL)"
    )
    indexes = _declared_indexes(form)
    found = _found_indexes(connection, form)
    for index, _ in found.items() - indexes.items():
        connection.execute(f"DROP INDEX {quoted(index)}")
    _fit_columns(connection, form)
    for index, sql in indexes.items() - found.items():
        try:
            connection.execute(sql)
        except sqlite3.IntegrityError as error:
            raise WrongFileError(f"{index}: cannot be, for records that are there share values; change them") from error


def _fit_columns(connection: sqlite3.Connection, form: RowFormat[Any]) -> None:
    """Drop the columns that are declared no more, for nobody would keep them true; add and fill the new ones."""
    name = quoted(form.table.name)
    key, *others = [column for _, column, *_ in connection.execute(f"PRAGMA table_info({name})")]
    if form.table.key != key:
        raise WrongFileError(
            f"{form.table.name}: is not keyed by {form.table.key} in the file; name the new table anew"
        )
    missing = set(form.columns) - set(others)
    for column in set(others) - {DOC, *form.columns}:
        connection.execute(f"ALTER TABLE {name} DROP COLUMN {quoted(column)}")
    for column in missing:
        connection.execute(f"ALTER TABLE {name} ADD COLUMN {quoted(column)}")
    last, step = 0, f"SELECT rowid, {DOC} FROM {name} WHERE rowid>? ORDER BY rowid LIMIT {RECORDS_PER_STEP}"
    while missing and (rows := connection.execute(step, (last,)).fetchall()):
        form.upsert.write(connection, form.rows(form.decode(document) for _, document in rows))
        last = rows[-1][0]


def _declared_indexes(form: RowFormat[Any]) -> dict[str, str]:
    """Return the SQL of each index by its name."""
    table = form.table
    plain = {f"{table.name}_by_{'_and_'.join(index)}": _index(index, "INDEX") for index in table.indexes}
    unique = {f"{table.name}_has_one_{'_and_'.join(index)}": _index(index, "UNIQUE INDEX") for index in table.unique}
    return {
        name: f"CREATE {kind} {quoted(name)} ON {quoted(table.name)} {columns}"
        for name, (kind, columns) in (plain | unique).items()
    }


def _index(index: tuple[str, ...], kind: str) -> tuple[str, str]:
    """Return the kind and the columns; where a null would never be found by it, it is left out: updates are cheaper."""
    sparse = index if kind == "UNIQUE INDEX" or len(index) == 1 else ()
    condition = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in sparse)
    columns = ", ".join(quoted(column) for column in index)
    return kind, f"({columns})" + (condition and f" WHERE {condition}")


def _found_indexes(connection: sqlite3.Connection, form: RowFormat[Any]) -> dict[str, str]:
    """Return the indexes of the file that `declare` has made; SQLite's own ones have no SQL."""
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type='index' AND tbl_name=? AND sql IS NOT NULL", (form.table.name,)
    )
    return dict(rows.fetchall())
