"""A PostgreSQL server that welcomes or refuses as a test says. It begins and ends transactions, and does no more."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

HOST = "127.0.0.1"
CANCEL = 80877102
READY = {"BEGIN": b"T"}


@dataclass
class ScriptedPostgres:
    """What one server says."""

    standby: bool = False
    refusal: str = ""
    """The SQLSTATE with which every connection is refused."""
    silent: bool = False
    port: int = 0
    statements: list[str] = field(default_factory=list)
    _clients: list[asyncio.StreamWriter] = field(default_factory=list)

    def hang_up(self) -> None:
        """Close every connection; new ones are taken."""
        for client in self._clients:
            client.close()
        self._clients.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.append(writer)
        try:
            (size, kind) = struct.unpack("!ii", await reader.readexactly(8))
            await reader.readexactly(size - 8)
            if self.silent or kind == CANCEL:
                await reader.read()
                return
            if self.refusal:
                writer.write(_message(b"E", f"SFATAL\0VFATAL\0C{self.refusal}\0Mnot now\0\0".encode()))
                return
            settings = {"server_version": "15.0", "client_encoding": "UTF8", "in_hot_standby": _switch(self.standby)}
            writer.write(_message(b"R", struct.pack("!i", 0)))
            for name, value in settings.items():
                writer.write(_message(b"S", f"{name}\0{value}\0".encode()))
            writer.write(_message(b"K", struct.pack("!ii", 1, 1)) + _message(b"Z", b"I"))
            while True:
                if await reader.readexactly(1) != b"Q":
                    await reader.read()
                    return
                (size,) = struct.unpack("!i", await reader.readexactly(4))
                statement = (await reader.readexactly(size - 4))[:-1].decode().rstrip(";")
                self.statements.append(statement)
                writer.write(_message(b"C", f"{statement}\0".encode()) + _message(b"Z", READY.get(statement, b"I")))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*servers: ScriptedPostgres) -> AsyncIterator[str]:
    """Offer the address of a database that has these servers for hosts."""
    listening = [await asyncio.start_server(server.serve, HOST, 0) for server in servers]
    for server, its in zip(servers, listening, strict=True):
        server.port = its.sockets[0].getsockname()[1]
    hosts = ",".join(f"{HOST}:{server.port}" for server in servers)
    try:
        yield f"postgresql://shop:hush-hush@{hosts}/shop?sslmode=disable"
    finally:
        for server, its in zip(servers, listening, strict=True):
            its.close()
            server.hang_up()


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _switch(on: bool) -> str:
    return "on" if on else "off"
