"""A process that catches up with a log, or builds another version: begun anew after each SIGKILL over its files."""

import asyncio
import gc
import json
import os
import signal
from collections import Counter
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from typing_extensions import override

from analytics_service.desk import GROUP, Desk, TableProfiles
from analytics_service.files import FileStores
from analytics_service.live import SERVICE, Builder, Follower, Live, Surroundings, follow, group_of
from analytics_service.settings import AnalyticsSettings
from analytics_service.tables import VIEWS
from analytics_service.versions import all_versions, begin, live_of, under_way
from analytics_service.views import EVENT_TOPICS
from analytics_service.wiring import TABLES
from sagakit.adapters.sqlite import SqliteLog, SqliteStore
from sagakit.adapters.sqlite.log import PARTITIONS
from sagakit.hosting.process import GARBAGE_THRESHOLD
from sagakit.ports import StoreUnavailableError
from sagakit.runtime.clock import SystemClock
from sagakit.runtime.consumer import Consumer
from sagakit.runtime.failpoints import ARMED, arm_from_environment
from shop_contracts.catalogue import SHOP

BATCH_RECORDS_MAX = 2000
LEASE_SECONDS = 0.5
BUSY_SECONDS = 0.3
STOP_VARIABLE = "STOP_AT"
"""Like `SAGAPLANE_FAILPOINT`; there the process stops itself by SIGSTOP, and goes on when it is told to."""
PAUSE_SECONDS = 0.02
VERSION, NEXT_VERSION = 1, 2


def catch_up(directory: str, instance: str, environment: Mapping[str, str]) -> None:
    """Be the instance of that name until everybody together has counted all."""
    _prepare(environment)
    asyncio.run(_catch_up(Path(directory), instance))


def catch_up_alone(directory: str, environment: Mapping[str, str]) -> None:
    """Count all, and single out the orders of high value, in one process."""
    _prepare(environment)
    asyncio.run(_catch_up(Path(directory), "0", desk=True))


def rebuild(directory: str, environment: Mapping[str, str]) -> None:
    """Build version 2 beside version 1, begin it if nobody has, until it is live."""
    _prepare(environment)
    asyncio.run(_rebuild(Path(directory)))


def told(directory: Path, instance: str) -> Counter[str]:
    """Return what an instance has counted, once it has ended well."""
    return Counter(json.loads(_counts(directory, instance).read_text()))


class HastyStores(FileStores):
    """Files whose lock is waited for only shortly."""

    @override
    def open(self, version: int) -> SqliteStore:
        return SqliteStore(self.path(version), VIEWS, "NORMAL", busy_seconds=BUSY_SECONDS)


def surroundings(directory: Path, catalogue: SqliteStore, log: SqliteLog, instance: str) -> Surroundings:
    """Return what the service's loops share, over files of this directory."""
    return Surroundings(
        catalogue=catalogue,
        stores=HastyStores(directory),
        log=log,
        contracts=SHOP,
        clock=SystemClock(),
        bounds=AnalyticsSettings().bounds,
        instance=instance,
        batch_records_max=BATCH_RECORDS_MAX,
    )


def _prepare(environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 100)
    arm_from_environment()
    if place := environment.get(STOP_VARIABLE):
        name, _, number = place.partition(":")
        passes = count(1)
        ARMED[name] = lambda: os.kill(os.getpid(), signal.SIGSTOP) if next(passes) == int(number) else None


async def _catch_up(directory: Path, instance: str, *, desk: bool = False) -> None:
    log = SqliteLog(directory / "log.db", PARTITIONS, lease_seconds=LEASE_SECONDS)
    catalogue = SqliteStore(directory / "analytics.db", TABLES)
    follower = await _opened(surroundings(directory, catalogue, log, instance))
    consumers: list[Consumer] = [follower.consumer, *([_desk(catalogue, log)] if desk else [])]
    more = True
    while more or not await _all_handled(follower, log):
        try:
            more = any([await consumer.step() for consumer in consumers])
            if not more:
                await asyncio.sleep(PAUSE_SECONDS)
        except StoreUnavailableError:
            await asyncio.sleep(PAUSE_SECONDS)
    for consumer in consumers:
        await consumer.close()
    await follower.store.close()
    await catalogue.close()
    await log.close()
    _counts(directory, instance).write_text(json.dumps(follower.consumer.counts))


def _desk(catalogue: SqliteStore, log: SqliteLog) -> Consumer:
    handler = Desk(AnalyticsSettings().thresholds(), TableProfiles(SystemClock(), seconds=60))
    return Consumer(
        service=SERVICE, group=GROUP, handler=handler, store=catalogue, log=log, contracts=SHOP, clock=SystemClock()
    )


async def _opened(its: Surroundings) -> Follower:
    while True:
        try:
            return follow(its, VERSION)
        except StoreUnavailableError:
            await asyncio.sleep(PAUSE_SECONDS)


async def _all_handled(follower: Follower, log: SqliteLog) -> bool:
    done = await follower.store.view(lambda reader: reader.progress(group_of(follower.number)))
    return done == {place: end for place, end in (await log.ends(EVENT_TOPICS)).items() if end}


async def _rebuild(directory: Path) -> None:
    log = SqliteLog(directory / "log.db", PARTITIONS, lease_seconds=LEASE_SECONDS)
    catalogue = SqliteStore(directory / "analytics.db", TABLES)
    its = surroundings(directory, catalogue, log, "0")
    live = Live(its)
    builder = Builder(its, live)
    await live.step()
    versions = await catalogue.view(all_versions)
    if not under_way(versions) and live.version == VERSION:
        await catalogue.transact(lambda transaction: begin(transaction, its.clock.now()))
    while (version := live_of(await catalogue.view(all_versions))) is None or version.number != NEXT_VERSION:
        if not any([await live.step(), await builder.step()]):
            await asyncio.sleep(PAUSE_SECONDS)
    await builder.close()
    await live.close()
    await catalogue.close()
    await log.close()


def _counts(directory: Path, instance: str) -> Path:
    return directory / f"{instance}.json"
