"""A store and a log in SQLite files: durable on one machine, without a server.

Here belong SQL, files, the threads that wait for the disk, and the translation of SQLite's errors. What a record or
a message means does not.
"""

from sagakit.adapters.sqlite.connection import WrongFileError
from sagakit.adapters.sqlite.log import SqliteLog
from sagakit.adapters.sqlite.store import SqliteStore

__all__ = ["SqliteLog", "SqliteStore", "WrongFileError"]
