"""How a command runs: the shop is opened, the work is done, and what goes wrong becomes two lines and an exit code."""

import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar

import typer

from onebox.errors import ExitCode, Failure
from onebox.output import Format, Output
from sagakit.runtime.plain import plain

if TYPE_CHECKING:
    from onebox.client import Shop

Work = Callable[["Shop", Output], Awaitable[None]]


class Reach:
    """How commands reach a shop, and what their program is called: sagactl, and the shop that the environment names."""

    program: ClassVar[str] = "sagactl"

    def shop(self) -> "Shop":
        """Return the shop."""
        from onebox.client import Shop
        from onebox.settings import ctl_settings

        return Shop(ctl_settings())

    def output(self, form: Format) -> Output:
        """Return where a command prints."""
        return Output(form)

    def worded(self, text: str) -> str:
        """Return the text with the program's own name before the commands that it names."""
        return text


REACH: ContextVar[Reach] = ContextVar("reach")
"""Set by a program that reaches the shop otherwise, for as long as its command takes."""


def run(work: Work, output: Format = Format.TABLE) -> None:
    """Do a command's work against the shop that is reached."""
    start(lambda: _with_shop(work, output))


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
        if os.environ.get("SAGACTL_DEBUG") or isinstance(error, typer.Exit | typer.Abort | typer.BadParameter):
            raise
        program = _reach().program
        bug = f"{program} made a mistake: {type(error).__name__}: {' '.join(str(error).split())}"
        sys.stderr.write(f"error: {bug}\n  run it again with SAGACTL_DEBUG=1 and report what it prints\n")
        raise typer.Exit(ExitCode.BUG) from None


def report(failure: Failure) -> ExitCode:
    """Tell a person the cause and the remedy, a line each, and return the exit code."""
    sys.stderr.write(f"error: {plain(failure.cause)}\n")
    if failure.remedy:
        sys.stderr.write(f"  {plain(_reach().worded(failure.remedy))}\n")
    return failure.code


async def _with_shop(work: Work, output: Format) -> None:
    reach = _reach()
    async with reach.shop() as shop:
        await work(shop, reach.output(output))


def _reach() -> Reach:
    return REACH.get(Reach())
