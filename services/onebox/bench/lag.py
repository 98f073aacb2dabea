"""How far the analytics are behind while orders flow: from the end of an order to the moment it is counted.

Offsets and rows are one transaction, so an event is visible from the moment at which its offset is behind the group.
The offsets are read beside the service; when each event had happened stands in the log.
"""

import asyncio
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

from analytics_service.files import FileStores
from analytics_service.live import group_of
from onebox.bench.load import Load, percentile
from onebox.bench.scenarios import DEMO, Bench, Lines
from sagakit.adapters.sqlite import SqliteLog
from sagakit.adapters.sqlite.log import PARTITIONS
from sagakit.ports import Store
from sagakit.runtime.wire import parse
from shop_contracts.order_saga import ORDER

ENDS = frozenset({"OrderConfirmed", "OrderCancelled"})
LOOK_SECONDS = 0.01
ASK_SECONDS = 0.5
STEP_SECONDS = 0.02
FETCHED_AT_ONCE = 5000

Seen = defaultdict[int, list[tuple[int, float]]]
"""Partition → which offset had been reached at which time, each time that it was another."""


async def lag(bench: Bench, per_second: int = 1000, seconds: int = 20) -> Lines:
    """Place orders at a steady rate; from the end of each, by the service's clock, to its being counted."""
    async with bench.running(DEMO) as (box, load):
        store = FileStores(box.data_dir).open(1)
        seen: Seen = defaultdict(list)
        told: list[float] = []
        watching = [
            asyncio.create_task(_watch(store, seen)),
            asyncio.create_task(_ask(load, bench.layout.url("analytics"), told)),
        ]
        offered = await steadily(load, per_second, seconds)
        await load.until_all_ended()
        await _until_counted(load, store, box.data_dir)
        await _look(store, seen)
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        await store.close()
        lags = await _lags(box.data_dir, seen)
    p50, p99, most = (percentile(lags, share) for share in (0.5, 0.99, 1.0))
    at = f"at {offered:,.0f} orders/s"
    return [
        (f"from the end of an order to its being counted, {at}, p50", f"{p50 * 1000:.0f} ms", ""),
        (f"the same, p99 of {len(lags):,}", f"{p99 * 1000:.0f} ms, at most {most * 1000:.0f} ms", "under 1 s"),
        (f"lagSeconds as the service says it, most of {len(told)} answers", f"{max(told):.2f} s", "under 1 s"),
    ]


async def steadily(load: Load, per_second: int, seconds: int) -> float:
    """Place orders at a steady rate; return the rate that it became."""
    size = round(per_second * STEP_SECONDS)
    began = time.perf_counter()
    sent: list[asyncio.Task[None]] = []
    for number in range(round(seconds / STEP_SECONDS)):
        await asyncio.sleep(max(0.0, began + number * STEP_SECONDS - time.perf_counter()))
        sent.append(asyncio.create_task(load.batch(range(number * size, (number + 1) * size))))
    await asyncio.gather(*sent)
    return load.placed / (time.perf_counter() - began)


async def _watch(store: Store, seen: Seen) -> None:
    """Note again and again how far the group is in the topic of the orders."""
    while True:
        await _look(store, seen)
        await asyncio.sleep(LOOK_SECONDS)


async def _look(store: Store, seen: Seen) -> None:
    done = await _handled(store)
    now = time.time()
    for (topic, partition), offset in done.items():
        if topic == ORDER.events_topic and (not seen[partition] or seen[partition][-1][0] != offset):
            seen[partition].append((offset, now))


async def _ask(load: Load, url: str, told: list[float]) -> None:
    """Ask the service itself now and then."""
    while True:
        answer = await load.client.get(f"{url}/analytics")
        told.append(answer.raise_for_status().json()["lagSeconds"])
        await asyncio.sleep(ASK_SECONDS)


async def _until_counted(load: Load, store: Store, directory: Path) -> None:
    """Return when everything was published that the orders have to say, and was counted."""
    while await load.orders.outbox_depth():  # noqa: ASYNC110 - the services do not tell us
        await asyncio.sleep(LOOK_SECONDS)
    log = SqliteLog(directory / "log.db", PARTITIONS)
    ends = {place: end for place, end in (await log.ends([ORDER.events_topic])).items() if end}
    while not ends.items() <= (await _handled(store)).items():  # noqa: ASYNC110 - the service does not tell us
        await asyncio.sleep(LOOK_SECONDS)
    await log.close()


async def _handled(store: Store) -> dict[tuple[str, int], int]:
    return await store.view(lambda reader: reader.progress(group_of(1)))


async def _lags(directory: Path, seen: Seen) -> list[float]:
    """Return, for the end of each order, how many seconds passed until it was counted."""
    log = SqliteLog(directory / "log.db", PARTITIONS)
    positions = {(ORDER.events_topic, partition): 0 for partition in range(PARTITIONS)}
    lags: list[float] = []
    while records := await log.fetch(positions, FETCHED_AT_ONCE):
        for record in records:
            positions[record.topic, record.partition] = record.offset + 1
            message = parse(record)
            if message.type in ENDS:
                looks = seen[record.partition]
                _, at = looks[bisect_right(looks, record.offset, key=lambda look: look[0])]
                lags.append(at - message.time.timestamp())
    await log.close()
    return lags


FOLLOWING: dict[str, Callable[[Bench], Awaitable[Lines]]] = {"analytics-lag": lag}
