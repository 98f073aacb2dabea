"""One process of the box: some services over SQLite, until SIGTERM, Ctrl-C, or the parent is gone."""

import asyncio
import gc
import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from typing_extensions import override

from onebox.wiring import build_services
from sagakit.adapters.sqlite.connection import WrongFileError
from sagakit.ports import LogUnavailableError, StoreUnavailableError
from sagakit.runtime.failpoints import arm_from_environment
from sagakit.runtime.http.server import PortTakenError
from sagakit.runtime.settings import SettingsError

CANNOT_START = 2
STARTED = "started"
GARBAGE_THRESHOLD = 50_000
"""Batches make many short-lived values and few circles: looking for circles less often saves a tenth of the CPU."""


async def serve(names: list[str], data_dir: Path) -> None:
    """Run these services until told to stop; then drain them."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await _when_parent_ends(stop)
    async with build_services(names, data_dir):
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
    data_dir = Path(os.environ["SAGAPLANE_DATA_DIR"])
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("analytics_service.report").setLevel(logging.INFO)
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 100)
    import uvloop

    try:
        arm_from_environment()
    except ValueError as error:
        _cannot_start(error)
    try:
        uvloop.run(serve(sys.argv[1:], data_dir))
    except (PortTakenError, SettingsError, StoreUnavailableError, LogUnavailableError, WrongFileError) as error:
        _cannot_start(error)


def _cannot_start(error: Exception) -> NoReturn:
    """End with one line instead of a traceback."""
    print(f"sagaplane: {error}", file=sys.stderr)
    raise SystemExit(CANNOT_START) from None


if __name__ == "__main__":
    main()
