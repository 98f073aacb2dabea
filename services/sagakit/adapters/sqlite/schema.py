"""The kit's own tables, made when a file is new, and whose file it is."""

import sqlite3
from pathlib import Path

from sagakit.adapters.sqlite.connection import WrongFileError

STORE_VERSION = 1
STORE = """
CREATE TABLE kit_streams (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE kit_facts (stream_id INTEGER NOT NULL, version INTEGER NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX kit_facts_by_version ON kit_facts (stream_id, version);
CREATE TABLE kit_claims (place INTEGER PRIMARY KEY, message_id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL);
CREATE TABLE kit_progress (
    consumer TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
) WITHOUT ROWID;
CREATE TABLE kit_outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, size INTEGER NOT NULL, waiting INTEGER NOT NULL, drafts BLOB NOT NULL
);
"""
LOG_VERSION = 1
LOG = """
CREATE TABLE kit_log (partitions INTEGER NOT NULL);
CREATE TABLE kit_heads (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, first_offset INTEGER NOT NULL, next_offset INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE kit_batches (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,
    first_offset INTEGER NOT NULL, next_offset INTEGER NOT NULL, at INTEGER NOT NULL, records BLOB NOT NULL
);
CREATE UNIQUE INDEX kit_batches_by_offset ON kit_batches (topic, partition, next_offset);
CREATE TABLE kit_members (
    consumer TEXT NOT NULL, member TEXT NOT NULL, epoch INTEGER NOT NULL, lease_until REAL NOT NULL,
    PRIMARY KEY (consumer, member)
) WITHOUT ROWID;
CREATE TABLE kit_holders (
    consumer TEXT NOT NULL, partition INTEGER NOT NULL, member TEXT NOT NULL, PRIMARY KEY (consumer, partition)
) WITHOUT ROWID;
"""


def prepare(connection: sqlite3.Connection, path: Path, kind: str, version: int, tables: str) -> None:
    """Make the kit's tables in a new file; refuse a file of another kind or of a newer program."""
    connection.execute("CREATE TABLE IF NOT EXISTS kit_schema (kind TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT")
    found = dict(connection.execute("SELECT kind, version FROM kit_schema").fetchall())
    if not found:
        for statement in tables.split(";"):
            connection.execute(statement)
        connection.execute("INSERT INTO kit_schema VALUES (?, ?)", (kind, version))
    elif kind not in found:
        raise WrongFileError(f"{path}: holds a {'/'.join(found)}, not a {kind}; give each a file of its own")
    elif found[kind] > version:
        raise WrongFileError(
            f"{path}: was written by a newer program ({kind} schema {found[kind]}, this one knows {version}); "
            "upgrade this program"
        )
