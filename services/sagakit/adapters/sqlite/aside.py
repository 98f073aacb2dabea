"""A thread that waits for the disk, so that the event loop need not.

The standard executor does the same for twice the price: it makes a second future for another thread to wait on.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import NamedTuple


class _Call(NamedTuple):
    function: Callable[[], object]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class Aside:
    """One thread, which makes one call after the other."""

    def __init__(self, name: str) -> None:
        """Start the thread. It does not keep the process alive: what it is about may be cut off anywhere."""
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def call(self, function: Callable[[], object]) -> None:
        """Return once the function has returned over there; raise what it raised."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._calls.put(_Call(function, loop, done))
        await done

    def close(self) -> None:
        """End the thread after what it was given."""
        self._calls.put(None)
        self._thread.join()

    def _run(self) -> None:
        while call := self._calls.get():
            error: BaseException | None = None
            try:
                call.function()
            except BaseException as caught:  # noqa: BLE001 - raised again on the other side
                error = caught
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
                call.loop.call_soon_threadsafe(_settle, call.done, error)


def _settle(done: asyncio.Future[None], error: BaseException | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
