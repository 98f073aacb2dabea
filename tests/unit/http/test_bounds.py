"""One client cannot fill the memory of a service, nor keep a place in it for ever."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import httpx
import msgspec
import pytest

from sagakit.runtime.http import app, server
from sagakit.runtime.http.app import LARGE_BODIES_MAX, Requests, build_app
from sagakit.runtime.http.routes import BODY_BYTES_MAX, Call, Input, Nothing, Reply, Route
from sagakit.runtime.http.server import HEAD_BYTES_MAX, HOST, WAITING_REQUESTS_MAX, Server

SECONDS_MAX = 20
LARGE = {"note": "n" * (BODY_BYTES_MAX + 1)}


class Basket(Input, frozen=True, kw_only=True):
    note: str


class Shop:
    """Takes baskets while it is open; counts those in hand."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.begun: asyncio.Queue[int] = asyncio.Queue()
        self.now = self.most = self.shown = 0

    async def take(self, call: Call[Nothing, Basket]) -> Reply:
        self.now += 1
        self.most = max(self.most, self.now)
        self.begun.put_nowait(self.now)
        await self.open.wait()
        self.now -= 1
        return Reply(204)

    async def show(self, call: Call[Nothing, None]) -> Reply:
        self.shown += 1
        await self.open.wait()
        return Reply(204)

    def routes(self) -> list[Route]:
        taken = {"handler": self.take, "method": "POST", "returns": {204: None}, "body": Basket, "summary": "Take"}
        return [
            Route(path="/baskets", **taken),  # type: ignore[arg-type]
            Route(path="/batch", body_bytes_max=2 * BODY_BYTES_MAX, **taken),  # type: ignore[arg-type]
            Route(method="GET", path="/healthz", handler=self.show, returns={204: None}, summary="Lives"),
        ]


