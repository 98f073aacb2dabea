"""uvicorn as a part of a process, not its master: several in one event loop, no signals, a bounded stop."""

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Any

import uvicorn
from typing_extensions import override

HOST = "127.0.0.1"
BACKLOG = 2048
STOP_SECONDS_MAX = 5
START_SECONDS_MAX = 10.0


class PortTakenError(Exception):
    """The address cannot be bound. The text says which; end what holds it, or choose another port."""


class Server:
    """One application at one port. After `start` it answers; after `stop` nothing of it is left."""

    def __init__(self, app: Any, port: int, host: str = HOST) -> None:  # noqa: ANN401 - any ASGI application
        """Serve `app`; port 0 lets the system choose."""
        self.host = host
        self.port = port
        config = uvicorn.Config(
            app,
            loop="none",
            http="httptools",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
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
