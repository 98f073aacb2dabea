"""A process from its first line to its last: settings shown, signals heard, a bounded drain, one line when it fails."""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import NoReturn

import msgspec
import uvloop

from sagakit.adapters.sqlite import WrongFileError
from sagakit.hosting.adapters import Adapters, named, opened
from sagakit.hosting.logs import JsonLines, configure
from sagakit.ports import LogUnavailableError, StoreUnavailableError
from sagakit.runtime.failpoints import arm_from_environment
from sagakit.runtime.http.server import PortTakenError
from sagakit.runtime.service import Service
from sagakit.runtime.settings import SettingsError, read, shown

USAGE = 2
GARBAGE_THRESHOLD = 50_000
"""Batches make many short-lived values and few circles: looking for circles less often saves a tenth of the CPU."""
TOLD = (SettingsError, PortTakenError, StoreUnavailableError, LogUnavailableError, WrongFileError)
"""What the operator of a process can mend."""

log_lines = logging.getLogger(__name__)

Host = Callable[[Adapters], Awaitable[Service]]
"""How a service is built from its settings and the adapters."""


class CannotStartError(Exception):
    """The process cannot start. The text is the one line that says why, and what to do."""


def run(host: Host, topics: Iterable[str], settings: type[msgspec.Struct]) -> None:
    """Run one service until SIGTERM or Ctrl-C, and end the process; a start that fails ends it with exit code 2."""
    try:
        log_as(host.__module__.partition("_service")[0], os.environ)
        tune()
        uvloop.run(serve(host, topics, settings, os.environ))
    except CannotStartError as error:
        cannot_start(error)


async def serve(
    host: Host, topics: Iterable[str], settings: type[msgspec.Struct], environment: Mapping[str, str]
) -> None:
    """Run one service until SIGTERM or Ctrl-C.

    Raises:
        CannotStartError: with the one line that says why.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with opened(environment, topics) as adapters:
            for its in (adapters.settings, read(settings, adapters.environment)):
                log_lines.info("%s", shown(its))
            service = adapters.watch(await host(adapters))
            async with service:
                log_lines.info("%s answers at %s:%d", service.title, service.host, service.port)
                await stop.wait()
                log_lines.info("%s drains", service.title)
    except TOLD as error:
        raise CannotStartError(str(error)) from error


def log_as(service: str, environment: Mapping[str, str], level: int = logging.INFO) -> None:
    """Log as this service; where machines read its lines, an error that ends it is one too.

    Raises:
        CannotStartError: when the environment asks for what there is not.
    """
    try:
        configure(service, named(environment).get("SAGAPLANE_INSTANCE", "0"), environment, level=level)
    except SettingsError as error:
        raise CannotStartError(str(error)) from error
    if _machines_read():
        sys.excepthook = _crashed
        threading.excepthook = lambda told: _crashed(told.exc_type, told.exc_value, told.exc_traceback)


def quiet_libraries() -> None:
    """Log our own lines, and of others what is wrong; for commands, whose lines are read by people."""
    configure("sagactl", "0", {"SAGAPLANE_LOG_FORMAT": "text"})


def tune() -> None:
    """Arm the failpoints that the environment names, and look for garbage less often.

    Raises:
        CannotStartError: when it names none.
    """
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 100)
    try:
        arm_from_environment()
    except ValueError as error:
        raise CannotStartError(str(error)) from error


def cannot_start(error: Exception) -> NoReturn:
    """End with one line instead of a traceback: an event of the log, or a sentence where people read."""
    if _machines_read():
        log_lines.critical("cannot start: %s", error)
    else:
        print(f"sagaplane: {error}", file=sys.stderr)  # noqa: T201 - the one line
    raise SystemExit(USAGE) from None


def _machines_read() -> bool:
    """Tell whether every line is JSON; before the log is set up, none is."""
    return any(isinstance(each.formatter, JsonLines) for each in logging.getLogger().handlers)


def _crashed(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """Say what nobody caught; Ctrl-C is no crash, and a thread that exits ends nothing."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error or kind(), trace)
    elif not issubclass(kind, SystemExit):
        log_lines.critical("ended by an error that nobody caught", exc_info=(kind, error or kind(), trace))