class Client:
    """One connection, byte for byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, sent: bytes) -> None:
        self.writer.write(sent)
        await self.writer.drain()

    async def heard(self) -> bytes:
        """Return what comes until the service closes the connection."""
        heard = b""
        while True:
            try:
                part = await asyncio.wait_for(self.reader.read(65_536), SECONDS_MAX)
            except ConnectionError:
                return heard
            if not part:
                return heard
            heard += part

    async def flood(self, part: bytes) -> int:
        """Return how many bytes could be sent before the service closed the connection."""
        sent = 0
        try:
            while sent < 200 * HEAD_BYTES_MAX and not self.reader.at_eof():
                await self.send(part)
                sent += len(part)
                await asyncio.sleep(0)
        except ConnectionError:
            pass
        return sent


Connected = Callable[[], Awaitable[Client]]


@pytest.fixture
async def shop() -> Shop:
    return Shop()


@pytest.fixture
def requests() -> Requests:
    return Requests()


@pytest.fixture
async def served(shop: Shop, requests: Requests) -> AsyncIterator[Server]:
    running = Server(build_app(shop.routes(), requests), 0)
    await running.start()
    yield running
    shop.open.set()
    await running.stop()


@pytest.fixture
async def connected(served: Server) -> AsyncIterator[Connected]:
    """Connect to the service, as often as it is called."""
    clients: list[Client] = []

    async def connect() -> Client:
        clients.append(Client(*await asyncio.open_connection(HOST, served.port)))
        return clients[-1]

    yield connect
    for client in clients:
        client.writer.close()
        with suppress(ConnectionError):
            await client.writer.wait_closed()


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not met():  # noqa: ASYNC110 - what is counted sets no event
            await asyncio.sleep(0.01)


async def lives(served: Server) -> bool:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://{HOST}:{served.port}/healthz")).status_code == 204


HEAD = b"POST /baskets HTTP/1.1\r\nHost: shop\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("begun", "part"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: shop\r\n", b"x: y\r\n" * 1000),
        (b"GET /healthz HTTP/1.1\r\nHost: shop\r\nx: ", b"y" * 6000),
        (b"GET /", b"y" * 6000),
        (CHUNKED + b"0\r\n", b"x: y\r\n" * 1000),
        (CHUNKED + b"1;", b"y" * 6000),
    ],
    ids=["headers", "one header", "the path", "behind a body", "beside a chunk"],
)
async def test_a_head_without_end_closes_its_connection(
    connected: Connected, served: Server, begun: bytes, part: bytes
) -> None:
    client = await connected()
    await client.send(begun)
    # What is under way in the buffers of the two ends is not kept by the service.
    assert await client.flood(part) < 190 * HEAD_BYTES_MAX
    assert await lives(served)


async def test_who_sends_too_large_a_head_is_told(connected: Connected) -> None:
    client = await connected()
    # The last byte is the one too many: were some left unread, the connection would end without the answer.
    begun = b"GET /healthz HTTP/1.1\r\nx: "
    await client.send(begun + b"y" * (HEAD_BYTES_MAX + 1 - len(begun)))
    assert (await client.heard()).startswith(b"HTTP/1.1 400 ")


async def test_a_large_body_in_many_parts_is_no_head(connected: Connected) -> None:
    client = await connected()
    body = msgspec.json.encode({"note": "n" * 200_000})
    for _ in range(3):
        await client.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 10_000):
            await client.send(body[at : at + 10_000])
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204 ")


async def test_requests_before_their_turn_are_bounded(connected: Connected, shop: Shop) -> None:
    shop.open.clear()
    client = await connected()
    await client.send(b"GET /healthz HTTP/1.1\r\nHost: shop\r\n\r\n" * (WAITING_REQUESTS_MAX + 2))
    await client.heard()
    assert shop.shown <= 1


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\nx: "], ids=["nothing", "half a head"])
async def test_a_head_that_does_not_come_in_time_closes_its_connection(
    connected: Connected, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS_MAX", 0.05)
    client = await connected()
    await client.send(begun)
    assert await client.heard() == b""


async def test_half_a_second_request_does_not_keep_its_connection(
    connected: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await connected()
    await client.send(b"GET /healthz HTTP/1.1\r\nHost: shop\r\n\r\n")
    await client.reader.readuntil(b"\r\n\r\n")
    monkeypatch.setattr(server, "HEAD_SECONDS_MAX", 0.05)
    await client.send(b"GET /healthz HTTP/1.1\r\n")
    assert await client.heard() == b""


async def test_a_body_that_was_answered_before_its_end_does_not_keep_its_connection(
    connected: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await connected()
    await client.send(b"GET /healthz HTTP/1.1\r\nHost: shop\r\nContent-Length: 1000000\r\n\r\n")
    await client.reader.readuntil(b"\r\n\r\n")
    monkeypatch.setattr(server, "HEAD_SECONDS_MAX", 0.05)
    await client.send(b"a")
    assert await client.heard() == b""


async def test_an_answer_may_take_longer_than_a_head(
    connected: Connected, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS_MAX", 0.5)
    shop.open.clear()
    client = await connected()
    await client.send(b"GET /healthz HTTP/1.1\r\nHost: shop\r\n\r\n")
    late = await connected()
    assert await late.heard() == b"", "the time is over for whoever said nothing"
    shop.open.set()
    assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204 ")


async def test_a_body_that_does_not_come_in_time_is_refused(
    connected: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "BODY_SECONDS_MAX", 0.05)
    client = await connected()
    await client.send(HEAD + b'Content-Length: 100\r\n\r\n{"note":')
    heard = await client.heard()
    assert heard.startswith(b"HTTP/1.1 408 ")
    assert b"the body did not come within 0.05 seconds" in heard


async def test_who_hangs_up_in_the_middle_of_a_body_is_no_failure_of_ours(
    connected: Connected, requests: Requests, caplog: pytest.LogCaptureFixture
) -> None:
    client = await connected()
    await client.send(HEAD + b'Content-Length: 100\r\n\r\n{"note":')
    client.writer.close()
    await until(lambda: bool(requests.counts))
    assert requests.counts == {("POST", "/baskets", 408): 1}
    assert not caplog.records


async def test_of_large_bodies_only_some_are_in_hand_at_once(connected: Connected, served: Server, shop: Shop) -> None:
    shop.open.clear()
    async with httpx.AsyncClient(base_url=f"http://{HOST}:{served.port}", timeout=SECONDS_MAX) as client:
        asked = [asyncio.create_task(client.post("/batch", json=LARGE)) for _ in range(3 * LARGE_BODIES_MAX)]
        async with asyncio.timeout(SECONDS_MAX):
            for _ in range(LARGE_BODIES_MAX):
                await shop.begun.get()
            small = [asyncio.create_task(client.post(path, json={"note": "n"})) for path in ("/baskets", "/batch")]
            assert [await shop.begun.get() for _ in small] == [LARGE_BODIES_MAX + 1, LARGE_BODIES_MAX + 2]
        shop.open.set()
        statuses = [(await one).status_code for one in (*asked, *small)]
    assert statuses == [204] * len(statuses)
    assert shop.most == LARGE_BODIES_MAX + 2


async def test_who_waits_long_for_a_turn_is_told(served: Server, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.open.clear()
    async with httpx.AsyncClient(base_url=f"http://{HOST}:{served.port}", timeout=SECONDS_MAX) as client:
        asked = [asyncio.create_task(client.post("/batch", json=LARGE)) for _ in range(LARGE_BODIES_MAX)]
        async with asyncio.timeout(SECONDS_MAX):
            for _ in asked:
                await shop.begun.get()
        monkeypatch.setattr(app, "BODY_SECONDS_MAX", 0.05)
        late = await client.post("/batch", json=LARGE)
        assert late.status_code == 503
        assert late.json()["detail"] == f"{LARGE_BODIES_MAX} large bodies are in hand already"
        shop.open.set()
        assert {(await one).status_code for one in asked} == {204}
