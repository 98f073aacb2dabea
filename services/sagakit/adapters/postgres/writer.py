"""The one writer of a process: works that wait at the same time share a transaction, and so a commit.

A work that raises, or a rival that was faster, has the transaction taken back; its works are run again, each alone.
When the connection is lost in the middle of a commit, the server is asked afterwards what became of it.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg

from sagakit.adapters.postgres.connections import Address, Connection, Connections
from sagakit.adapters.postgres.errors import LOST, ConflictError, WrongDatabaseError, in_our_words, is_lost, translated
from sagakit.adapters.postgres.kit import KitTables
from sagakit.adapters.postgres.memory import Memory
from sagakit.adapters.postgres.tables import RowFormat
from sagakit.adapters.postgres.transaction import PostgresTransaction
from sagakit.ports import Draft, DuplicateError, FencedError, StoreUnavailableError

T = TypeVar("T")

WORKS_PER_COMMIT_MAX = 256
ATTEMPTS_MAX = 20
DOUBT_SECONDS_MAX = 15.0
DOUBT_LOOK_SECONDS = 0.1

Work = Callable[[PostgresTransaction], Awaitable[Any]]
Sent = Sequence[tuple[int, list[Draft]]]
"""Rows of the outbox with what they hold."""


@dataclass(slots=True)
class _Job:
    work: Work
    done: asyncio.Future[Any]


class _WorkFailed(Exception):
    """A work raised, or was refused; what it raised is beside it."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__()
        self.cause = cause


