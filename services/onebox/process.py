"""One process of the box: some services over SQLite, until SIGTERM, Ctrl-C, or the parent is gone."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from onebox.wiring import build_services


async def serve(names: list[str], data_dir: Path) -> None:
    """Run these services until told to stop; then drain them."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await _when_parent_ends(stop)
    async with build_services(names, data_dir):
        await stop.wait()


async def _when_parent_ends(stop: asyncio.Event) -> None:
    """Stop when the pipe from the parent closes; a process started by hand, without a pipe, goes on."""
    if sys.stdin is None or sys.stdin.isatty():
        return

    class Pipe(asyncio.Protocol):
        def eof_received(self) -> None:
            stop.set()

        def connection_lost(self, exc: Exception | None) -> None:
            del exc
            stop.set()

    await asyncio.get_running_loop().connect_read_pipe(Pipe, sys.stdin)


def main() -> None:
    """Run the services named on the command line."""
    data_dir = Path(os.environ["SAGAPLANE_DATA_DIR"])
    import uvloop  # noqa: PLC0415 - only a process that serves needs it

    uvloop.run(serve(sys.argv[1:], data_dir))


if __name__ == "__main__":
    main()
