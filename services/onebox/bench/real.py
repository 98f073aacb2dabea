"""`python -m onebox.bench.real`: what the services carry on Kafka and PostgreSQL, beside the limits of both.

Everything runs on this machine: load, services, broker, database. CPU is told apart by process, because with as many
cores as that it decides.
"""

import argparse
import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from onebox.bench.limits import machine
from onebox.bench.load import Load, percentile
from onebox.bench.processes import profile_by_room
from onebox.bench.scenarios import ALL_REFUSED, ALL_SUCCEED, DEMO, QUIET, Lines
from onebox.bench.servers import Servers, process_cpu, servers
from onebox.box import Box
from onebox.layout import Layout
from onebox.wiring import ALL_TOPICS
from order_service.desk import ORDERS
from order_service.wiring import TABLES
from sagakit.adapters.kafka import KafkaSettings
from sagakit.adapters.kafka import topics as kafka
from sagakit.adapters.postgres import Address, PostgresStore
from sagakit.adapters.postgres.migration import migrate
from sagakit.ports import Query

OFFSET = 21_000
IN_FLIGHT_MAX = 6_000
WARM_ORDERS = 5_000


@dataclass(slots=True)
class RealBench:
    """How much is measured, and upon what."""

    servers: Servers
    directory: Path
    orders: int
    processes: int
    partitions: int
    seed: int
    without: frozenset[str]
    run: int = 0

    @asynccontextmanager
    async def running(self, rates: dict[str, str]) -> AsyncIterator[tuple[Box, Load]]:
        """Run all services over empty databases and topics, with full shelves."""
        self.run += 1
        prefix = f"b{self.run}"
        url = self.servers.database_url(prefix)
        await self.servers.fresh(prefix)
        await prepare(url, self.servers.brokers, f"{prefix}.", self.partitions)
        layout = Layout(OFFSET, self.without)
        environment = {
            **QUIET,
            **rates,
            "SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS": self.servers.brokers,
            "SAGAPLANE_KAFKA_TOPIC_PREFIX": f"{prefix}.",
            "SAGAPLANE_DATABASE_URL": url,
            "SAGAPLANE_INSTANCE": "0",
        }
        async with Box(self.directory, self.processes, environment, layout) as box:
            store = PostgresStore(Address(url.replace("{service}", "order"), "order"), TABLES)
            load = Load(layout.url("order"), layout.url("inventory"), store, self.seed)
            try:
                await load.stock()
                yield box, load
            finally:
                await load.client.aclose()
                await store.close()


async def prepare(url: str, brokers: str, prefix: str, partitions: int) -> None:
    """Make all topics and schemas."""
    from importlib import import_module

    specs = [
        kafka.TopicSpec.of(t.name, partitions, 1, keep_seconds=t.keep_seconds, compacted=t.compacted)
        for t in ALL_TOPICS
    ]
    await kafka.apply(KafkaSettings(bootstrap_servers=brokers, topic_prefix=prefix), specs)
    for name in ("order", "payment", "inventory", "shipping", "notification", "analytics"):
        for schema, tables in import_module(f"{name}_service.wiring").STORES.items():
            await migrate(Address(url.replace("{service}", name), schema), tables)


async def throughput(bench: RealBench, rates: dict[str, str], name: str, wanted: str) -> Lines:
    """Place everything through the batch API and wait until all sagas have ended; what each process used beside it."""
    async with bench.running(rates) as (box, load):
        await load.all_at_once(WARM_ORDERS, IN_FLIGHT_MAX)
        before = await used(bench, box)
        began = time.perf_counter()
        profile = asyncio.create_task(profile_by_room(box, seconds=10))
        await load.all_at_once(bench.orders, IN_FLIGHT_MAX)
        await load.until_all_ended()
        seconds = time.perf_counter() - began
        after = await used(bench, box)
        rooms = await profile
    thousands = bench.orders / 1000
    each = {its: (after[its] - before[its]) / thousands for its in after}
    return [
        (f"sagas/s over {seconds:.0f} s, {name}", f"{bench.orders / seconds:,.0f}", wanted),
        (f"CPU seconds per 1,000 sagas, {name}", f"{sum(each.values()):.2f}", "3.6: the fastest other engine"),
        *((f"  {its}", f"{value:.2f}", "") for its, value in each.items()),
        *((f"CPU by room, {name}", f"{share:4.0%} {room}", "") for room, share in rooms),
    ]


