"""`python -m onebox.bench`: print the machine, its limits, and every figure beside what was asked for."""

import argparse
import asyncio
import random
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from onebox.bench.asking import ASKING
from onebox.bench.catchup import CATCHING_UP
from onebox.bench.lag import FOLLOWING
from onebox.bench.limits import limits, machine
from onebox.bench.scenarios import SCENARIOS as SAGAS
from onebox.bench.scenarios import Bench

SCENARIOS = {**SAGAS, **CATCHING_UP, **ASKING, **FOLLOWING}


def main() -> None:
    """Measure what was asked for on the command line; everything by default."""
    parser = argparse.ArgumentParser(prog="python -m onebox.bench", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of: {', '.join(SCENARIOS)} (default: all)")
    parser.add_argument("--orders", type=int, default=100_000, help="how many orders for the throughput figures")
    parser.add_argument(
        "--events", type=int, default=1_000_000, help="how many events for the figures of the analytics"
    )
    parser.add_argument(
        "--without", choices=["analytics"], action="append", default=[], help="leave a service out of the box"
    )
    parser.add_argument("--processes", type=int, default=2, help="over how many processes the services are spread")
    parser.add_argument(
        "--seed", type=int, default=None, help="names the orders; printed, so that a run can be repeated"
    )
    parser.add_argument("--directory", type=Path, default=None, help="where the databases are made (default: here)")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.scenarios if name not in SCENARIOS]:
        parser.error(f"no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    seed = chosen.seed if chosen.seed is not None else random.SystemRandom().randrange(10**6)
    with TemporaryDirectory(prefix="bench-", dir=chosen.directory or Path.cwd()) as directory:
        bench = Bench(Path(directory), chosen.orders, chosen.processes, seed, chosen.events, frozenset(chosen.without))
        asyncio.run(_run(bench, chosen.scenarios or list(SCENARIOS)))


async def _run(bench: Bench, names: Iterable[str]) -> None:
    console = Console()
    facts = Table("", "", title="The machine and its limits", title_justify="left", show_header=False)
    for name, value in [*machine(), *limits(bench.directory), ("seed", str(bench.seed))]:
        facts.add_row(name, value)
    console.print(facts)
    title = f"{bench.processes} processes{', without '.join(['', *sorted(bench.without)])}"
    table = Table("figure", "measured", "asked for", title=title, title_justify="left")
    for name in names:
        print(f"measuring: {name} …", file=sys.stderr, flush=True)
        for row in await SCENARIOS[name](bench):
            table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
