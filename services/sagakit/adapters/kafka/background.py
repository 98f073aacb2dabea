"""An event loop in a thread of its own, so that whoever lives is heard while the service's loop is busy."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from sagakit.adapters.kafka.connection import new_client, start, stop
from sagakit.adapters.kafka.settings import KafkaSettings

T = TypeVar("T")

STOP_SECONDS = 5.0


class Background:
    """The loop, its thread and its client; nothing runs before something is asked for."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Start nothing yet."""
        self._settings = settings
        self.closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._client: Any = None
        self._connecting: asyncio.Lock | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Have the work done there, and return what it will return."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="kafka groups", daemon=True)
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, notice: Callable[[], object]) -> None:
        """Have a short notice heard there."""
        if self._loop is not None and not self.closed:
            self._loop.call_soon_threadsafe(notice)

    async def client(self) -> Any:  # noqa: ANN401 - aiokafka has no types
        """Return the client of that loop, connected.

        Raises:
            LogUnavailableError: when no broker answers.
        """
        if self._connecting is None:
            self._connecting = asyncio.Lock()
        async with self._connecting:
            if self._client is None:
                client = new_client(self._settings, "groups", request_seconds=3 * self._settings.session_seconds + 5)
                try:
                    await start(client, self._settings)
                except BaseException:
                    await stop(client)
                    raise
                self._client = client
        return self._client

    async def close(self) -> None:
        """Close the client and end the thread."""
        if self._loop is None or self.closed:
            return
        await asyncio.wrap_future(self.run(self._close_client()))
        self.closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        assert self._thread is not None
        await asyncio.to_thread(self._thread.join, STOP_SECONDS)
        self._loop.close()

    async def _close_client(self) -> None:
        if self._client is not None:
            await stop(self._client)
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
