"""What seeing costs: CPU of one shop under one steady load, while more and less is seen of it, in turn.

The rate is the same for all and below what the machine can carry: what a saga costs depends on how many share a batch.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Self

from onebox.bench.collector import Collector, collector
from onebox.bench.load import Load
from onebox.bench.paired import ROUNDS_MIN, Change
from onebox.bench.real_shop import RealBench, used
from onebox.bench.scenarios import ALL_SUCCEED, Lines
from onebox.bench.servers import SERVERS
from onebox.bench.switched import Seeing, SwitchedBox, turn
from onebox.box import Box
from onebox.exposition import OPENMETRICS, read
from sagakit.runtime.catalogue import SPANS, SPANS_DROPPED

PLACING_SECONDS = 10
"""How long orders are placed for one figure of a round."""
SPANS_SECONDS = 2.0
"""Twice as long as a span waits until it is sent."""
IDLE_SECONDS = 5.0
SCRAPE_SECONDS = 5.0
"""As Prometheus does it in compose; twice while orders are placed."""
SCRAPES = 40
"""How many are measured by themselves, with nothing else going on."""
REQUESTS_PER_SECOND = 10
BARS = {0.01: 0.03, 1.0: 0.35}
"""The share of sagas that is traced → what that may cost our processes beyond what they use without."""
METRICS_BAR = 0.03


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to see the shop, with what it may cost beyond the first."""

    name: str
    seeing: Seeing
    bar: float | None = None
    scraped: bool = False


@dataclass(frozen=True, slots=True)
class Used:
    """What was used in one round for each saga, in seconds of CPU; `others` are cores busy with what is not known.

    From the last order on, what our processes use with nothing to do is taken off. `looking` is what is used by whoever
    counts and tells, as they measure it themselves; `ours` includes it.
    """

    ours: Mapping[str, float]
    looking: float
    apart: Mapping[str, float]
    spans: Mapping[str, float]
    per_second: float
    others: float

    @property
    def total(self) -> float:
        """What all our processes used."""
        return sum(self.ours.values())


@dataclass(frozen=True, slots=True)
class Reading:
    """Seconds of CPU since each began: our processes, what is told apart from them, and all cores together."""

    ours: Mapping[str, float]
    apart: Mapping[str, float]
    busy: float
    at: float


