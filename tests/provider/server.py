"""A provider over real connections, in a thread with a loop of its own, that misbehaves as it is told."""

import asyncio
import contextlib
import enum
import json
import re
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from tests.provider.books import Asked, Books, Json

T = TypeVar("T")
BOUND_SECONDS = 10.0
HEADER = re.compile(rb"^([^:\r\n]+): *(.*?)\r?$", re.MULTILINE)


class Fault(enum.Enum):
    """What becomes of a request. Some act and do not say so, some do not act, and nobody can tell which."""

    SLOW = "acts, and answers a little later"
    BREAKS = "acts, and breaks off in the middle of the body"
    SILENT = "acts, and closes before it answers"
    HANGS = "acts, and never answers"
    TRICKLES = "acts, and answers a byte at a time, for ever"
    GARBAGE = "acts, and answers what is no JSON"
    STRANGE = "acts, and answers JSON of another kind"
    MISTAKEN = "acts, and answers about something else"
    FLOODS = "acts, and answers more than anybody reads"
    LOST = "acts, and a proxy in front of it says 502"
    DOUBLED = "acts twice, for the request was sent on twice"
    TWICE = "acts, and answers twice"
    CLOSES = "does not act, and closes"
    STALLS = "does not act, and never answers"
    FAILS = "does not act, and says 500"
    FAILS_FOR_GOOD = "does not act, and says 500 to this key ever after"
    LIMITS = "does not act, and says 429"
    IN_USE = "does not act, and says 409 for the key is in use"
    LATE = "closes, and acts much later"


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer as bytes."""

    status: int
    body: bytes
    headers: str = ""

    def on_the_wire(self) -> bytes:
        head = f"HTTP/1.1 {self.status} So\r\nContent-Type: application/json\r\nContent-Length: {len(self.body)}\r\n"
        return f"{head}{self.headers}\r\n".encode() + self.body


ANOTHER = b'{"id": "pi_of_another", "object": "payment_intent", "status": "succeeded", "metadata": {}}'
Plan = Callable[[Asked], Fault | None]
Hear = Callable[[Asked], tuple[int, Json]]


class Server:
    """Serves the books; `plan` is asked for every request what becomes of it."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.hear: Hear = books.hear
        self.plan: Plan = fine
        self.retry_after = "0"
        self.late: list[Asked] = []
        self.busy = 0
        self.busiest = 0
        self.connections = 0
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="provider")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fails(self, fault: Fault, what: str = "", times: int = 1) -> None:
        """Misbehave so for so many requests whose method and path end with `what`, then be well."""
        left = [fault] * times

        def plan(asked: Asked) -> Fault | None:
            return left.pop() if left and f"{asked.method} {asked.path}".endswith(what) else None

        self.plan = plan

    def be_well(self) -> None:
        self.plan = fine

    def deliver(self) -> None:
        """Let what was held back on the way arrive now."""

        async def work() -> None:
            held, self.late = self.late, []
            for asked in held:
                self.hear(asked)

        self._run(work())

    def appear(self) -> None:
        """Listen, on the same port as before."""
        self._run(self._listen())

    def vanish(self) -> None:
        """Refuse connections, and break those that are."""
        self._run(self._close())

    def start(self) -> None:
        self._thread.start()
        self.appear()

    def stop(self) -> None:
        self.vanish()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(BOUND_SECONDS)
        assert not self._thread.is_alive()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(BOUND_SECONDS)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._answer(await read(reader), reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.transport.abort() if task.cancelling() else writer.close()

    async def _answer(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; tell whether the connection lives on."""
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            return await self._misbehave(self.plan(asked), asked, reader, writer)
        finally:
            self.busy -= 1

    async def _misbehave(
        self, fault: Fault | None, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if fault is Fault.LATE:
            self.late.append(asked)
        if fault in (Fault.CLOSES, Fault.LATE):
            return False
        if fault is Fault.STALLS:
            await reader.read()
            return False
        answer = self._act(fault, asked)
        wire = answer.on_the_wire()
        if fault is Fault.SILENT:
            return False
        if fault is Fault.HANGS:
            await reader.read()
            return False
        if fault is Fault.SLOW:
            await asyncio.sleep(0.02)
        if fault is Fault.TRICKLES:
            await trickle(writer, reader, wire)
            return False
        if fault is Fault.BREAKS:
            writer.write(wire[: -len(answer.body) // 2])
            await writer.drain()
            return False
        writer.write(wire * 2 if fault is Fault.TWICE else wire)
        await writer.drain()
        return True

    def _act(self, fault: Fault | None, asked: Asked) -> Raw:
        match fault:
            case Fault.FAILS:
                return Raw(500, b'{"error": {"type": "api_error"}}')
            case Fault.LIMITS:
                return Raw(429, b'{"error": {"code": "rate_limit"}}', f"Retry-After: {self.retry_after}\r\n")
            case Fault.IN_USE:
                return Raw(409, b'{"error": {"type": "idempotency_error", "code": "idempotency_key_in_use"}}')
            case Fault.FAILS_FOR_GOOD:
                status, body = self.books.fail_for_good(asked)
                return Raw(status, json.dumps(body).encode(), "Stripe-Should-Retry: false\r\n")
            case _:
                return self._act_on(fault, asked)

    def _act_on(self, fault: Fault | None, asked: Asked) -> Raw:
        if fault is Fault.DOUBLED:
            self.hear(asked)
        answer = raw(*self.hear(asked))
        match fault:
            case Fault.GARBAGE:
                return Raw(200, b"<html>Welcome to the hotel's network</html>")
            case Fault.STRANGE:
                return Raw(200, b'{"object": "list", "data": []}')
            case Fault.MISTAKEN:
                return Raw(200, ANOTHER)
            case Fault.FLOODS:
                return Raw(200, answer.body + b" " * 2_000_000)
            case Fault.LOST:
                return Raw(502, b"<html>Bad gateway</html>")
            case _:
                return answer


def fine(asked: Asked) -> Fault | None:
    """Be well."""
    del asked
    return None


def raw(status: int, body: Json) -> Raw:
    return Raw(status, json.dumps(body).encode())


async def trickle(writer: asyncio.StreamWriter, reader: asyncio.StreamReader, wire: bytes) -> None:
    """Send the answer but for its end, and then blanks in its place, until the other side has enough of it."""
    writer.write(wire.replace(b"Content-Length: ", b"Content-Length: 99")[:-1])
    gone = asyncio.create_task(reader.read())
    while not gone.done():
        writer.write(b" ")
        await asyncio.wait([gone], timeout=0.02)


async def read(reader: asyncio.StreamReader) -> Asked:
    """Read one request."""
    head = await reader.readuntil(b"\r\n\r\n")
    method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    headers = {name.lower(): value.decode() for name, value in HEADER.findall(head)}
    body = await reader.readexactly(int(headers.get(b"content-length", "0")))
    form = dict(parse_qsl(body.decode()))
    return Asked(method, path, headers.get(b"idempotency-key", ""), form, headers.get(b"authorization", ""))


@contextmanager
def serving(books: Books | None = None) -> Iterator[Server]:
    """Run a server for a while."""
    server = Server(books or Books())
    server.start()
    try:
        yield server
    finally:
        server.stop()
