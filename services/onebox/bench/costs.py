"""What one saga costs beside its time: CPU for its trace, and bytes in the databases, in the log and in traces."""

import asyncio

from onebox.bench.collector import Jaeger, Sink, collector
from onebox.bench.real_shop import IN_FLIGHT_MAX, WARM_ORDERS, RealBench, used
from onebox.bench.scenarios import ALL_REFUSED, ALL_SUCCEED, Lines
from onebox.bench.servers import SERVERS

SPANS_SECONDS = 3.0
"""Longer than the last spans wait until they are sent."""
BARS = {0.01: "at most +3 %", 1.0: "at most +35 %"}
"""What a share of traced sagas may cost our processes beyond what they use without."""


async def tracing(bench: RealBench) -> Lines:
    """Let all sagas succeed with these shares of them traced, one after the other, and compare what that costs us."""
    lines: Lines = []
    first = 0.0
    for share in bench.traces:
        async with collector(bench.collector) as its:
            each, spans = await _traced(bench, share, its)
        ours = sum(value for name, value in each.items() if name not in SERVERS)
        first = first or ours
        change = f"{(ours - first) / first:+.1%}" if lines else "this is what the others are compared with"
        lines += [
            (f"CPU µs per saga of our processes, {share:.0%} traced", f"{ours:.0f}, {change}", BARS.get(share, "")),
            *((f"  {name}", f"{value:.0f}", "") for name, value in each.items()),
            *((f"  {name}", value, "") for name, value in spans),
        ]
    return lines


async def _traced(bench: RealBench, share: float, its: Jaeger | Sink) -> tuple[dict[str, float], list[tuple[str, str]]]:
    """Return what each process used for one saga in microseconds of CPU, and what the collector took."""
    settings = {"SAGAPLANE_TRACES_ENDPOINT": its.endpoint if share else "", "SAGAPLANE_TRACES_SAMPLE": str(share)}
    async with bench.running({**ALL_SUCCEED, **settings}) as (box, load):
        await load.all_at_once(min(WARM_ORDERS, bench.orders), IN_FLIGHT_MAX)
        await load.until_all_ended()
        await asyncio.sleep(SPANS_SECONDS)
        before, taken = await used(bench, box), await _taken(its)
        await load.all_at_once(bench.orders, IN_FLIGHT_MAX)
        await load.until_all_ended()
        await asyncio.sleep(SPANS_SECONDS)
        after, taken_after = await used(bench, box), await _taken(its)
    each = {name: (after[name] - before[name]) / bench.orders * 1e6 for name in after}
    spans = [(name, f"{(taken_after[name] - taken[name]) / bench.orders:,.1f} for each saga") for name in taken]
    return each, spans


async def _taken(its: Jaeger | Sink) -> dict[str, float]:
    """Return what the collector was sent, or what it used for that."""
    if isinstance(its, Jaeger):
        return {"µs of CPU of Jaeger": await its.cpu_seconds() * 1e6}
    sent = its.counted
    return {"spans": sent.spans, "bytes of spans, packed": sent.packed, "bytes of spans, unpacked": sent.unpacked}


async def sizes(bench: RealBench) -> Lines:
    """Let all sagas succeed, and then all be refused by shipping, and look how much is there afterwards."""
    lines: Lines = []
    for rates, name in ((ALL_SUCCEED, "all succeed"), (ALL_REFUSED, "all refused by shipping")):
        async with collector("sink") as its:
            settings = {"SAGAPLANE_TRACES_ENDPOINT": its.endpoint}
            async with bench.running({**rates, **settings}) as (_, load):
                before = await bench.servers.sizes(bench.prefix)
                await load.all_at_once(bench.orders, IN_FLIGHT_MAX)
                await load.until_all_ended()
                await asyncio.sleep(SPANS_SECONDS)
                after, sent = await bench.servers.sizes(bench.prefix), await _taken(its)
        grown = {what: (after[what] - before[what]) / bench.orders for what in after}
        grown |= {what: number / bench.orders for what, number in sent.items()}
        lines += [(f"{what} of a saga, {name}", f"{number:,.0f}", "") for what, number in grown.items()]
    return lines
