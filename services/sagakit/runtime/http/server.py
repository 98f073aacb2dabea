"""uvicorn as a part of a process, not its master: several in one event loop, no signals, a bounded stop."""

import asyncio
import contextlib
import socket
from collections.abc import Generator
from functools import partial
from typing import Any

import uvicorn
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sagakit.runtime.http.crowd import CROWDED, LIMITS, Limits, Places

HOST = "127.0.0.1"
BACKLOG = 2048
STOP_SECONDS_MAX = 5
START_SECONDS_MAX = 10.0
HEAD_BYTES_MAX = 65_536
HEAD_SECONDS_MAX = 30.0
IDLE_SECONDS_MAX = 10
"""Longer than the five of httpx, so that our clients give an idle connection up before it is closed on them."""
UNTAKEN_SECONDS_MAX = 30.0
"""For so long nothing of an answer may be taken that is larger than the buffers on its way."""
WAITING_REQUESTS_MAX = 100
"""So many requests of one connection may wait for the answers to those before them."""


class PortTakenError(Exception):
    """The address cannot be bound. The text says which; end what holds it, or choose another port."""


class Server:
    """One application at one port. After `start` it answers; after `stop` nothing of it is left."""

    def __init__(
        self,
        app: Any,  # noqa: ANN401 - any ASGI application
        port: int,
        host: str = HOST,
        limits: Limits = LIMITS,
    ) -> None:
        """Serve `app`; port 0 lets the system choose."""
        self.host = host
        self.port = port
        config = uvicorn.Config(
            app,
            loop="none",
            http=partial(_Bounded, Places(limits.connections)),  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=IDLE_SECONDS_MAX,
            timeout_graceful_shutdown=STOP_SECONDS_MAX,
        )
        self._server = _Quiet(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bind and answer.

        Raises:
            PortTakenError: when the address cannot be bound.
        """
        listening = _bind(self.host, self.port)
        self.port = listening.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve([listening]), name=f"http {self.port}")
        async with asyncio.timeout(START_SECONDS_MAX):
            while not self._server.started:
                if self._task.done():
                    await self._task
                await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Answer what has begun, within the time, and close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
            self._task = None


class _Bounded(HttpToolsProtocol):
    """Ends a connection whose head (or whose end of a body) grows or lasts without bound: the parser keeps all of it.

    So it does with one whose answer nobody takes, and with one that rests when there are too many. uvicorn's own
    `limit_concurrency` would not do: it counts idle connections too, and then refuses the probes.
    """

    _unended = 0
    _late: asyncio.TimerHandle | None = None
    _untaken: asyncio.TimerHandle | None = None
    _running: Any = None

    def __init__(self, places: Places, **of_uvicorn: Any) -> None:  # noqa: ANN401 - what uvicorn gives
        super().__init__(**of_uvicorn)
        self._places = places

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._late = self.loop.call_later(HEAD_SECONDS_MAX, self.end)
        self._places.come(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        self._taken()
        self._unset_keepalive_if_required()
        self._places.go(self)
        # uvicorn tells the latest request that its client is gone, which may wait behind the one that runs.
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    @override
    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    @override
    def data_received(self, data: bytes) -> None:
        self._unended += len(data)
        super().data_received(data)
        # What comes of a body that was answered before its end puts off uvicorn's own closing of an idle connection.
        # Before the first request there is no cycle, whatever its type says.
        answered = self.cycle is not None and self.cycle.response_complete  # type: ignore[redundant-expr]
        if self._unended > HEAD_BYTES_MAX and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")
        elif not self._unended and not answered:
            self._in_time()
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS_MAX, self.end)

    @override
    def on_headers_complete(self) -> None:
        self._unended = 0
        if len(self.pipeline) >= WAITING_REQUESTS_MAX:
            self.end()
            return
        if self._places.use(self):
            self.scope["extensions"] = {CROWDED: {}}
        super().on_headers_complete()

    @override
    def on_body(self, body: bytes) -> None:
        self._unended = 0
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        self._unended = 0
        super().on_message_complete()

    @override
    def on_response_complete(self) -> None:
        if self.transport.is_closing():
            self._await_taking()
        else:
            self._rest()
        super().on_response_complete()

    @override
    def send_400_response(self, msg: str) -> None:
        super().send_400_response(msg)
        self._await_taking()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_taking()

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if self.transport.is_closing():
            return
        self._taken()
        if self.cycle.response_complete:
            self._rest()

    @override
    def timeout_keep_alive_handler(self) -> None:
        self.end()

    def end(self) -> None:
        """Close the connection once what was said is taken, or is not in time."""
        self._in_time()
        self._await_taking()
        self.transport.close()

    def _rest(self) -> None:
        if not self.pipeline and not self.flow.write_paused:
            self._places.rest(self)

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _await_taking(self) -> None:
        self._taken()
        left = self.transport.get_write_buffer_size()
        self._untaken = self.loop.call_later(UNTAKEN_SECONDS_MAX, self._end_untaken, left)

    def _end_untaken(self, left: int) -> None:
        if self.transport.get_write_buffer_size() < left:
            self._await_taking()
        else:
            self.transport.abort()

    def _taken(self) -> None:
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None


class _Quiet(uvicorn.Server):
    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
        listening.settimeout(0)
    except OSError as error:
        listening.close()
        raise PortTakenError(f"{host}:{port} cannot be bound: {error.strerror}") from error
    return listening
