"""A service as a process: settings shown at start, SIGTERM and Ctrl-C heard, a wrong setting told in one line."""

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable

import msgspec
import uvloop

from sagakit.runtime.http.server import PortTakenError
from sagakit.runtime.settings import SettingsError, shown

USAGE = 2

log_lines = logging.getLogger(__name__)


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run the process; what its operator can mend is told without a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)

    async def whole() -> None:
        await main()

    try:
        uvloop.run(whole())
    except (SettingsError, PortTakenError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one line
        sys.exit(USAGE)


async def until_told_to_stop(settings: msgspec.Struct) -> None:
    """Show the settings, and wait for SIGTERM or Ctrl-C."""
    log_lines.info("%s", shown(settings))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
