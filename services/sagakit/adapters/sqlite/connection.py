"""How a file is opened, and what its errors mean to us."""

import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Synchronous = Literal["OFF", "NORMAL", "FULL"]

CACHED_STATEMENTS = 512
CACHE_KIBIBYTES = 8_000
"""Of a writer: the pages that are changed again and again; the operating system keeps the rest."""
READER_CACHE_KIBIBYTES = 2_000
CHECKPOINT_PAGES = 8_000
"""32 MB of 4 kB pages: a checkpoint costs two syncs, and a page that was changed often is written back once."""
WAL_BYTES_MAX = 64_000_000
BUSY_SECONDS = 5.0
"""How long the lock of another process is waited for."""
BUSY_PAUSE_SECONDS = 0.01


class WrongFileError(Exception):
    """The file belongs to another program, a newer one, or to other settings. Nothing was changed; a human decides."""


@dataclass(frozen=True, slots=True)
class DatabaseFile:
    """One SQLite file: where it is, how durable a commit is, and what an error of it is called by its port."""

    path: Path
    unavailable: type[Exception]
    synchronous: Synchronous = "FULL"
    busy_seconds: float = BUSY_SECONDS
    cache_kibibytes: int = CACHE_KIBIBYTES

    def open_writer(self, *, patient: bool = True) -> sqlite3.Connection:
        """Return a connection that writes, in WAL mode; a patient one waits for a lock that another process holds."""
        connection = self._open(self.busy_seconds if patient else 0.0)
        connection.execute("PRAGMA temp_store=FILE")  # old pages for savepoints: in memory they are megabytes a work
        mode = _write_ahead(connection, self.busy_seconds)
        if mode != "wal":
            connection.close()
            raise WrongFileError(f"{self.path}: no write-ahead log is possible there; put the file on a local disk")
        connection.execute(f"PRAGMA synchronous={self.synchronous}")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES_MAX}")
        return connection

    def open_reader(self) -> sqlite3.Connection:
        """Return a connection that only reads; the file must exist and be in WAL mode already."""
        connection = self._open(self.busy_seconds)
        connection.execute(f"PRAGMA cache_size=-{READER_CACHE_KIBIBYTES}")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("PRAGMA query_only=ON")
        return connection

    def error(self, error: sqlite3.Error) -> Exception:
        """Return what SQLite said as the port's exception: the file, what is wrong, what to do."""
        return self.unavailable(f"{self.path}: {error}; {_advice(error)}")

    def _open(self, busy_seconds: float) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            isolation_level=None,  # we begin and end transactions ourselves
            check_same_thread=False,  # the commit runs on another thread, never two at once
            cached_statements=CACHED_STATEMENTS,
            timeout=busy_seconds,
        )
        connection.execute(f"PRAGMA cache_size=-{self.cache_kibibytes}")
        return connection


def _write_ahead(connection: sqlite3.Connection, seconds: float) -> str:
    """Ask for WAL mode and return the mode in force.

    Of two processes that ask this of a new file at once SQLite refuses one without waiting, to avoid a deadlock.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > end:
                raise
            time.sleep(BUSY_PAUSE_SECONDS)
        else:
            return str(mode)


def is_busy(error: sqlite3.Error) -> bool:
    """Tell whether another connection holds the lock, so that waiting is the whole remedy."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def leaves_the_connection_whole(error: sqlite3.Error) -> bool:
    """Tell whether a rollback is enough; after anything else the file is better opened again."""
    return is_busy(error) or _code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT)


def roll_back(connection: sqlite3.Connection) -> None:
    """End the transaction, if SQLite has not done so itself."""
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


def _code(error: sqlite3.Error) -> int:
    extended: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return extended & 0xFF


def _advice(error: sqlite3.Error) -> str:
    match _code(error):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "another process holds the lock; try again"
        case sqlite3.SQLITE_FULL:
            return "make room on the disk, then try again"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return "let this user write the file and its directory"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return "put a sound copy of the file in its place"
        case _:
            return "look at the disk and at the system's log"
