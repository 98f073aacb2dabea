"""Running the shop on this machine for development; what happened is kept until the next start."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onebox.output import Output
from onebox.session import start

if TYPE_CHECKING:
    from onebox.layout import Layout

PROCESSES_MAX = 5


def dev(
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Where the data is kept; by default in your data home.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin with nothing: empty the data directory.")] = False,
    processes: Annotated[
        int, typer.Option("--processes", "-p", min=1, max=PROCESSES_MAX, help="Spread the services over so many.")
    ] = 1,
    empty: Annotated[bool, typer.Option("--empty", help="Put no stock on the shelves.")] = False,
) -> None:
    """Run every service on this machine until Ctrl-C."""
    start(lambda: run_dev(Output(), data_dir, processes, fresh=fresh, empty=empty))


async def run_dev(out: Output, data_dir: Path | None, processes: int, *, fresh: bool, empty: bool) -> None:
    """Run a box until somebody ends it."""
    from onebox.hosting import hosted, stock_up, until_ended
    from onebox.layout import Layout
    from onebox.premises import default_data_dir, held, require_ports

    layout = Layout()
    require_ports(layout)
    with held(data_dir or default_data_dir(os.environ), fresh=fresh) as directory:
        out.note(f"starting the services in {directory} …")
        async with hosted(directory, layout, processes) as (box, shop):
            if not empty:
                await stock_up(shop)
            out.say(welcome(layout))
            await until_ended(box)
    out.note("stopped; the data is kept")


def welcome(layout: "Layout") -> str:
    """Return where the services are, and three commands to go on with."""
    from onebox.layout import SERVICES

    return "\n".join(
        [
            *(f"  {name + '-service':<22}{layout.url(name)}/docs" for name in SERVICES),
            f"  {'dashboard':<22}{layout.url('analytics')}/",
            "",
            "✔ ready, for this machine only; Ctrl-C ends it. Next, in another terminal:",
            "  sagactl submit --item prod-1:2:9.99 --count 10 --wait",
            "  sagactl list",
            "  sagactl audit",
        ]
    )
