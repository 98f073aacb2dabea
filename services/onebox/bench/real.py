"""`python -m onebox.bench.real`: what the services carry on Kafka and PostgreSQL, beside the limits of both.

Everything runs on this machine: load, services, broker, database. CPU is told apart by process, because with as many
cores as that it decides.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from rich.console import Console
from rich.table import Table

import inventory_service.wiring as inventory
from onebox.bench import real_limits
from onebox.bench.collector import KINDS
from onebox.bench.costs import sizes
from onebox.bench.limits import machine
from onebox.bench.load import BATCH, PRODUCTS, Load, LoadError, chunks, percentile
from onebox.bench.processes import profile_by_room
from onebox.bench.real_shop import IN_FLIGHT_MAX, WARM_ORDERS, RealBench, used
from onebox.bench.scenarios import ALL_REFUSED, ALL_SUCCEED, DEMO, Lines
from onebox.bench.seeing import counting, tracing
from onebox.bench.servers import servers
from onebox.layout import SERVICES
from order_service.desk import ORDERS
from sagakit.adapters.kafka import KafkaLog, KafkaSettings
from sagakit.adapters.kafka import topics as kafka
from sagakit.adapters.postgres import PostgresStore
from sagakit.core.contracts import encode_data
from sagakit.core.messages import Message, message_id, name_based_id
from sagakit.ports import Draft, Query, Store
from sagakit.runtime.wire import draft
from shop_contracts.catalogue import SHOP
from shop_contracts.messages import Item, OrderCreated, PaymentCompleted
from shop_contracts.order_saga import ORDER, ORDER_SAGA, PAYMENT


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


async def limits(bench: RealBench) -> list[tuple[str, str]]:
    """Measure what the servers allow to their plain libraries."""
    await bench.servers.fresh("limits")
    url = bench.servers.database_url("limits").replace("{service}", "order")
    brokers = bench.servers.brokers
    await kafka.apply(
        KafkaSettings(bootstrap_servers=brokers), [kafka.TopicSpec.of(real_limits.TOPIC, bench.partitions, 1)]
    )
    one, many = [await real_limits.commits(url, rows) for rows in (1, real_limits.ROWS)]
    produced = await real_limits.produce(brokers, bench.partitions)
    consumed = await real_limits.consume(brokers)
    return [
        ("asyncpg, commits of one row", f"{one:,.0f}/s"),
        (f"asyncpg, commits of {real_limits.ROWS} rows", f"{many:,.0f}/s, {many * real_limits.ROWS:,.0f} rows/s"),
        ("aiokafka, records produced", f"{produced:,.0f}/s"),
        ("aiokafka, records consumed", f"{consumed:,.0f}/s"),
    ]


async def latency(bench: RealBench, per_second: int = 800, seconds: int = 20) -> Lines:
    """Place orders at a steady rate; from an order's creation to its end, by the service's own clock."""
    async with bench.running(ALL_SUCCEED) as (box, load):
        before, began = await used(bench, box), time.perf_counter()
        await load.steadily(per_second * seconds, per_second, per_second // 50)
        offered = load.placed / (time.perf_counter() - began)
        await load.until_all_ended()
        after = await used(bench, box)
        cpu = sum(after.values()) - sum(before.values())
        found = await load.orders.view(lambda reader: reader.select(ORDERS, Query(limit=1_000_000)))
        taken = [(order.ended_at - order.created_at).total_seconds() for order in found if order.ended_at is not None]
    return [
        (f"saga latency at {offered:,.0f}/s, p50", f"{percentile(taken, 0.5) * 1000:.0f} ms", ""),
        (f"saga latency at {offered:,.0f}/s, p99", f"{percentile(taken, 0.99) * 1000:.0f} ms", "under 1 s"),
        ("  CPU seconds per 1,000 sagas meanwhile", f"{cpu / load.placed * 1000:.2f}", ""),
    ]


async def participant(bench: RealBench) -> Lines:
    """Let the inventory alone catch up with orders that are placed and paid: two messages, one reservation each."""
    others = frozenset(SERVICES) - {"inventory"}
    async with bench.running(ALL_SUCCEED, others):  # the shelves are filled
        pass
    count = bench.orders // 2
    log = await KafkaLog.open(bench.kafka(), [ORDER.events_topic, PAYMENT.events_topic])
    for numbers in chunks(0, count, BATCH):
        await log.publish([each for number in numbers for each in paid(bench.seed, number)])
    await log.close()
    store = PostgresStore(bench.address("inventory"), inventory.TABLES)
    async with bench.again(ALL_SUCCEED, others) as box:
        first, began, before = await _handled(store), time.perf_counter(), await used(bench, box)
        while (now := await _handled(store)) < 2 * count:
            if not first and now:
                first, began, before = now, time.perf_counter(), await used(bench, box)
            await asyncio.sleep(0.02)
        seconds, after = time.perf_counter() - began, await used(bench, box)
    await store.close()
    each = ", ".join(f"{its} {(after[its] - before[its]) / (2 * count - first) * 1e6:.0f} µs" for its in after)
    return [
        ("messages/s, one participant (inventory)", f"{(2 * count - first) / seconds:,.0f}", "10,000"),
        ("  CPU for each of them", each, ""),
    ]


async def _handled(store: Store) -> int:
    """Return how many records of its topics the inventory has handled."""
    return sum((await store.view(lambda reader: reader.progress("inventory"))).values())


def paid(seed: int, number: int) -> list[Draft]:
    """Return an order that was placed and the payment of it, as messages."""
    order_id, now = name_based_id("bench", str(seed), str(number)), datetime.now(UTC)
    item = Item(product_id=PRODUCTS[number % len(PRODUCTS)], quantity=1, price=Decimal("9.99"))
    created = OrderCreated(order_id=order_id, user_id="user", items=[item], total=item.price, currency="USD")
    payment = name_based_id(order_id, "payment")
    captured = PaymentCompleted(order_id=order_id, payment_id=payment, amount=item.price, transaction_id=payment)
    cause = message_id(order_id, "order", "OrderCreated")
    said = (
        (ORDER, "order", created, "", cause),
        (PAYMENT, "payment", captured, cause, message_id(order_id, "payment", "PaymentCompleted")),
    )
    return [
        draft(
            who.events_topic,
            Message(
                id=own,
                type=type(data).__name__,
                source=source,
                time=now,
                saga_id=order_id,
                correlation_id=order_id,
                causation_id=caused_by,
                definition=ORDER_SAGA.ref,
                data_version=SHOP.version_of(type(data).__name__),
                deadline=now + timedelta(hours=1),
                data=encode_data(data),
            ),
        )
        for who, source, data, caused_by, own in said
    ]


async def restart(bench: RealBench) -> Lines:
    """End a service by SIGKILL under load and start it again at once, until an order placed afterwards has ended."""
    lines: Lines = []
    async with bench.running(ALL_SUCCEED) as (box, load):
        for name in ("order", "payment", "inventory", "shipping"):
            steady = asyncio.create_task(trickle(load))
            await asyncio.sleep(2)
            killed, began = datetime.now(UTC), time.perf_counter()
            await box.kill_and_start(name)
            while not await _ended_since(load, killed):  # noqa: ASYNC110 - the services do not tell us
                await asyncio.sleep(0.05)
            took = f"{time.perf_counter() - began:.1f} s"
            lines.append((f"SIGKILL of {name} to the end of an order placed after", took, "10 s"))
            steady.cancel()
            await asyncio.gather(steady, return_exceptions=True)
        await load.until_all_ended()
    return lines


async def _ended_since(load: Load, moment: datetime) -> bool:
    """Tell whether an order that was placed after this moment is confirmed."""
    query = Query(where={"status": "confirmed"}, by="created_at", at_least=moment, limit=1)
    return bool(await load.orders.view(lambda reader: reader.select(ORDERS, query)))


async def trickle(load: Load) -> None:
    """Place some orders again and again, whether the service is there or not."""
    while True:
        with suppress(httpx.HTTPError, LoadError):
            await load.batch(range(load.placed, load.placed + 5))
        await asyncio.sleep(0.05)


SCENARIOS: dict[str, Callable[[RealBench], Awaitable[Lines]]] = {
    "mix": lambda bench: throughput(bench, DEMO, "demo mix", "1,600"),
    "succeed": lambda bench: throughput(bench, ALL_SUCCEED, "all succeed", "1,600"),
    "compensation": lambda bench: throughput(bench, ALL_REFUSED, "all refused by shipping", "800"),
    "latency": latency,
    "participant": participant,
    "restart": restart,
    "traces": tracing,
    "metrics": counting,
    "sizes": sizes,
}


def main() -> None:
    """Measure what was asked for on the command line; everything by default."""
    parser = argparse.ArgumentParser(prog="python -m onebox.bench.real", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of: {', '.join(SCENARIOS)} (default: all)")
    parser.add_argument("--orders", type=int, default=100_000, help="how many orders for the throughput figures")
    parser.add_argument("--processes", type=int, default=6, help="over how many processes the services are spread")
    parser.add_argument("--partitions", type=int, default=4, help="of each topic")
    parser.add_argument("--without", choices=["analytics", "notification"], action="append", default=[])
    parser.add_argument(
        "--traces",
        type=float,
        nargs="+",
        default=[0.0, 0.01, 1.0],
        metavar="SHARE",
        help="for traces: the shares of sagas that are traced, the one to compare with first",
    )
    parser.add_argument(
        "--collector",
        choices=KINDS,
        default="collector",
        help="for traces: what takes the spans (default: a collector that hands on to a Jaeger)",
    )
    parser.add_argument(
        "--rounds", type=int, default=9, help="for traces and metrics: how often each variant is measured"
    )
    parser.add_argument("--per-second", type=int, default=500, help="for traces and metrics: at which rate orders come")
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
                tuple(chosen.traces),
                chosen.collector,
                chosen.rounds,
                chosen.per_second,
            )
            facts = Table("", "", title="The machine and its limits", title_justify="left", show_header=False)
            for name, value in [
                *machine()[:3],
                ("durability", await its.facts()),
                *await limits(bench),
                ("seed", str(seed)),
            ]:
                facts.add_row(name, value)
            console.print(facts)
            table = Table("figure", "measured", "asked for", title=f"{bench.processes} processes", title_justify="left")
            for name in chosen.scenarios or list(SCENARIOS):
                for row in await SCENARIOS[name](bench):
                    table.add_row(*row)
            console.print(table)


if __name__ == "__main__":
    main()
