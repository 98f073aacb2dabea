"""Something that takes the spans of a measurement: Jaeger in a container, or a sink that counts what it is sent."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx

from onebox.bench.servers import ServersError, docker, free_port, process_cpu

JAEGER = "jaegertracing/jaeger:2.13.0"
READY_SECONDS_MAX = 30.0
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(slots=True)
class Counted:
    """What a sink was sent; `unpacked` are the bytes of it as JSON."""

    requests: int = 0
    packed: int = 0
    unpacked: int = 0
    spans: int = 0


@dataclass(slots=True)
class Sink:
    """Takes requests in this process, and throws away what is in them."""

    port: int = 0
    counted: Counted = field(default_factory=Counted)

    @property
    def endpoint(self) -> str:
        """Where it takes spans."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer everything that comes by one connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                self._take(await reader.readexactly(length))
                writer.write(ANSWER)
                await writer.drain()
        writer.close()

    def _take(self, body: bytes) -> None:
        text = gzip.decompress(body)
        self.counted.requests += 1
        self.counted.packed += len(body)
        self.counted.unpacked += len(text)
        self.counted.spans += text.count(b'"startTimeUnixNano"')


@dataclass(frozen=True, slots=True)
class Jaeger:
    """A Jaeger as its image is: it keeps traces in memory, and forgets the oldest when there are too many."""

    container: str
    port: int

    @property
    def endpoint(self) -> str:
        """Where it takes spans."""
        return f"http://127.0.0.1:{self.port}"

    async def cpu_seconds(self) -> float:
        """Return what it has used since it began; not a number where the engine is on another machine."""
        pid = await docker("inspect", "--format", "{{.State.Pid}}", self.container)
        try:
            return process_cpu(int(pid))
        except FileNotFoundError:
            return float("nan")


Collector = Sink | Jaeger


@asynccontextmanager
async def collector(kind: str) -> AsyncIterator[Collector]:
    """Run a `sink` or a `jaeger`, and end it in the end.

    Raises:
        ServersError: when there is no container engine, or Jaeger does not start.
    """
    if kind == "sink":
        sink = Sink()
        server = await asyncio.start_server(sink.serve, "127.0.0.1", 0)
        sink.port = server.sockets[0].getsockname()[1]
        try:
            yield sink
        finally:
            server.close()
        return
    port = free_port()
    container = await docker("run", "--detach", "--publish", f"127.0.0.1:{port}:4318", JAEGER)
    its = Jaeger(container.strip(), port)
    try:
        await _until_ready(its)
        yield its
    finally:
        await docker("rm", "--force", "--volumes", its.container, check=False)


async def _until_ready(its: Jaeger) -> None:
    end = time.monotonic() + READY_SECONDS_MAX
    async with httpx.AsyncClient(trust_env=False) as client:
        while time.monotonic() < end:
            with suppress(httpx.HTTPError):
                if (await client.post(f"{its.endpoint}/v1/traces", json={})).is_success:
                    return
            await asyncio.sleep(0.1)
    raise ServersError(f"Jaeger does not take spans after {READY_SECONDS_MAX:g} s")
