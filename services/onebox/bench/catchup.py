"""How fast the analytics catch up with a log, what each part costs, and what the machine allows."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from analytics_service.summing import Part
from onebox.bench.catching_up import ALL, DECODE, DESK, JOINED, Caught
from onebox.bench.duck import counted_by_duckdb, write_lines
from onebox.bench.events import Traffic
from onebox.bench.load import LoadError
from onebox.bench.prepared import log_of, serving
from onebox.bench.scenarios import Bench, Lines

RUNS = 3
PART_EVENTS = 200_000
"""So many for the figure of each part; the figure of all together is over as many as were asked for."""

NAMES: dict[str, str] = {
    JOINED: "the joined orders alone",
    **{part: f"joined orders and {part}" for part in Part},
    DESK: "high values alone (of orders.events)",
    DECODE: "limit: fetched and decoded only",
}


async def catch_up(bench: Bench) -> Lines:
    """Catch up with a log in one process: everything together, each part by itself, and the limits."""
    whole = await log_of(bench, Traffic(seed=bench.seed, events=bench.events))
    runs = [await caught(bench, whole, ALL) for _ in range(RUNS)]
    lines = [
        (f"events/s, catching up with {bench.events:,}", _rates(runs), "at least 50,000 (aim 100,000)"),
        ("  CPU per event", _costs(runs), ""),
    ]
    few = Traffic(seed=bench.seed, events=min(PART_EVENTS, bench.events))
    succeeding = await log_of(bench, replace(few, payment_succeeds=1.0, inventory_succeeds=1.0))
    runs = [await caught(bench, succeeding, ALL) for _ in range(RUNS)]
    lines.append(("  the same, all orders succeed", f"{_rates(runs)}, {_costs(runs)}", ""))
    log = await log_of(bench, few)
    for part, name in NAMES.items():
        runs = [await caught(bench, log, part) for _ in range(RUNS)]
        lines.append((f"  {name}", f"{_rates(runs)}, {_costs(runs)}", ""))
    return [*lines, *await _duckdb(bench, log)]


async def flat(bench: Bench) -> Lines:
    """Look whether an event costs more when there were many before it."""
    log = await log_of(bench, Traffic(seed=bench.seed, events=bench.events))
    done = await caught(bench, log, ALL)
    lines = [
        (f"CPU per event, the last 100,000 of {int(end):,}", f"{cost:.1f} µs", "no growth")
        for end, cost in done.tails.items()
    ]
    return [*lines, (f"events/s over {done.events:,}", f"{done.events / done.seconds:,.0f}", "")]


async def rebuild(bench: Bench) -> Lines:
    """Let the service build another version from the start of the log, until it is live."""
    log = await log_of(bench, Traffic(seed=bench.seed, events=bench.events))
    async with serving(bench, log) as service:
        first = await service.until_live(1)
        (await service.client.post("/analytics/versions")).raise_for_status()
        again = await service.until_live(2)
    return [
        (f"{bench.events:,} events, first counted by the service", f"{first:.1f} s", ""),
        (f"{bench.events:,} events, rebuilt and live", f"{again:.1f} s", "under 30 s for 1,000,000"),
    ]


async def caught(bench: Bench, log: Path, *parts: str) -> Caught:
    """Catch up in a process of its own."""
    with TemporaryDirectory(dir=bench.directory) as directory:
        command = (sys.executable, "-m", "onebox.bench.catching_up", str(log), directory, *parts)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        told, _ = await process.communicate()
    if process.returncode:
        raise LoadError(f"catching up ended with exit code {process.returncode}; its last lines say why")
    return msgspec.json.decode(told, type=Caught)


async def _duckdb(bench: Bench, log: Path) -> Lines:
    """Let DuckDB count orders, confirmed ones, and revenue per minute of the same events, from JSON lines."""
    lines = bench.directory / "events.jsonl"
    events = await write_lines(log, lines)
    runs = [counted_by_duckdb(lines) for _ in range(RUNS)]
    return [("  limit: DuckDB counting JSON lines, all cores", _spread(events / seconds for seconds in runs), "")]


def _rates(runs: Sequence[Caught]) -> str:
    return _spread(run.events / run.seconds for run in runs)


def _costs(runs: Sequence[Caught]) -> str:
    costs = sorted(run.cpu_seconds / run.events * 1e6 for run in runs)
    return f"{costs[0]:.1f} to {costs[-1]:.1f} µs"


def _spread(rates: Iterable[float]) -> str:
    ordered = sorted(rates)
    return f"{ordered[0]:,.0f} to {ordered[-1]:,.0f}/s"


CATCHING_UP: dict[str, Callable[[Bench], Awaitable[Lines]]] = {
    "analytics-catchup": catch_up,
    "analytics-flat": flat,
    "analytics-rebuild": rebuild,
}
