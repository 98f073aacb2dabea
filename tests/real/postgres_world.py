"""A schema for tests of the PostgreSQL store, and a wire to the server that can be cut."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from tests.real.postgres import Postgres

from sagakit.adapters.postgres import Address, PostgresStore
from sagakit.adapters.postgres.migration import migrate
from sagakit.adapters.postgres.schema import KIT
from sagakit.ports import Table
from sagakit.testing.contracts import TABLES

OpenPostgres = Callable[[], PostgresStore]
SCHEMA = "shop"
COMMIT = b"COMMIT\x00"
BYTES = 65_536


@contextmanager
def one_schema(postgres: Postgres) -> Iterator[Address]:
    """Offer a schema with the tables of the contract, for many tests: making it takes longer than most of them."""
    with postgres.fresh() as url:
        made = Address(url, SCHEMA)
        asyncio.run(migrate(made, TABLES))
        yield made


@asynccontextmanager
async def opening(address: Address) -> AsyncIterator[OpenPostgres]:
    """Offer a function that opens stores of this schema; afterwards they are closed and the schema is empty."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(empty, address)

        def open_one() -> PostgresStore:
            store = PostgresStore(address, TABLES)
            stack.push_async_callback(store.close)
            return store

        yield open_one


async def empty(address: Address, tables: Iterable[Table[Any]] = TABLES) -> None:
    """Remove all rows but the signature of the schema."""
    names = [name for name in (*KIT, *(table.name for table in tables)) if name != "kit_schema"]
    async with connected(address.url) as connection:
        await connection.execute("".join(f'DELETE FROM "{address.schema}"."{name}";' for name in names))  # noqa: S608


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """Offer a connection of the test's own."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


class Cut(Enum):
    """Where the wire is cut, once, when the next COMMIT comes by."""

    BEFORE_COMMIT = "before the server hears of it"
    AFTER_COMMIT = "as soon as the server may hear of it"
    AFTER_ANSWER = "when the server has answered, and nobody heard"
    TOWARDS_CLIENT = "on our side only: the server believes to be connected"


@dataclass
class Wire:
    """A stretch of wire between a store and the server."""

    url: str
    cut: Cut | None = None
    before_cut: Callable[[], Awaitable[None]] | None = None
    cuts: int = 0
    _behind: list[asyncio.StreamWriter] = field(default_factory=list)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry what one client and the server say to each other."""
        server = urlsplit(self.url)
        server_reader, server_writer = await asyncio.open_connection(server.hostname, server.port)
        self._behind.append(server_writer)
        answers = asyncio.create_task(_copy(server_reader, writer))
        while said := await _read(reader):
            if self.cut is not None and COMMIT in said:
                cut, self.cut = self.cut, None
                self.cuts += 1
                answers.cancel()
                await asyncio.wait([answers])
                if self.before_cut is not None:
                    await self.before_cut()
                if cut in (Cut.AFTER_COMMIT, Cut.AFTER_ANSWER):
                    server_writer.write(said)
                    await server_writer.drain()
                if cut is Cut.AFTER_ANSWER:
                    await server_reader.read(BYTES)
                writer.close()
                if cut is Cut.TOWARDS_CLIENT:
                    return
                break
            server_writer.write(said)
        server_writer.close()
        await asyncio.gather(answers, return_exceptions=True)


@asynccontextmanager
async def wired(address: Address) -> AsyncIterator[tuple[Wire, Address]]:
    """Offer a wire, and the address at its end."""
    wire = Wire(address.url)
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    parts = urlsplit(address.url)
    assert parts.port is not None
    near = parts.netloc.replace(f":{parts.port}", f":{port}")
    try:
        yield wire, Address(parts._replace(netloc=near).geturl(), address.schema)
    finally:
        server.close()
        for writer in wire._behind:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while said := await _read(reader):
        writer.write(said)
    writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(BYTES)
    except OSError:
        return b""
