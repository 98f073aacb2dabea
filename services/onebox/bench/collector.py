"""Something that takes the spans of a measurement: containers as compose has them, or a sink that counts what comes."""

import asyncio
import gzip
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from onebox.bench.servers import ServersError, docker, free_port, process_cpu

JAEGER, COLLECTOR = "jaegertracing/jaeger:2.13.0", "otel/opentelemetry-collector:0.165.0"
IN_MEMORY = "--set=extensions.jaeger_storage.backends.some_storage.memory.max_traces=10000"
CONFIGURED = Path(__file__).parents[3] / "compose/collector.yaml"
TAKES = 4318
KINDS = ("sink", "jaeger", "collector")
"""A collector hands on to a Jaeger."""
READY_SECONDS_MAX = 30.0
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(slots=True)
class Counted:
    """What a sink was sent, and what it took to look at that; `unpacked` are the bytes of it as JSON."""

    requests: int = 0
    packed: int = 0
    unpacked: int = 0
    spans: int = 0
    cpu_seconds: float = 0.0


@dataclass(slots=True)
class Sink:
    """Takes requests in this process, and throws away what is in them."""

    port: int = 0
    counted: Counted = field(default_factory=Counted)

    @property
    def endpoint(self) -> str:
        """Where it takes spans."""
        return f"http://127.0.0.1:{self.port}"

    async def cpu_seconds(self) -> dict[str, float]:
        """Return what it has used; reading from its connections is not in it."""
        return {"sink": self.counted.cpu_seconds}

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
        began = time.thread_time()
        text = gzip.decompress(body)
        self.counted.requests += 1
        self.counted.packed += len(body)
        self.counted.unpacked += len(text)
        self.counted.spans += text.count(b'"startTimeUnixNano"')
        self.counted.cpu_seconds += time.thread_time() - began


@dataclass(frozen=True, slots=True)
class Containers:
    """A Jaeger that keeps the latest traces in memory, perhaps behind a collector."""

    names: Mapping[str, str]
    port: int

    @property
    def endpoint(self) -> str:
        """Where they take spans."""
        return f"http://127.0.0.1:{self.port}"

    async def cpu_seconds(self) -> dict[str, float]:
        """Return what each has used since it began."""
        return {what: await _cpu_of(name) for what, name in self.names.items()}


Collector = Sink | Containers


@asynccontextmanager
async def collector(kind: str) -> AsyncIterator[Collector]:
    """Run one of these kinds, and end it in the end.

    Raises:
        ServersError: when there is no container engine, or what takes spans does not start.
    """
    if kind == "sink":
        async with sink() as its:
            yield its
    else:
        async with _containers(behind_a_collector=kind == "collector") as those:
            yield those


@asynccontextmanager
async def sink() -> AsyncIterator[Sink]:
    """Take spans in this process."""
    its = Sink()
    server = await asyncio.start_server(its.serve, "127.0.0.1", 0)
    its.port = server.sockets[0].getsockname()[1]
    try:
        yield its
    finally:
        server.close()


@asynccontextmanager
async def _containers(*, behind_a_collector: bool) -> AsyncIterator[Containers]:
    network = f"sagaplane-bench-{uuid.uuid4().hex[:8]}"
    names = {"Jaeger": f"{network}-jaeger"}
    port = free_port()
    published = ("--publish", f"127.0.0.1:{port}:{TAKES}")
    await docker("network", "create", network)
    try:
        alias = ("--network", network, "--network-alias", "jaeger")
        its_port = () if behind_a_collector else published
        await docker("run", "--detach", "--name", names["Jaeger"], *alias, *its_port, JAEGER, IN_MEMORY)
        if behind_a_collector:
            names["collector"] = f"{network}-collector"
            named = ("--name", names["collector"], "--network", network, *published)
            config = ("--env", f"CONFIGURED={CONFIGURED.read_text()}", COLLECTOR, "--config=env:CONFIGURED")
            await docker("run", "--detach", *named, *config)
        its = Containers(names, port)
        await _until_ready(its)
        yield its
    finally:
        await docker("rm", "--force", "--volumes", *names.values(), check=False)
        await docker("network", "rm", network, check=False)


async def _until_ready(its: Containers) -> None:
    end = time.monotonic() + READY_SECONDS_MAX
    async with httpx.AsyncClient(trust_env=False) as client:
        while time.monotonic() < end:
            with suppress(httpx.HTTPError):
                if (await client.post(f"{its.endpoint}/v1/traces", json={})).is_success:
                    return
            await asyncio.sleep(0.1)
    raise ServersError(f"{' and '.join(its.names)} take no spans after {READY_SECONDS_MAX:g} s")


async def _cpu_of(container: str) -> float:
    """Return what its process has used; not a number where the engine is on another machine."""
    pid = await docker("inspect", "--format", "{{.State.Pid}}", container)
    try:
        return process_cpu(int(pid))
    except FileNotFoundError:
        return float("nan")
