"""The platform live: rates, sagas by phase, the oldest and the stuck, and what waits in each service."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from onebox.commands.options import OutputOption
from onebox.errors import Failure, Unreachable
from onebox.output import Format, Output
from onebox.session import run
from sagakit.runtime.plain import plain

if TYPE_CHECKING:
    from onebox.client import Shop
    from onebox.overview import Look

LOOK_SECONDS = 2.0
LOOK_SECONDS_MIN, LOOK_SECONDS_MAX = 0.1, 3600.0
ANSWER_SECONDS_MAX = 5.0
"""How long a picture waits for one service: it shows the others, whatever that one does."""
FIXED = frozenset({"dumb", "unknown"})
"""Terminals, by $TERM, on which nothing can be written over: a picture that lives would be shown at its end."""


def top(
    *,
    once: Annotated[bool, typer.Option("--once", help="Look twice, print a picture and end, as into a pipe.")] = False,
    every: Annotated[
        float,
        typer.Option("--every", min=LOOK_SECONDS_MIN, max=LOOK_SECONDS_MAX, help="Seconds between two looks."),
    ] = LOOK_SECONDS,
    output: OutputOption = Format.TABLE,
) -> None:
    """Watch how the platform does, until Ctrl-C: rates, phases, the oldest, the stuck, lag, outbox and dead letters.

    It reads /metrics of the services. Where a service has several instances, it is that of the one that answers.
    """
    run(lambda shop, out: watch(shop, out, every, once=once), output)


async def watch(shop: "Shop", out: Output, every_seconds: float, *, once: bool) -> None:
    """Show the platform until Ctrl-C; once, where nobody watches, nothing can be written over or that was asked for.

    Raises:
        Unreachable: when no service answers, and one picture was asked for.
    """
    if once or not out.for_people or not sys.stdout.isatty() or os.environ.get("TERM") in FIXED:
        await show_once(shop, out, every_seconds)
        return
    import asyncio
    import signal

    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as live:
        watching = asyncio.create_task(
            pictures(shop, lambda text: live.update(Text(plain(text), no_wrap=True), refresh=True), every_seconds)
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, watching.cancel)
        with suppress(asyncio.CancelledError):
            await watching


async def show_once(shop: "Shop", out: Output, every_seconds: float) -> None:
    """Print one picture, with the rates since a look before it.

    Raises:
        Unreachable: when no service answers.
    """
    import asyncio

    from onebox.overview import frame, overview

    before = await _heard(shop)
    await asyncio.sleep(every_seconds)
    seen = overview(await _heard(shop), before)
    out.one(seen, seen.at.isoformat(), lambda: frame(seen))


async def _heard(shop: "Shop") -> "Look":
    found = await look(shop)
    if found.silent:
        causes = [str(cause) for cause in found.told.values()]
        raise Unreachable(f"no service answers; {causes[0]}", "start them with `sagactl dev`, or ask `sagactl doctor`")
    return found


async def pictures(shop: "Shop", show: Callable[[str], None], every_seconds: float = LOOK_SECONDS) -> None:
    """Show a picture again and again, also while services are away; it ends by being cancelled."""
    import asyncio

    from onebox.overview import frame, overview

    before = None
    while True:
        seen = await look(shop)
        show(f"{frame(overview(seen, before))}\n\nCtrl-C ends it")
        before = seen
        await asyncio.sleep(every_seconds)


async def look(shop: "Shop") -> "Look":
    """Return what every service tells now."""
    import asyncio
    from datetime import UTC, datetime

    from onebox.exposition import Measure, measures
    from onebox.overview import Look

    async def told(service: str) -> list[Measure] | str:
        try:
            async with asyncio.timeout(seconds):
                return await measures(shop, service)
        except Failure as failure:
            return failure.cause
        except TimeoutError:
            return f"the {service} service did not answer within {seconds:g} s"

    services, seconds = [*shop.settings.urls], min(shop.settings.timeout_seconds, ANSWER_SECONDS_MAX)
    answers = await asyncio.gather(*(told(service) for service in services))
    return Look(datetime.now(UTC), dict(zip(services, answers, strict=True)))
