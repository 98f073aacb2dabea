"""The one writer of a file in this process: works that queue while a commit is under way share the next one.

Works that run the caller's own code run on the event loop's thread, one after the other and without a pause; only the
waiting is done on a thread of its own: for the disk at the commit, and for the lock when another process holds it. With
`aside` the works run on that thread too, which is right for few statements and a lock that is often held by others.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sagakit.adapters.sqlite.aside import Aside
from sagakit.adapters.sqlite.connection import DatabaseFile, is_busy, leaves_the_connection_whole, roll_back

T = TypeVar("T")

WORKS_PER_COMMIT_MAX = 64


class Heir(Protocol):
    """Who hears how the transactions end, before the callers do."""

    def committed(self) -> None:
        """All that the works of this transaction wrote is durable."""

    def failed(self) -> None:
        """Nothing of it happened, also of those works that had ended well."""


@dataclass(slots=True)
class _Job(Generic[T]):
    work: Callable[[sqlite3.Connection], T]
    future: asyncio.Future[T]
    context: Context
    value: T | None = None
    error: BaseException | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        try:
            self.value = self.context.run(self.work, connection)
        except sqlite3.Error:
            raise
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            self.error = error

    def settle(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.value)  # type: ignore[arg-type]


class Writer:
    """Runs works in transactions, many in one commit; one that raises takes back its own writes only."""

    def __init__(self, file: DatabaseFile, heir: Heir, *, aside: bool = False) -> None:
        """Open the file."""
        self._file = file
        self._heir = heir
        self._aside = aside
        self._queue: deque[_Job[Any]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._connection: sqlite3.Connection | None = file.open_writer(patient=aside)
        self._thread = Aside(file.path.name)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run the work in a transaction; return its value once that is durable."""
        if self._closed:
            raise self._file.unavailable(f"{self._file.path}: is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append(_Job(work, future, copy_context()))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return await future

    async def close(self) -> None:
        """Finish what is queued, then let go of the file."""
        self._closed = True
        if self._task is not None:
            await asyncio.wait([self._task])
        self._thread.close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _drain(self) -> None:
        while self._queue:
            jobs = [self._queue.popleft() for _ in range(min(len(self._queue), WORKS_PER_COMMIT_MAX))]
            try:
                await self._transaction(jobs)
                self._heir.committed()
            except BaseException as error:  # noqa: BLE001 - handed to the callers, whatever it is
                self._failed(jobs, error)
            for job in jobs:
                job.settle()

    async def _transaction(self, jobs: list[_Job[Any]]) -> None:
        if self._connection is None:
            self._connection = self._file.open_writer(patient=self._aside)
        connection = self._connection
        try:
            if self._aside:
                await self._thread.call(lambda: _transaction_aside(connection, jobs))
            else:
                await self._begin(connection)
                if _run(connection, jobs):
                    await self._thread.call(lambda: connection.execute("COMMIT"))
        finally:
            roll_back(connection)

    async def _begin(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
            await self._thread.call(lambda: _begin_patiently(connection, self._file.busy_seconds))

    def _failed(self, jobs: list[_Job[Any]], error: BaseException) -> None:
        self._heir.failed()
        if not isinstance(error, sqlite3.Error):
            for job in jobs:
                job.error = error
            return
        if self._connection is not None and not leaves_the_connection_whole(error):
            self._connection.close()
            self._connection = None
        for job in jobs:
            job.error = self._file.error(error)
            job.error.__cause__ = error


def _transaction_aside(connection: sqlite3.Connection, jobs: list[_Job[Any]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if _run(connection, jobs):
        connection.execute("COMMIT")


def _begin_patiently(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout={int(seconds * 1000)}")
    try:
        connection.execute("BEGIN IMMEDIATE")
    finally:
        connection.execute("PRAGMA busy_timeout=0")


def _run(connection: sqlite3.Connection, jobs: list[_Job[Any]]) -> bool:
    """Run the works; tell whether there is anything to commit. A lone work needs no savepoint: all is taken back."""
    if len(jobs) == 1:
        jobs[0].run(connection)
        return jobs[0].error is None
    for job in jobs:
        connection.execute("SAVEPOINT work")
        job.run(connection)
        if job.error is not None:
            connection.execute("ROLLBACK TO work")
        connection.execute("RELEASE work")
    return True
