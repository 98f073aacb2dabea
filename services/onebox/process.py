"""One process of the box: some services over SQLite, until SIGTERM, Ctrl-C, or the parent is gone."""

import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress

from typing_extensions import override

from onebox.wiring import build_services
from sagakit.hosting import CannotStartError
from sagakit.hosting.process import TOLD, cannot_start, log_as, tune

STARTED = "started"


async def serve(names: list[str]) -> None:
    """Run these services until told to stop; then drain them."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await _when_parent_ends(stop)
    async with build_services(names):
        with suppress(BrokenPipeError):
            print(STARTED, flush=True)
        await stop.wait()


async def _when_parent_ends(stop: asyncio.Event) -> None:
    """Stop when the pipe from the parent closes; a process started by hand, without a pipe, goes on."""
    if sys.stdin is None or sys.stdin.isatty():
        return

    class Pipe(asyncio.Protocol):
        @override
        def eof_received(self) -> None:
            stop.set()

        @override
        def connection_lost(self, exc: Exception | None) -> None:
            del exc
            stop.set()

    await asyncio.get_running_loop().connect_read_pipe(Pipe, sys.stdin)


def main() -> None:
    """Run the services named on the command line."""
    import uvloop

    try:
        log_as("+".join(sys.argv[1:]), os.environ, logging.WARNING)
        logging.getLogger("analytics_service.report").setLevel(logging.INFO)
        tune()
        uvloop.run(serve(sys.argv[1:]))
    except (CannotStartError, *TOLD) as error:
        cannot_start(error)


if __name__ == "__main__":
    main()
