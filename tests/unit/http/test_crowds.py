"""More clients than a service has places for: who is beyond them is told so, and probes are answered in any crowd."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count

import httpx
import msgspec
import pytest
from tests.unit.http.services import HandClock

import order_service.wiring as order
from order_service.settings import OrderSettings
from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.runtime.http import crowd, server
from sagakit.runtime.http.app import Requests, build_app
from sagakit.runtime.http.crowd import Limits
from sagakit.runtime.http.routes import Call, Nothing, Reply, Route
from sagakit.runtime.http.server import HOST, Server
from sagakit.runtime.service import KIT_TABLES, Service
from sagakit.runtime.settings import ServiceSettings, read
from shop_contracts.catalogue import SHOP

SECONDS_MAX = 20
LIMITS = Limits(connections=4, streams=2)
SPARE = 2
LARGE = 50_000_000


class Shop:
    """Shows what it has while it is open, tells of it without end, and lives."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.requests = Requests()
        self.asked: asyncio.Queue[None] = asyncio.Queue()

    async def show(self, call: Call[Nothing, None]) -> Reply:
        self.asked.put_nowait(None)
        await self.open.wait()
        return Reply(200, b"{}")

    async def all(self, call: Call[Nothing, None]) -> Reply:
        return Reply(200, b"x" * LARGE)

    async def live(self, call: Call[Nothing, None]) -> Reply:
        return Reply(200, b"{}")

    async def watch(self, call: Call[Nothing, None]) -> Reply:
        return Reply(200, self._parts(), media_type="text/event-stream")

    async def _parts(self) -> AsyncIterator[bytes]:
        for number in count():
            yield b"data: %d\n\n" % number
            await asyncio.sleep(0.01)

    def routes(self) -> list[Route]:
        def get(path: str, handler: Callable[..., Awaitable[Reply]], *, spared: bool = False) -> Route:
            return Route(method="GET", path=path, handler=handler, summary="", returns={200: bytes}, spared=spared)

        return [
            get("/stock", self.show),
            get("/all", self.all),
            get("/stream", self.watch),
            get("/healthz", self.live, spared=True),
        ]


