"""What one saga costs beside its time and its CPU: bytes in the databases, in the log and in traces."""

import asyncio

from onebox.bench.collector import sink
from onebox.bench.real_shop import IN_FLIGHT_MAX, RealBench
from onebox.bench.scenarios import ALL_REFUSED, ALL_SUCCEED, Lines

SPANS_SECONDS = 3.0
"""Longer than the last spans wait until they are sent."""


async def sizes(bench: RealBench) -> Lines:
    """Let all sagas succeed, and then all be refused by shipping, and look how much is there afterwards."""
    lines: Lines = []
    for rates, name in ((ALL_SUCCEED, "all succeed"), (ALL_REFUSED, "all refused by shipping")):
        async with sink() as its:
            settings = {"SAGAPLANE_TRACES_ENDPOINT": its.endpoint}
            async with bench.running({**rates, **settings}) as (_, load):
                before = await bench.servers.sizes(bench.prefix)
                await load.all_at_once(bench.orders, IN_FLIGHT_MAX)
                await load.until_all_ended()
                await asyncio.sleep(SPANS_SECONDS)
                after, sent = await bench.servers.sizes(bench.prefix), its.counted
        grown = {what: (after[what] - before[what]) / bench.orders for what in after}
        traced = {"spans": sent.spans, "bytes of spans, packed": sent.packed, "bytes of spans, unpacked": sent.unpacked}
        grown |= {what: number / bench.orders for what, number in traced.items()}
        lines += [(f"{what} of a saga, {name}", f"{number:,.0f}", "") for what, number in grown.items()]
    return lines
