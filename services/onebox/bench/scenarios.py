"""What is measured, one function a figure: each starts a box of its own, loads it, and returns its lines."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from onebox.bench.load import BATCH, Load, encode, percentile
from onebox.bench.processes import memory_mib, profile_by_room, series
from onebox.box import Box
from onebox.layout import Layout
from order_service.desk import ORDERS
from order_service.domain import OrderView
from order_service.wiring import TABLES
from sagakit.adapters.sqlite import SqliteStore
from sagakit.ports import Query
from sagakit.runtime.live_sagas import CAP
from sagakit.runtime.tracker import SAGAS

DEMO = {"PAYMENT_SUCCESS_RATE": "0.7", "INVENTORY_SUCCESS_RATE": "0.8", "SHIPPING_SUCCESS_RATE": "1.0"}
ALL_SUCCEED = {"PAYMENT_SUCCESS_RATE": "1.0", "INVENTORY_SUCCESS_RATE": "1.0", "SHIPPING_SUCCESS_RATE": "1.0"}
ALL_REFUSED = {**ALL_SUCCEED, "SHIPPING_SUCCESS_RATE": "0.0"}
QUIET = {"ANALYTICS_REPORT_SECONDS": "0"}
OFFSET = 31_000
IN_FLIGHT_MAX = 6_000
WARM_ORDERS_MAX = 10_000
"""A tenth of the orders, and no more than so many, come before the time is taken."""

Lines = list[tuple[str, str, str]]
"""Figure, what was measured, what the issue asks for."""


@dataclass(frozen=True, slots=True)
class Bench:
    """How much is measured, where, from which seed, and without which services."""

    directory: Path
    orders: int
    processes: int
    seed: int
    events: int = 1_000_000
    without: frozenset[str] = frozenset()

    @property
    def layout(self) -> Layout:
        """Where its boxes are."""
        return Layout(OFFSET, self.without)

    @asynccontextmanager
    async def running(self, rates: dict[str, str]) -> AsyncIterator[tuple[Box, Load]]:
        """Run a box with full shelves in a fresh directory."""
        with TemporaryDirectory(dir=self.directory) as data_dir:
            layout = self.layout
            async with Box(Path(data_dir), self.processes, {**QUIET, **rates}, layout) as box:
                store = SqliteStore(Path(data_dir) / "order.db", TABLES)
                load = Load(layout.url("order"), layout.url("inventory"), store, self.seed)
                try:
                    await load.stock()
                    yield box, load
                finally:
                    await load.client.aclose()
                    await store.close()


async def throughput(bench: Bench, rates: dict[str, str], name: str, wanted: str) -> Lines:
    """Place everything through the batch API and wait until all sagas have ended."""
    async with bench.running(rates) as (box, load):
        warm = min(WARM_ORDERS_MAX, bench.orders // 10)
        at_first = await series(box.layout)
        await load.all_at_once(warm, IN_FLIGHT_MAX)
        early, in_flight = memory_mib(box), await series(box.layout)
        rest = bench.orders - load.placed
        began = time.perf_counter()
        profile = asyncio.create_task(profile_by_room(box, seconds=10))
        await load.all_at_once(rest // 2, IN_FLIGHT_MAX)
        half, midway = load.placed, memory_mib(box)
        await load.all_at_once(bench.orders - half, IN_FLIGHT_MAX)
        await load.until_all_ended()
        seconds = time.perf_counter() - began
        late = memory_mib(box)
        at_last = await series(box.layout)
        rooms = await profile
    return [
        (f"sagas/s, {name}", f"{rest / seconds:,.0f}", wanted),
        (f"memory growth from order {warm:,} to {bench.orders:,}, {name}", f"{late - early:.0f} MiB", "under 50 MiB"),
        (f"  of it from order {half:,} on", f"{late - midway:.0f} MiB", ""),
        (
            f"series of all /metrics before the first, with sagas in flight, and after all, {name}",
            f"{at_first:,}, {in_flight:,}, {at_last:,}",
            f"at most {2 * CAP} more",
        ),
        *((f"CPU by room, {name}", f"{share:4.0%} {room}", "") for room, share in rooms),
    ]


async def single_posts(bench: Bench) -> Lines:
    """Place orders one by one over 32 connections for some seconds; each is answered after its commit."""
    async with bench.running(DEMO) as (_, load):
        end = time.perf_counter() + 10
        latencies: list[float] = []
        numbers = iter(range(10**9))

        async def client() -> None:
            async with httpx.AsyncClient(timeout=60) as own:
                while time.perf_counter() < end:
                    order = load.order(next(numbers))
                    headers = {"content-type": "application/json", "idempotency-key": str(order.pop("idempotencyKey"))}
                    began = time.perf_counter()
                    answer = await own.post(f"{load.orders_url}/orders", content=encode(order), headers=headers)
                    answer.raise_for_status()
                    latencies.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(32)))
        rate = len(latencies) / (time.perf_counter() - began)
        await load.until_all_ended()
    return [
        ("single POST /orders", f"{rate:,.0f}/s", "at least 600/s"),
        ("single POST /orders, p99", f"{percentile(latencies, 0.99) * 1000:.0f} ms", ""),
    ]


async def latency(bench: Bench, per_second: int = 1500, seconds: int = 20) -> Lines:
    """Place orders at a steady rate; from an order's creation to its end, by the service's own clock."""
    async with bench.running(ALL_SUCCEED) as (_, load):
        began = time.perf_counter()
        await load.steadily(per_second * seconds, per_second, per_second // 50)
        offered = load.placed / (time.perf_counter() - began)
        await load.until_all_ended()
        taken = [
            (order.ended_at - order.created_at).total_seconds()
            for order in await _all_orders(load)
            if order.ended_at is not None
        ]
    return [
        (f"saga latency at {offered:,.0f}/s, p50", f"{percentile(taken, 0.5) * 1000:.0f} ms", ""),
        (f"saga latency at {offered:,.0f}/s, p99", f"{percentile(taken, 0.99) * 1000:.0f} ms", "under 500 ms"),
    ]


async def recovery(bench: Bench) -> Lines:
    """End every process with SIGKILL while 10,000 sagas are in flight; from the restart to all ended."""
    with TemporaryDirectory(dir=bench.directory) as data_dir:
        layout = bench.layout
        box = await Box(Path(data_dir), bench.processes, ALL_SUCCEED, layout).__aenter__()
        store = SqliteStore(Path(data_dir) / "order.db", TABLES)
        load = Load(layout.url("order"), layout.url("inventory"), store, bench.seed)
        try:
            await load.stock()
            await asyncio.gather(*(load.batch(range(first, first + BATCH)) for first in range(0, 12_000, BATCH)))
            in_flight = await load.unfinished()
            for child in box.children:
                os.kill(child.pid, signal.SIGKILL)
            await asyncio.gather(*(child.wait() for child in box.children))
            began = time.perf_counter()
            async with Box(Path(data_dir), bench.processes, ALL_SUCCEED, layout):
                await load.until_all_ended()
                seconds = time.perf_counter() - began
        finally:
            await load.client.aclose()
            await store.close()
            await box.stop()
    return [(f"SIGKILL with {in_flight:,} in flight, restart to all ended", f"{seconds:.1f} s", "within 15 s")]


async def deadlines(bench: Bench, count: int = 10_000) -> Lines:
    """Let the deadlines of so many sagas fall into one second, with a bank that does not answer in time."""
    async with bench.running({**ALL_SUCCEED, "PAYMENT_LATENCY_SECONDS": "30"}) as (_, load):
        began = time.perf_counter()
        for first in range(0, count, BATCH):
            left = 15 - (time.perf_counter() - began)
            await load.batch(range(first, first + BATCH), timeout_seconds=max(1, round(left)))
        lateness = await _lateness(load, count)
    worst = percentile(lateness, 0.99)
    return [
        (
            f"{len(lateness):,} deadlines in about one second, all asked",
            "yes" if len(lateness) == count else "no",
            "yes",
        ),
        ("deadline lateness, p99", f"{worst:.2f} s", "under 2 s"),
    ]


async def _lateness(load: Load, count: int) -> list[float]:
    """Return how late each saga was asked to abort, once all were asked or a minute has passed."""
    end = time.perf_counter() + 60
    while True:
        states = await load.orders.view(lambda reader: reader.select(SAGAS, Query(limit=count)))
        late = [
            (state.abort.at - state.deadline).total_seconds()
            for state in states
            if state.abort is not None and state.deadline is not None
        ]
        if len(late) == count or time.perf_counter() > end:
            return late
        await asyncio.sleep(1)


async def _all_orders(load: Load) -> list[OrderView]:
    return await load.orders.view(lambda reader: reader.select(ORDERS, Query(limit=10**6)))


SCENARIOS: dict[str, Callable[[Bench], Awaitable[Lines]]] = {
    "mix": lambda bench: throughput(bench, DEMO, "demo mix", "at least 3,000 (aim 10,000)"),
    "success": lambda bench: throughput(bench, ALL_SUCCEED, "all succeed", "at least 3,000 (aim 10,000)"),
    "compensate": lambda bench: throughput(bench, ALL_REFUSED, "all refused by shipping", "at least 1,500"),
    "single": single_posts,
    "latency": latency,
    "recovery": recovery,
    "deadlines": deadlines,
}
