"""How a command runs: the shop is opened, the work is done, and what goes wrong becomes two lines and an exit code."""

import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import typer

from onebox.errors import ExitCode, Failure
from onebox.output import Format, Output

if TYPE_CHECKING:
    from onebox.client import Shop

Work = Callable[["Shop", Output], Awaitable[None]]


def run(work: Work, output: Format = Format.TABLE) -> None:
    """Do a command's work against the shop that the environment names."""
    start(lambda: _with_shop(work, Output(output)))


def start(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do the work in an event loop of its own; a failure is reported and becomes the exit code."""

    def in_a_loop() -> None:
        import asyncio

        asyncio.run(work())

    guarded(in_a_loop)


def guarded(work: Callable[[], None]) -> None:
    """Do the work; a failure is reported and becomes the exit code. No traceback, unless SAGACTL_DEBUG asks for it.

    Raises:
        Exit: with the code, when the work failed.
    """
    try:
        work()
        sys.stdout.flush()
    except Failure as failure:
        raise typer.Exit(report(failure)) from None
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except BrokenPipeError:
        # Python flushes standard output once more when it ends; there is nobody left to read it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.PIPE_CLOSED) from None
    except Exception as error:  # the outermost place: a person gets a sentence
        if os.environ.get("SAGACTL_DEBUG") or isinstance(error, typer.Exit | typer.Abort):
            raise
        bug = f"sagactl made a mistake: {type(error).__name__}: {' '.join(str(error).split())}"
        sys.stderr.write(f"error: {bug}\n  run it again with SAGACTL_DEBUG=1 and report what it prints\n")
        raise typer.Exit(ExitCode.BUG) from None


def report(failure: Failure) -> ExitCode:
    """Tell a person the cause and the remedy, a line each, and return the exit code."""
    sys.stderr.write(f"error: {failure.cause}\n")
    if failure.remedy:
        sys.stderr.write(f"  {failure.remedy}\n")
    return failure.code


async def _with_shop(work: Work, output: Output) -> None:
    from onebox.client import Shop
    from onebox.settings import ctl_settings

    async with Shop(ctl_settings()) as shop:
        await work(shop, output)