class Client:
    """One connection, byte for byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, path: str, headers: str = "") -> None:
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: shop\r\n{headers}\r\n".encode())
        await self._writer.drain()

    async def told(self) -> tuple[bytes, bytes]:
        """Return the head of an answer, and its body; of one in parts, the head."""
        head = await self.head()
        if b"\r\ncontent-length: " not in head:
            return head, b""
        return head, await self.read(int(head.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]))

    async def head(self) -> bytes:
        async with asyncio.timeout(SECONDS_MAX):
            return await self._reader.readuntil(b"\r\n\r\n")

    async def read(self, length: int) -> bytes:
        async with asyncio.timeout(SECONDS_MAX):
            return await self._reader.readexactly(length)

    async def status(self, path: str) -> int:
        await self.ask(path)
        head, _ = await self.told()
        return int(head.split()[1])

    async def is_over(self) -> bool:
        """Read on until the service closes the connection."""
        async with asyncio.timeout(SECONDS_MAX):
            with contextlib.suppress(ConnectionError):
                while await self._reader.read(1 << 20):
                    pass
            return True

    async def leave(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


Come = Callable[[], Awaitable[Client]]


@pytest.fixture
async def shop() -> Shop:
    return Shop()


@pytest.fixture
async def served(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    monkeypatch.setattr(crowd, "SPARE_CONNECTIONS", SPARE)
    running = Server(build_app(shop.routes(), shop.requests, LIMITS), 0, limits=LIMITS)
    await running.start()
    yield running
    shop.open.set()
    await running.stop()


@pytest.fixture
async def come(served: Server) -> AsyncIterator[Come]:
    clients: list[Client] = []

    async def connect() -> Client:
        clients.append(Client(*await asyncio.open_connection(HOST, served.port, limit=1 << 10)))
        return clients[-1]

    yield connect
    for client in clients:
        await client.leave()


async def fill(shop: Shop, come: Come) -> list[Client]:
    """Have every place in use."""
    clients = [await come() for _ in range(LIMITS.connections)]
    for client in clients:
        await client.ask("/stock")
        await asyncio.wait_for(shop.asked.get(), SECONDS_MAX)
    return clients


async def test_who_is_beyond_the_limit_is_told_when_to_come_again_and_probes_are_answered(
    shop: Shop, come: Come
) -> None:
    waiting = await fill(shop, come)
    late = await come()
    await late.ask("/stock")
    head, body = await late.told()
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1\r\n" in head
    assert b"\r\ncontent-type: application/problem+json" in head
    assert msgspec.json.decode(body) == {
        "type": "urn:sagaplane:problem:service-unavailable",
        "title": "Service unavailable",
        "status": 503,
        "detail": "too many ask at once",
    }
    assert await late.status("/healthz") == 200
    assert await (await come()).status("/healthz") == 200
    assert shop.requests.counts["GET", "/stock", 503] == 1
    shop.open.set()
    for client in waiting:
        assert (await client.told())[0].startswith(b"HTTP/1.1 200 ")
    assert await late.status("/stock") == 200, "the same connection has a place now"


async def test_a_place_is_free_when_its_client_leaves(shop: Shop, come: Come) -> None:
    waiting = await fill(shop, come)
    late = await come()
    assert await late.status("/stock") == 503
    await waiting[0].leave()
    shop.open.set()
    async with asyncio.timeout(SECONDS_MAX):
        while await late.status("/stock") != 200:
            pass


async def test_idle_connections_keep_nobody_out_and_the_longest_idle_goes_first(shop: Shop, come: Come) -> None:
    shop.open.set()
    idle = [await come() for _ in range(LIMITS.connections + SPARE)]
    for client in idle:
        assert await client.status("/stock") == 200
    assert await idle[0].status("/stock") == 200, "the second has been idle longest now"
    assert await (await come()).status("/stock") == 200
    assert await idle[1].is_over()
    assert await idle[0].status("/stock") == 200


async def test_who_says_nothing_keeps_nobody_out(shop: Shop, come: Come) -> None:
    shop.open.set()
    silent = [await come() for _ in range(3 * LIMITS.connections)]
    assert await (await come()).status("/stock") == 200
    assert await silent[0].is_over()


async def test_behind_a_crowd_too_who_says_nothing_keeps_no_probe_out(shop: Shop, come: Come) -> None:
    await fill(shop, come)
    silent = [await come() for _ in range(10 * SPARE)]
    assert await (await come()).status("/healthz") == 200
    assert await silent[0].is_over()
    assert await silent[-1].status("/healthz") == 200


async def test_streams_beyond_their_limit_are_refused_and_end_with_their_clients(shop: Shop, come: Come) -> None:
    watching = [await come() for _ in range(LIMITS.streams)]
    for client in watching:
        assert await client.status("/stream") == 200
    late = await come()
    await late.ask("/stream")
    head, body = await late.told()
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1\r\n" in head
    assert msgspec.json.decode(body)["detail"] == "2 streams are open, and no more may be"
    shop.open.set()
    assert await late.status("/stock") == 200, "other requests have their places"
    await watching[0].leave()
    async with asyncio.timeout(SECONDS_MAX):
        while await late.status("/stream") == 503:
            pass


async def test_a_request_behind_a_stream_does_not_hide_that_its_client_left(come: Come) -> None:
    for _ in range(LIMITS.streams):
        client = await come()
        assert await client.status("/stream") == 200
        await client.ask("/healthz")
        assert b"data: " in await client.read(200)
        await client.leave()
    late = await come()
    async with asyncio.timeout(SECONDS_MAX):
        while await late.status("/stream") == 503:
            pass


async def test_the_heads_of_streams_are_no_streams(served: Server) -> None:
    async with httpx.AsyncClient(base_url=f"http://{HOST}:{served.port}", timeout=SECONDS_MAX) as client:
        assert [(await client.head("/stream")).status_code for _ in range(2 * LIMITS.streams)] == [200] * 4


async def test_an_idle_connection_is_closed_in_time(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "IDLE_SECONDS_MAX", 0.05)
    shop.open.set()
    running = Server(build_app(shop.routes()), 0)
    await running.start()
    client = Client(*await asyncio.open_connection(HOST, running.port))
    assert await client.status("/stock") == 200
    assert await client.is_over()
    await running.stop()
    await client.leave()


async def test_a_service_serves_so_many_at_once_as_is_set_and_can_be_seen_by_all() -> None:
    clock = HandClock()
    few = read(OrderSettings, {"ORDER_PORT": "0", "SAGAPLANE_HTTP_CONNECTIONS": "1", "SAGAPLANE_HTTP_STREAMS": "3"})
    service = order.build(few, MemoryStore(order.TABLES), MemoryLog(clock), clock)
    assert service.http_limits == Limits(connections=1, streams=3)
    async with service, httpx.AsyncClient(base_url=f"http://{HOST}:{service.port}", timeout=SECONDS_MAX) as client:
        reader, writer = await asyncio.open_connection(HOST, service.port)
        writer.write(b"POST /orders HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 100 "), "it waits for the body"
        assert (await client.get("/orders")).status_code == 503
        for path in ("/healthz", "/metrics"):
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/readyz")).json().get("detail") != "too many ask at once"
        writer.close()
        async with asyncio.timeout(SECONDS_MAX):
            while (await client.get("/orders")).status_code != 200:
                pass


def test_a_service_that_is_made_of_settings_has_their_limits() -> None:
    settings = ServiceSettings(http_connections=7, http_streams=2)
    log = MemoryLog(HandClock())
    made = Service.of("x", settings, 0, store=MemoryStore(KIT_TABLES), log=log, contracts=SHOP, clock=HandClock())
    assert made.http_limits == Limits(connections=7, streams=2)


async def stall(come: Come) -> list[Client]:
    """Have every place in use by clients who take the head of a large answer, and nothing else of it."""
    clients = [await come() for _ in range(LIMITS.connections)]
    for client in clients:
        await client.ask("/all")
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")
    return clients


async def test_a_place_is_in_use_until_the_answer_is_taken(shop: Shop, come: Come) -> None:
    shop.open.set()
    stalled = await stall(come)
    late = await come()
    assert await late.status("/stock") == 503
    await stalled[0].read(LARGE)
    async with asyncio.timeout(SECONDS_MAX):
        while await late.status("/stock") != 200:
            pass


async def test_who_leaves_a_little_of_the_last_answer_untaken_keeps_no_place(
    served: Server, shop: Shop, come: Come, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounded = server._Bounded
    made = bounded.connection_made

    def with_large_buffers(its: asyncio.Protocol, transport: asyncio.Transport) -> None:
        made(its, transport)  # type: ignore[arg-type]
        transport.set_write_buffer_limits(2 * LARGE)

    monkeypatch.setattr(bounded, "connection_made", with_large_buffers)
    monkeypatch.setattr(server, "UNTAKEN_SECONDS_MAX", 0.05)
    shop.open.set()
    for client in [await come() for _ in range(LIMITS.connections)]:
        await client.ask("/all", "Connection: close\r\n")
        await client.head()
    late = await come()
    async with asyncio.timeout(SECONDS_MAX):
        while await late.status("/stock") != 200:
            pass


async def test_who_does_not_take_an_answer_keeps_no_place(
    shop: Shop, come: Come, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "UNTAKEN_SECONDS_MAX", 0.05)
    shop.open.set()
    stalled = await stall(come)
    late = await come()
    async with asyncio.timeout(SECONDS_MAX):
        while await late.status("/stock") != 200:
            pass
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await stalled[0].read(LARGE)
