"""Connections to one database: where it is, how long to wait for it, and how they are made again after a failure."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from typing_extensions import override

from sagakit.adapters.postgres.errors import LOST, WrongDatabaseError, in_our_words, line_of, translated
from sagakit.ports import StoreUnavailableError

Connection = Any
"""An `asyncpg.Connection`, whose library has no types."""

CONNECT_SECONDS_MAX = 5.0
STATEMENT_SECONDS_MAX = 30.0
LOCK_SECONDS_MAX = 10
IDLE_SECONDS_MAX = 10
READERS_MAX = 4
HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:]*)(:\d*)?")
SESSION = {
    "application_name": "sagaplane",
    "lock_timeout": f"{LOCK_SECONDS_MAX}s",
    "idle_in_transaction_session_timeout": f"{IDLE_SECONDS_MAX}s",  # who is paused in a transaction loses its locks
    "default_transaction_isolation": "read committed",
    "timezone": "UTC",
    "jit": "off",  # every statement is short
    # Statements look keys up, and are planned once, perhaps while a table was empty.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


@dataclass(frozen=True, slots=True)
class Address:
    """A database and the schema in it that belongs to one store."""

    url: str = field(repr=False)
    schema: str

    @override
    def __str__(self) -> str:
        """Name the place without the password, also when the address is not what it should be."""
        scheme, separator, rest = self.url.partition("://")
        place, _, query = rest.partition("?")
        if not separator or "@" in query:
            return f"a database whose address is not as expected, schema {self.schema}"
        return f"{scheme}://{place.rpartition('@')[2]} schema {self.schema}"

    def check(self) -> None:
        """Make sure that the address means something. What is wrong is not repeated, for it may be the password.

        Raises:
            WrongDatabaseError: when it does not.
        """
        if not _is_url(self.url):
            raise WrongDatabaseError(
                "SAGAPLANE_DATABASE_URL: expected postgresql://user:password@host:5432/database;"
                " in a user or a password, write / as %2F, ? as %3F, # as %23, [ as %5B, @ as %40 and % as %25"
            )


def _is_url(url: str) -> bool:
    """Tell whether each part stands where it belongs; several hosts are separated by commas."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    hosts = parts.netloc.rpartition("@")[2].split(",")
    return "@" not in parts.path + parts.fragment and all(HOST.fullmatch(host) for host in hosts)


async def connect(address: Address, *, server_settings: Mapping[str, str], **how: object) -> Connection:
    """Return a new connection; of several hosts, to the first one that takes writes.

    Raises:
        StoreUnavailableError: when the database cannot be reached now.
        WrongDatabaseError: when the address or the rights are wrong.
    """
    address.check()
    hosts = _one_by_one(address)
    if len(hosts) > 1:
        how["target_session_attrs"] = "read-write"
    failed: list[StoreUnavailableError] = []
    for host in hosts:
        try:
            return await _connect(host, dict(server_settings), how)
        except WrongDatabaseError:
            raise
        except StoreUnavailableError as error:
            failed.append(error)
    raise StoreUnavailableError("; ".join(map(str, failed))) from failed[-1]


def _one_by_one(address: Address) -> list[Address]:
    """Return the address of each host: the driver's time to connect is for all hosts together."""
    parts = urlsplit(address.url)
    who, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts:
        return [address]
    return [replace(address, url=parts._replace(netloc=f"{who}{at}{host}").geturl()) for host in hosts.split(",")]


async def _connect(address: Address, server_settings: dict[str, str], how: Mapping[str, object]) -> Connection:
    try:
        return await asyncpg.connect(address.url, timeout=CONNECT_SECONDS_MAX, server_settings=server_settings, **how)
    except (ValueError, asyncpg.ClientConfigurationError) as error:
        raise WrongDatabaseError(f"SAGAPLANE_DATABASE_URL: {error}") from error
    except (asyncpg.PostgresError, *LOST) as error:
        told = in_our_words(error, str(address))
        if isinstance(told, StoreUnavailableError):
            raise told from error
        raise StoreUnavailableError(f"{address}: {line_of(error)}") from error  # no record is to blame for it


class Connections:
    """One connection for writing, and a few for reading, made when they are needed."""

    def __init__(
        self,
        address: Address,
        prepare: Callable[[], Awaitable[None]] | None = None,
        made: Callable[[], None] = lambda: None,
    ) -> None:
        """Connect to nothing yet; `prepare` comes before the first connection, and `made` hears of each one."""
        self._address = address
        self._prepare = prepare
        self._made = made
        self._writer: Connection | None = None
        self.writers = 0
        """How many connections for writing were made. At the end of a new one may be a server that lost commits."""
        self._readers: asyncio.LifoQueue[Connection | None] = asyncio.LifoQueue()
        for _ in range(READERS_MAX):
            self._readers.put_nowait(None)
        self.closed = False

    async def writer(self) -> Connection:
        """Return the one connection for writing."""
        self._check_open()
        if self._writer is None or self._writer.is_closed():
            self._writer = await self._connect()
            self.writers += 1
        return self._writer

    async def drop_writer(self) -> None:
        """Let the connection for writing go, whatever state it is in."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.terminate()

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Connection]:
        """Lend a connection for reading; a broken one is not lent again."""
        self._check_open()
        connection = await self._readers.get()
        try:
            if connection is None or connection.is_closed():
                connection = await self._connect()
            with translated(str(self._address)):
                yield connection
        except (StoreUnavailableError, WrongDatabaseError, asyncio.CancelledError):
            if connection is not None:
                connection.terminate()
            connection = None
            raise
        finally:
            self._readers.put_nowait(connection)

    async def close(self) -> None:
        """Let go of all connections."""
        self.closed = True
        connections = [self._writer, *(self._readers.get_nowait() for _ in range(self._readers.qsize()))]
        for connection in connections:
            if connection is not None:
                with suppress(Exception):  # it is of no use any more, and nothing waits for it
                    await connection.close(timeout=1)
        for _ in connections[1:]:
            self._readers.put_nowait(None)

    async def _connect(self) -> Connection:
        if self._prepare is not None:
            await self._prepare()
            self._prepare = None
        connection = await connect(self._address, server_settings=SESSION, command_timeout=STATEMENT_SECONDS_MAX)
        self._made()
        return connection

    def _check_open(self) -> None:
        if self.closed:
            raise StoreUnavailableError(f"{self._address} is closed")
