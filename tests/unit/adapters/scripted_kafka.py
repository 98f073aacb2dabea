"""A broker that says what a test has written down for it, in Kafka's own words, at a port that it can leave."""

import asyncio
import ssl
import struct
from collections.abc import Callable, Iterable
from typing import Any

from aiokafka.protocol.admin import ApiVersionResponse_v0, CreateTopicsResponse_v3
from aiokafka.protocol.fetch import FetchResponse_v10
from aiokafka.protocol.metadata import MetadataResponse_v5
from aiokafka.protocol.offset import OffsetResponse_v3
from tests.real.engine import free_port

HOST = "127.0.0.1"
FETCH, OFFSETS, METADATA, CREATE_TOPICS, API_VERSIONS = 1, 2, 3, 19, 18
VERSIONS = {FETCH: (10, 10), OFFSETS: (3, 3), METADATA: (5, 12), CREATE_TOPICS: (3, 3)}

Script = Callable[[], Any]
SILENCE = "nothing is answered on this connection from now on"


class ScriptedBroker:
    """Answers each kind of request as it is scripted; a connection that asks for anything else is closed."""

    def __init__(self) -> None:
        """Listen nowhere yet."""
        self.port = free_port()
        self.script: dict[int, Script] = {}
        self.asked: list[int] = []
        self.context: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self.port, ssl=self.context)

    async def stop(self) -> None:
        """Close every connection, and listen no more."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            while True:
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                key, version, number = struct.unpack_from(">hhi", await reader.readexactly(size))
                answer = self._answer(key, version)
                if answer is None:
                    return
                if answer is SILENCE:
                    await reader.read()
                    return
                said = struct.pack(">i", number) + answer.encode()
                writer.write(struct.pack(">i", len(said)) + said)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def _answer(self, key: int, version: int) -> Any:  # noqa: ANN401 - aiokafka has no types
        if key == API_VERSIONS:
            return ApiVersionResponse_v0(0, [(key, *versions) for key, versions in VERSIONS.items()])
        self.asked.append(key)
        return self.script[key]() if key in self.script and version <= VERSIONS[key][0] else None


def metadata(nodes: dict[int, int], leaders: dict[tuple[str, int], int]) -> Any:  # noqa: ANN401
    """Say at which ports the nodes are, and who leads what."""
    topics: dict[str, list[tuple[int, int, int, list[int], list[int], list[int]]]] = {}
    for (topic, partition), leader in leaders.items():
        topics.setdefault(topic, []).append((0, partition, leader, [leader], [leader], []))
    said = [(0, topic, False, partitions) for topic, partitions in topics.items()]
    return MetadataResponse_v5(0, [(node, HOST, port, None) for node, port in nodes.items()], "c", 1, said)


def offset(topic: str, partition: int, number: int, error: int = 0) -> Any:  # noqa: ANN401
    return OffsetResponse_v3(0, [(topic, [(partition, error, -1, number)])])


def records(topic: str, chunks: Iterable[tuple[int, int, bytes]]) -> Any:  # noqa: ANN401
    """Say what is in each partition: an error, or record batches."""
    said: list[Any] = [(partition, error, 0, 0, 0, [], batches) for partition, error, batches in chunks]
    return FetchResponse_v10(0, 0, 0, [(topic, said)])


def created(topic: str, error: int, message: str | None = None) -> Any:  # noqa: ANN401
    return CreateTopicsResponse_v3(0, [(topic, error, message)])
