"""A process that catches up with a log, measured: `python -m onebox.bench.catching_up LOG DIRECTORY [PART …]`.

A part is `joined` (the joined orders alone), one of those kept beside them, `desk` (orders of high value), `decode`
(nothing but fetching and decoding), or `all`, which is what the service does. Its last line is the result, as JSON.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import uvloop

from analytics_service.desk import GROUP, TableProfiles
from analytics_service.desk import Desk as HighValueDesk
from analytics_service.files import FileStores
from analytics_service.live import SERVICE, group_of
from analytics_service.settings import AnalyticsSettings
from analytics_service.summing import EVERY_PART, Part
from analytics_service.views import EVENT_TOPICS, Views
from analytics_service.wiring import TABLES
from sagakit.adapters.sqlite import SqliteLog, SqliteStore
from sagakit.adapters.sqlite.log import PARTITIONS
from sagakit.hosting.process import GARBAGE_THRESHOLD
from sagakit.ports import Log
from sagakit.runtime.clock import SystemClock
from sagakit.runtime.consumer import Consumer
from sagakit.runtime.projection import AlignedLog, ProjectionConsumer
from sagakit.runtime.wire import parse
from shop_contracts.catalogue import SHOP

ALL, JOINED, DESK, DECODE = "all", "joined", "desk", "decode"
TAIL = 100_000
"""The cost per event is looked at over the last so many before each power of ten."""


class Caught(msgspec.Struct, frozen=True, kw_only=True):
    """How long it took. `tails` are microseconds of CPU per event over the last events before each power of ten."""

    events: int
    seconds: float
    cpu_seconds: float
    tails: dict[str, float]


@dataclass(slots=True)
class _Watch:
    """Clocks, and how much CPU had been used after how many events."""

    began: float = field(default_factory=time.perf_counter)
    began_cpu: float = field(default_factory=time.process_time)
    marks: list[tuple[int, float]] = field(default_factory=lambda: [(0, 0.0)])

    def saw(self, events: int) -> None:
        """Note how many events have been handled by now."""
        self.marks.append((events, time.process_time() - self.began_cpu))

    def caught(self) -> Caught:
        """Return the result."""
        events, cpu_seconds = self.marks[-1]
        powers = [10**power for power in range(5, 10) if 10**power <= events]
        tails = {str(end): (self._cpu_at(end) - self._cpu_at(end - TAIL)) / TAIL * 1e6 for end in powers}
        seconds = time.perf_counter() - self.began
        return Caught(events=events, seconds=seconds, cpu_seconds=cpu_seconds, tails=tails)

    def _cpu_at(self, events: int) -> float:
        """Return how much CPU had been used after so many events, between two batches by proportion."""
        after = next(place for place, (handled, _) in enumerate(self.marks) if handled >= events)
        if after == 0:
            return 0.0
        (low, low_cpu), (high, high_cpu) = self.marks[after - 1], self.marks[after]
        return low_cpu + (high_cpu - low_cpu) * (events - low) / (high - low)


def main() -> None:
    """Do it as a process of the box would: the same event loop, the same garbage collector."""
    log, directory, *parts = sys.argv[1:]
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 100)
    caught = uvloop.run(measured(Path(log), Path(directory), parts or [ALL]))
    print(msgspec.json.encode(caught).decode())


async def measured(path: Path, directory: Path, parts: Sequence[str]) -> Caught:
    """Catch up with a log from its start, over new views in the directory."""
    log = SqliteLog(path, PARTITIONS)
    watch = _Watch()
    if DECODE in parts:
        await _decode(log, watch)
    else:
        catalogue = SqliteStore(directory / "analytics.db", TABLES)
        store = FileStores(directory).open(1)
        consumers = [_desk(catalogue, log)] if {ALL, DESK} & {*parts} else []
        if {*parts} != {DESK}:
            kept = EVERY_PART if ALL in parts else frozenset(map(Part, {*parts} - {JOINED, DESK}))
            consumers.append(_views(store, log, kept))
        watch = _Watch()
        *others, last = consumers
        await asyncio.gather(_drain(last, watch.saw), *(_drain(other, lambda _: None) for other in others))
        for consumer in consumers:
            await consumer.close()
        await store.close()
        await catalogue.close()
    await log.close()
    return watch.caught()


def _views(store: SqliteStore, log: Log, parts: frozenset[Part]) -> Consumer:
    """Return what `live.follow` makes, with these parts only."""
    settings = AnalyticsSettings()
    return ProjectionConsumer(
        service=SERVICE,
        group=group_of(1),
        handler=Views(settings.bounds, parts),
        store=store,
        log=AlignedLog(log),
        contracts=SHOP,
        clock=SystemClock(),
        batch_records_max=settings.batch_records_max,
    )


def _desk(catalogue: SqliteStore, log: Log) -> Consumer:
    """Return what the service's wiring makes."""
    settings, clock = AnalyticsSettings(), SystemClock()
    handler = HighValueDesk(settings.thresholds(), TableProfiles(clock, settings.profiles_seconds))
    return Consumer(
        service=SERVICE, group=GROUP, handler=handler, store=catalogue, log=log, contracts=SHOP, clock=clock
    )


async def _drain(consumer: Consumer, saw: Callable[[int], None]) -> None:
    """Step until nothing is left, as a loop of the runner does."""
    while await consumer.step():
        saw(consumer.counts["records"])
        await asyncio.sleep(0)


async def _decode(log: SqliteLog, watch: _Watch) -> None:
    """Fetch everything and decode envelopes and data, and forget them."""
    positions = dict.fromkeys(sorted(await log.ends(EVENT_TOPICS)), 0)
    events = 0
    while records := await log.fetch(positions, AnalyticsSettings().batch_records_max):
        for record in records:
            SHOP.decode(parse(record))
            positions[record.topic, record.partition] = record.offset + 1
        events += len(records)
        watch.saw(events)


if __name__ == "__main__":
    main()