async def used(bench: RealBench, box: Box) -> dict[str, float]:
    """Return the CPU seconds of every process so far."""
    spread = box.layout.spread(box.processes)
    ours = {"+".join(names): process_cpu(child.pid) for names, child in zip(spread, box.children, strict=True)}
    return {**ours, **await bench.servers.cpu_seconds()}


async def latency(bench: RealBench, per_second: int = 800, seconds: int = 20) -> Lines:
    """Place orders at a steady rate; from an order's creation to its end, by the service's own clock."""
    async with bench.running(ALL_SUCCEED) as (_, load):
        step = 0.02
        size = int(per_second * step)
        began = time.perf_counter()
        sent: set[asyncio.Task[None]] = set()
        for number in range(int(seconds / step)):
            await asyncio.sleep(max(0.0, began + number * step - time.perf_counter()))
            sent.add(asyncio.create_task(load.batch(range(number * size, (number + 1) * size))))
        await asyncio.gather(*sent)
        offered = load.placed / (time.perf_counter() - began)
        await load.until_all_ended()
        found = await load.orders.view(lambda reader: reader.select(ORDERS, Query(limit=1_000_000)))
        taken = [(order.ended_at - order.created_at).total_seconds() for order in found if order.ended_at is not None]
    return [
        (f"saga latency at {offered:,.0f}/s, p50", f"{percentile(taken, 0.5) * 1000:.0f} ms", ""),
        (f"saga latency at {offered:,.0f}/s, p99", f"{percentile(taken, 0.99) * 1000:.0f} ms", "under 1 s"),
    ]


SCENARIOS: dict[str, Callable[[RealBench], Awaitable[Lines]]] = {
    "mix": lambda bench: throughput(bench, DEMO, "demo mix", "1,600"),
    "succeed": lambda bench: throughput(bench, ALL_SUCCEED, "all succeed", "1,600"),
    "compensation": lambda bench: throughput(bench, ALL_REFUSED, "all refused by shipping", "800"),
    "latency": latency,
}


def main() -> None:
    """Measure what was asked for on the command line; everything by default."""
    parser = argparse.ArgumentParser(prog="python -m onebox.bench.real", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of: {', '.join(SCENARIOS)} (default: all)")
    parser.add_argument("--orders", type=int, default=100_000, help="how many orders for the throughput figures")
    parser.add_argument("--processes", type=int, default=6, help="over how many processes the services are spread")
    parser.add_argument("--partitions", type=int, default=4, help="of each topic")
    parser.add_argument("--without", choices=["analytics", "notification"], action="append", default=[])
    parser.add_argument("--seed", type=int, default=None, help="names the orders; printed")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.scenarios if name not in SCENARIOS]:
        parser.error(f"no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    asyncio.run(_run(chosen))


async def _run(chosen: argparse.Namespace) -> None:
    seed = chosen.seed if chosen.seed is not None else random.SystemRandom().randrange(10**6)
    console = Console()
    with TemporaryDirectory(prefix="bench-") as directory:
        async with servers() as its:
            bench = RealBench(
                its,
                Path(directory),
                chosen.orders,
                chosen.processes,
                chosen.partitions,
                seed,
                frozenset(chosen.without),
            )
            facts = Table("", "", title="The machine and its limits", title_justify="left", show_header=False)
            for name, value in [*machine()[:3], ("durability", await its.facts()), ("seed", str(seed))]:
                facts.add_row(name, value)
            console.print(facts)
            table = Table("figure", "measured", "asked for", title=f"{bench.processes} processes", title_justify="left")
            for name in chosen.scenarios or list(SCENARIOS):
                for row in await SCENARIOS[name](bench):
                    table.add_row(*row)
            console.print(table)


if __name__ == "__main__":
    main()