class Writer:
    """Runs works one after the other."""

    def __init__(
        self,
        address: Address,
        connections: Connections,
        formats: Mapping[str, RowFormat[Any]],
        kit: KitTables,
        committed: Callable[[Sent], None],
    ) -> None:
        """Wait for works; `committed` hears of each commit that left something in the outbox."""
        self._address = address
        self._connections = connections
        self._formats = formats
        self._kit = kit
        self._committed = committed
        self._memory = Memory()
        self._remembers_of = 0
        """By which of the connections the memory was gained."""
        self._name = uuid4().hex
        self._commits = 0
        self._jobs: deque[_Job] = deque()
        self._running: asyncio.Task[None] | None = None

    async def write(self, work: Callable[[PostgresTransaction], Awaitable[T]]) -> T:
        """Run the work, and return its value once it is durable."""
        if self._connections.closed:
            raise StoreUnavailableError(f"{self._address} is closed")
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(), name=f"writer of {self._address}")
        value: T = await job.done
        return value

    async def finish(self) -> None:
        """Return when the works that have begun are done."""
        if self._running is not None:
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        while self._jobs:
            jobs = [self._jobs.popleft() for _ in range(min(len(self._jobs), WORKS_PER_COMMIT_MAX))]
            jobs = [job for job in jobs if not job.done.cancelled()]
            if len(jobs) == 1 or (jobs and not await self._together(jobs)):
                for job in jobs:
                    await self._alone(job)

    async def _together(self, jobs: Sequence[_Job]) -> bool:
        """Run the works in one transaction; tell whether that could be."""
        try:
            values = await self._attempt([job.work for job in jobs], careful=False)
        except (_WorkFailed, ConflictError):
            return False
        except Exception as error:  # noqa: BLE001 - each caller hears it
            for job in jobs:
                _fail(job, error)
            return True
        for job, value in zip(jobs, values, strict=True):
            _succeed(job, value)
        return True

    async def _alone(self, job: _Job) -> None:
        careful = False
        for _ in range(ATTEMPTS_MAX):
            try:
                (value,) = await self._attempt([job.work], careful=careful)
            except ConflictError as error:
                careful, last = True, error
                continue
            except _WorkFailed as failed:
                _fail(job, failed.cause)
            except Exception as error:  # noqa: BLE001 - its caller hears it
                _fail(job, error)
            else:
                _succeed(job, value)
            return
        _fail(job, StoreUnavailableError(f"{self._address}: rivals were faster {ATTEMPTS_MAX} times ({last})"))

    async def _attempt(self, works: Sequence[Work], *, careful: bool) -> list[Any]:
        """Run the works in one transaction and return their values once it is committed."""
        connection = await self._begun()
        transaction = PostgresTransaction(connection, self._formats, self._kit, self._memory, careful=careful)
        try:
            values = [await _run_work(work, transaction, str(self._address)) for work in works]
            wrote = await _finish(transaction, str(self._address))
        except BaseException as error:
            await self._take_back(connection, error)
            if isinstance(error, _WorkFailed) and transaction.believed and not careful:
                raise ConflictError("it was run on what was only believed") from error
            raise
        await self._commit(connection, wrote=wrote)
        self._memory.learn(*transaction.learnt())
        if transaction.sent_rows:
            self._committed(transaction.sent_rows)
        return values

    async def _begun(self) -> Connection:
        """Begin a transaction; a connection that the server has closed meanwhile is made anew."""
        for last in (False, True):
            with translated(str(self._address)):
                connection = await self._connections.writer()
                try:
                    await connection.execute("BEGIN")
                except BaseException as error:
                    await self._connections.drop_writer()
                    if last or not is_lost(error):
                        raise
                else:
                    self._forget_before(self._connections.writers)
                    return connection
        raise AssertionError("the second try returns or raises")

    def _forget_before(self, connection: int) -> None:
        """Believe nothing that was true of the server before: a fail-over may have lost its last commits."""
        if connection != self._remembers_of:
            self._memory.forget()
            self._remembers_of = connection

    async def _commit(self, connection: Connection, *, wrote: bool) -> None:
        try:
            if wrote:
                self._commits += 1
                await connection.execute(self._kit.mark, self._name, self._commits)
            await connection.execute("COMMIT")
        except BaseException as error:
            await self._connections.drop_writer()
            self._memory.forget()
            if wrote and is_lost(error) and await self._was_committed():
                return
            if isinstance(error, Exception):
                raise in_our_words(error, str(self._address)) from error
            raise

    async def _was_committed(self) -> bool:
        """Ask the server, once it is there again, what became of the last transaction, whose commit was not answered.

        The question waits for that transaction to end, should it still be under way.

        Raises:
            StoreUnavailableError: when the server does not come back in time.
        """
        deadline = asyncio.get_running_loop().time() + DOUBT_SECONDS_MAX
        while True:
            with contextlib.suppress(*LOST, asyncpg.PostgresError, StoreUnavailableError):
                connection = await self._connections.writer()
                return bool(await connection.fetchval(self._kit.marked, self._name, 0) == self._commits)
            if asyncio.get_running_loop().time() > deadline:
                text = f"{self._address}: the connection was lost in a commit whose outcome is not known yet"
                raise StoreUnavailableError(text)
            await asyncio.sleep(DOUBT_LOOK_SECONDS)

    async def _take_back(self, connection: Connection, error: BaseException) -> None:
        """Roll back, or let a connection go that cannot."""
        try:
            if isinstance(error, StoreUnavailableError) or connection.is_closed():
                raise ConnectionError  # noqa: TRY301 - one way to let a connection go
            await connection.execute("ROLLBACK")
        except Exception:  # noqa: BLE001 - it is let go, and the first error is the one that is told
            await self._connections.drop_writer()


async def _run_work(work: Work, transaction: PostgresTransaction, place: str) -> Any:  # noqa: ANN401 - its value
    try:
        return await work(transaction)
    except (ConflictError, StoreUnavailableError, WrongDatabaseError, asyncio.CancelledError):
        raise
    except (asyncpg.PostgresError, *LOST) as error:
        raise _told(error, place) from error
    except BaseException as error:
        raise _WorkFailed(error) from error


async def _finish(transaction: PostgresTransaction, place: str) -> bool:
    try:
        return await transaction.finish()
    except (DuplicateError, FencedError) as error:
        raise _WorkFailed(error) from error
    except (asyncpg.PostgresError, *LOST) as error:
        raise _told(error, place) from error


def _told(error: BaseException, place: str) -> Exception:
    """Return the error in our words; one that stays as it is has a work to blame, and not those that share with it."""
    told = in_our_words(error, place)
    return _WorkFailed(error) if told is error else told


def _succeed(job: _Job, value: object) -> None:
    if not job.done.done():
        job.done.set_result(value)


def _fail(job: _Job, error: BaseException) -> None:
    if not job.done.done():
        job.done.set_exception(error)
