"""The one reader of a file in this process: it sees what is committed, and waits for no writer."""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from sagakit.adapters.sqlite.connection import DatabaseFile

T = TypeVar("T")

Version = tuple[int, int]


class Reading:
    """Looks run one after the other, each to its end. After an error the file is opened again by the next look."""

    def __init__(self, file: DatabaseFile) -> None:
        """Open the file, which must exist."""
        self._file = file
        self._connection: sqlite3.Connection | None = file.open_reader()
        self._closed = False
        self._opened = 1

    def version(self) -> Version:
        """Return something that changes with every commit, of this process or another."""
        return self._opened, self.look(lambda connection: int(connection.execute("PRAGMA data_version").fetchone()[0]))

    def look(self, at: Callable[[sqlite3.Connection], T]) -> T:
        """Return what was seen; every statement sees the newest commit."""
        if self._closed:
            raise self._file.unavailable(f"{self._file.path}: is closed")
        try:
            if self._connection is None:
                self._connection = self._file.open_reader()
                self._opened += 1
            return at(self._connection)
        except sqlite3.Error as error:
            self._let_go()
            raise self._file.error(error) from error

    def look_at_one_moment(self, at: Callable[[sqlite3.Connection], T]) -> T:
        """Return what was seen; all statements see the same commit."""

        def within(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN")
            try:
                return at(connection)
            finally:
                connection.execute("END")

        return self.look(within)

    def close(self) -> None:
        """Look no more."""
        self._closed = True
        self._let_go()

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
