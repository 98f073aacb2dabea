"""Every row of one version of the views, in a form that can be compared."""

from pathlib import Path
from typing import Any

import msgspec

from analytics_service.desk import HIGH_VALUES
from analytics_service.files import FileStores
from analytics_service.reading import every
from analytics_service.tables import VIEWS
from analytics_service.wiring import TABLES
from sagakit.adapters.sqlite import SqliteStore
from sagakit.runtime.consumer import KNOWN_TOPICS

Rows = dict[str, dict[str, Any]]
"""Table → key → the record."""


async def rows_of(directory: Path, version: int) -> Rows:
    """Return all rows of all tables of the views; in what order a record names its series says nothing."""
    store = FileStores(directory).open(version)
    found: Rows = {}
    for table in (table for table in VIEWS if table is not KNOWN_TOPICS):
        records: list[Any] = await store.view(lambda reader, table=table: every(reader, table))  # type: ignore[misc]
        found[table.name] = {getattr(record, table.key): plain(record) for record in records}
    await store.close()
    return found


async def high_values_of(directory: Path) -> Rows:
    """Return the orders of high value, and what was said of each, by the id of the message."""
    catalogue = SqliteStore(directory / "analytics.db", TABLES)
    rows = await catalogue.view(lambda reader: every(reader, HIGH_VALUES))
    entries = await catalogue.outbox(100_000)
    await catalogue.close()
    said = [
        (msgspec.json.decode(entry.draft.headers)["ce_id"], msgspec.json.decode(entry.draft.value)) for entry in entries
    ]
    assert len(dict(said)) == len(said), "nothing was said twice"
    return {"high_values": {row.order_id: plain(row) for row in rows}, "outbox": dict(said)}


def plain(record: msgspec.Struct) -> Any:  # noqa: ANN401 - whatever JSON can say
    return msgspec.json.decode(msgspec.json.encode(record))


def differences(expected: Rows, found: Rows) -> list[str]:
    """Say which rows differ, a few of each table."""
    told = []
    for table, rows in expected.items():
        others = found[table]
        wrong = [key for key in sorted(rows.keys() | others.keys()) if rows.get(key) != others.get(key)]
        told += [f"{table} {key}: expected {rows.get(key)}, found {others.get(key)}" for key in wrong[:3]]
        told += [f"{table}: {len(wrong)} rows differ"] if wrong else []
    return told