@dataclass(frozen=True, slots=True)
class Shop:
    """A shop that is measured, and what takes its spans, if anything does."""

    bench: RealBench
    box: Box
    load: Load
    takes: Collector | None
    idle: Mapping[str, float] = field(default_factory=dict)
    """How many cores each of our processes uses that has nothing to do."""

    async def idling(self) -> Self:
        """Return the shop with what it uses while nobody orders anything."""
        before = await self._reading()
        await asyncio.sleep(IDLE_SECONDS)
        after = await self._reading()
        used = _less(after.ours, before.ours)
        return replace(self, idle={name: seconds / (after.at - before.at) for name, seconds in used.items()})

    async def use(self, variant: Variant) -> Used:
        """Let sagas begin and end while so much is seen of them."""
        await turn(self.box, variant.seeing)
        told, before = await self._spans(), await self._reading()
        count = self.bench.per_second * PLACING_SECONDS
        began = time.perf_counter()
        async with self._scraped(often=variant.scraped):
            await self.load.steadily(count, self.bench.per_second, max(1, self.bench.per_second // REQUESTS_PER_SECOND))
        placed = time.perf_counter()
        await self.load.until_all_ended()
        await asyncio.sleep(SPANS_SECONDS)
        after, told_after = await self._reading(), await self._spans()
        looking = await turn(self.box, variant.seeing)
        placing, waiting = placed - began, after.at - before.at - (placed - began)
        ours, apart = _less(after.ours, before.ours), _less(after.apart, before.apart)
        others = after.busy - before.busy - sum(ours.values()) - sum(apart.values())
        return Used(
            ours={name: (seconds - self.idle.get(name, 0) * waiting) / count for name, seconds in ours.items()},
            looking=looking / count,
            apart={name: seconds / count for name, seconds in apart.items()},
            spans={name: number / count for name, number in _less(told_after, told).items()},
            per_second=count / placing,
            others=others / (after.at - before.at),
        )

    async def _reading(self) -> Reading:
        each = await used(self.bench, self.box)
        takes = await self.takes.cpu_seconds() if self.takes is not None else {}
        load = time.process_time() - takes.get("sink", 0.0)
        apart = {**{name: each.pop(name) for name in SERVERS}, **takes, "load": load}
        return Reading(each, apart, busy_seconds(), time.perf_counter())

    async def _spans(self) -> dict[str, float]:
        """Return how many spans our processes have sent, and how many they had to drop."""
        if self.takes is None:
            return {}
        found = {"spans sent": 0.0, "spans dropped": 0.0}
        names = {SPANS.name: "spans sent", SPANS_DROPPED.name: "spans dropped"}
        for services in self.box.layout.spread(self.box.processes):
            for measure in read(await self._metrics(services[0])):
                if measure.name in names:
                    found[names[measure.name]] += measure.value
        return found

    @asynccontextmanager
    async def _scraped(self, *, often: bool) -> AsyncIterator[None]:
        """Read the metrics of every service again and again meanwhile, if that is wanted."""
        scraping = asyncio.create_task(self._scrape()) if often else None
        try:
            yield
        finally:
            if scraping is not None:
                scraping.cancel()
                with suppress(asyncio.CancelledError):
                    await scraping

    async def scraping(self) -> Mapping[str, float]:
        """Return the seconds of CPU that reading the metrics of all services once costs our processes and others."""
        before = await self._reading()
        for _ in range(SCRAPES):
            for service in self.box.layout.services:
                await self._metrics(service)
        after = await self._reading()
        ours, apart = _less(after.ours, before.ours), _less(after.apart, before.apart)
        waiting = sum(self.idle.values()) * (after.at - before.at)
        return {"ours": (sum(ours.values()) - waiting) / SCRAPES} | {n: s / SCRAPES for n, s in apart.items()}

    async def _scrape(self) -> None:
        await asyncio.sleep(SCRAPE_SECONDS / 2)
        while True:
            for service in self.box.layout.services:
                await self._metrics(service)
            await asyncio.sleep(SCRAPE_SECONDS)

    async def _metrics(self, service: str) -> str:
        url = f"{self.box.layout.url(service)}/metrics"
        answer = await self.load.client.get(url, headers={"Accept": OPENMETRICS})
        return answer.raise_for_status().text


async def tracing(bench: RealBench) -> Lines:
    """Let all sagas succeed with these shares of them traced."""
    variants = [Variant(_traced(share), Seeing(traced=share), BARS.get(share)) for share in bench.traces]
    async with collector(bench.collector) as takes:
        settings = {"SAGAPLANE_TRACES_ENDPOINT": takes.endpoint}
        return await _compared(bench, variants, settings, takes)


async def counting(bench: RealBench) -> Lines:
    """Let all sagas succeed, none of them traced, with nothing counted, and with everything counted and scraped."""
    variants = [
        Variant("without metrics", Seeing(counted=False)),
        Variant("with metrics, scraped", Seeing(), METRICS_BAR, scraped=True),
    ]
    return await _compared(bench, variants, {"SAGAPLANE_TRACES_ENDPOINT": ""}, None)


async def _compared(
    bench: RealBench, variants: Sequence[Variant], settings: Mapping[str, str], takes: Collector | None
) -> Lines:
    """Measure each variant once a round, after one more that warms up; each round begins with another one."""
    async with bench.running({**ALL_SUCCEED, **settings}, kind=SwitchedBox) as (box, load):
        shop = Shop(bench, box, load, takes)
        loads = [os.getloadavg()[0]]
        await shop.use(variants[-1])
        shop = await shop.idling()
        rounds = []
        for number in range(bench.rounds):
            first = number % len(variants)
            rounds.append({variant.name: await shop.use(variant) for variant in (*variants[first:], *variants[:first])})
        loads.append(os.getloadavg()[0])
        scraped = await shop.scraping() if any(variant.scraped for variant in variants) else None
    its = [used for each in rounds for used in each.values()]
    scraping = _scraping(scraped, len(box.layout.services), bench.per_second, its) if scraped else []
    return [*told(variants, rounds), *scraping, *_circumstances(shop, its, loads)]


def told(variants: Sequence[Variant], rounds: Sequence[Mapping[str, Used]]) -> Lines:
    """Return what each variant cost, beside the first, and whether that is within its bar."""
    lines: Lines = []
    first = variants[0].name
    for variant in variants:
        its = [each[variant.name] for each in rounds]
        totals = [used.total * 1000 for used in its]
        lines.append(
            (
                f"CPU seconds of our processes for 1,000 sagas, {variant.name}",
                f"{median(totals):.3f} ({min(totals):.3f} to {max(totals):.3f})",
                "" if variant.name != first else "what the others are compared with",
            )
        )
        if variant.name != first:
            change = Change.of(totals, [each[first].total * 1000 for each in rounds])
            lines += _change(first, change, variant.bar)
        looking = [used.looking / used.total for used in its]
        spread = f"{min(looking):.2%} to {max(looking):.2%}"
        lines += [
            ("  of it for counting and telling, by their own clock", f"{median(looking):.2%} ({spread})", ""),
            *((f"  {name}", f"{seconds * 1000:.3f}", "") for name, seconds in _medians(used.ours for used in its)),
            *((f"  apart: {name}", f"{seconds * 1000:.3f}", "") for name, seconds in _medians(u.apart for u in its)),
            *((f"  {name}", f"{number:.2f} for each saga", "") for name, number in _medians(u.spans for u in its)),
        ]
    return lines


def _change(first: str, change: Change, bar: float | None) -> Lines:
    low, high = change.spread
    least, greatest = change.range
    within = f"with 95 % between {low:+.1%} and {high:+.1%}" if len(change.rounds) >= ROUNDS_MIN else "too few rounds"
    asked = f"at most {bar:+.0%}: {change.verdict(bar)}" if bar is not None else ""
    return [
        (f"  beside {first}, median of {len(change.rounds)} rounds", f"{change.median:+.1%}, {within}", asked),
        ("  in single rounds", f"{least:+.1%} to {greatest:+.1%}", ""),
    ]


def _scraping(scraped: Mapping[str, float], services: int, per_second: int, its: Sequence[Used]) -> Lines:
    """Return what reading all metrics costs, measured alone, and which share it has of what the shop uses."""
    ours = scraped["ours"]
    share = ours / SCRAPE_SECONDS / (median(used.total for used in its) * per_second)
    apart = ", ".join(f"{name} {scraped[name] * 1000:.1f}" for name in SERVERS)
    return [
        (f"  CPU milliseconds to read the metrics of {services} services", f"{ours * 1000:.1f}; apart: {apart}", ""),
        (f"  of all our CPU, when that is done every {SCRAPE_SECONDS:g} s", f"{share:.2%}", ""),
    ]


def _circumstances(shop: Shop, its: Sequence[Used], loads: Sequence[float]) -> Lines:
    others = [used.others for used in its]
    held = min(used.per_second for used in its)
    per_second = shop.bench.per_second
    busy = f"{median(others):.1f} of {os.cpu_count()}, {max(others):.1f} at most"
    return [
        ("  orders for each figure of a round", f"{per_second * PLACING_SECONDS:,}", ""),
        ("  orders/s asked for, and the least that was held", f"{per_second}, {held:.0f}", ""),
        ("  cores that our processes use with nothing to do", f"{sum(shop.idle.values()):.3f}", ""),
        ("  load average before and after", " and ".join(f"{load:.1f}" for load in loads), ""),
        ("  cores busy with others, the engine's own among them", busy, ""),
    ]


def busy_seconds() -> float:
    """Return for how many seconds all cores together have been busy, with whatever and whoever."""
    user, nice, system, _idle, _waiting, *interrupts = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    return sum(map(int, (user, nice, system, *interrupts))) / os.sysconf("SC_CLK_TCK")


def _traced(share: float) -> str:
    return f"{share * 100:g} % traced" if share else "none traced"


def _less(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    return {name: value - before[name] for name, value in after.items()}


def _medians(each: Iterable[Mapping[str, float]]) -> list[tuple[str, float]]:
    found = [*each]
    return [(name, median(its[name] for its in found)) for name in found[0]]
