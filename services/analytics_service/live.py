"""The loops that keep the views: one follows the live version, one builds another, one lets idle lanes catch up.

Which version is live stands in the catalogue, and is looked at before every batch: a swap takes effect at once, and
no batch is ever in two versions.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from analytics_service.reading import digest
from analytics_service.series import milliseconds
from analytics_service.tables import LANES, Lane
from analytics_service.versions import (
    FORMAT,
    State,
    Stores,
    Version,
    all_versions,
    build_on,
    compare_at,
    compared,
    first,
    live_of,
    take_over,
    under_way,
)
from analytics_service.views import EVENT_TOPICS, Bounds, Views, lane_key
from sagakit.core.contracts import Contracts
from sagakit.ports import Clock, Log, Reader, Store, Transaction
from sagakit.runtime.catalogue import PROCESS_DURATION
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.metrics import Distributions
from sagakit.runtime.projection import AlignedLog, ProjectionConsumer
from sagakit.runtime.relay import Relay

SERVICE = "analytics"
log_lines = logging.getLogger(__name__)

Place = tuple[str, int]


class WrongFormatError(Exception):
    """The live version was laid out by other code. Build another one: sagactl analytics rebuild."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the loops share."""

    catalogue: Store
    stores: Stores
    log: Log
    contracts: Contracts
    clock: Clock
    bounds: Bounds
    instance: str
    batch_records_max: int


@dataclass(slots=True)
class Follower:
    """One version while it is followed by this instance.

    Its outbox holds dead letters only; they are published once it is live.
    """

    number: int
    store: Store
    log: AlignedLog
    consumer: ProjectionConsumer
    relay: Relay
    views: Views

    async def close(self) -> None:
        """Give its partitions to others, and close its store."""
        await self.consumer.close()
        await self.store.close()


def follow(its: Surroundings, number: int) -> Follower:
    """Open a version, to go on where it stands."""
    store, log, views = its.stores.open(number), AlignedLog(its.log.for_reader()), Views(its.bounds)
    consumer = ProjectionConsumer(
        service=SERVICE,
        group=group_of(number),
        handler=views,
        store=store,
        log=log,
        contracts=its.contracts,
        clock=its.clock,
        instance=its.instance,
        batch_records_max=its.batch_records_max,
    )
    return Follower(number, store, log, consumer, Relay(SERVICE, store, its.log), views)


def group_of(number: int) -> str:
    """Return the consumer group of a version."""
    return f"{SERVICE}-v{number}"


class Live:
    """Follows whichever version is live. Keeps the promises of `Steps`, and is what questions are put to."""

    def __init__(self, its: Surroundings) -> None:
        """Open nothing before the first step."""
        self.name = "analytics views"
        self.counts: Counter[str] = Counter()
        self.consumed: Counter[str] = Counter()
        self.buried: Counter[tuple[str, str]] = Counter()
        self.durations = Distributions(PROCESS_DURATION)
        self._its = its
        self.follower: Follower | None = None

    @property
    def ready(self) -> bool:
        """True once partitions were assigned."""
        return self.follower is not None and self.follower.consumer.ready

    async def wait(self, seconds: float) -> None:
        """Return when the version that answers may have something to read, or after that time."""
        await (self.follower.log if self.follower else self._its.log).wait(seconds)

    @property
    def version(self) -> int:
        """The version that answers; 0 before there is one."""
        return self.follower.number if self.follower else 0

    @property
    def store(self) -> Store | None:
        """The store of the version that answers."""
        return self.follower.store if self.follower else None

    async def step(self) -> bool:
        """Handle one batch of the live version; tell whether it is behind.

        Raises:
            WrongFormatError: when other code has laid it out.
        """
        its = self._its
        live = live_of(await its.catalogue.view(all_versions))
        if live is None:
            failpoint("views.before_first")
            live = await its.catalogue.transact(lambda transaction: first(transaction, its.clock.now()))
            failpoint("views.after_first")
        if live.format != FORMAT:
            text = f"version {live.number} has format {live.format}, and this code reads {FORMAT}"
            raise WrongFormatError(f"{text}: build another one with sagactl analytics rebuild")
        if self.follower is None or self.follower.number != live.number:
            before, self.follower = self.follower, follow(its, live.number)
            if before is not None:
                log_lines.info("version %d of the views is live, after %d", live.number, before.number)
                await before.close()
        consumer = self.follower.consumer
        found = await consumer.step()
        await self.follower.relay.step()
        self.counts, self.buried = consumer.counts, consumer.buried
        self.consumed, self.durations = consumer.consumed, consumer.durations
        return found and consumer.behind

    @property
    def partitions(self) -> frozenset[int]:
        """Return the partitions that this instance holds."""
        return self.follower.consumer.assigned if self.follower else frozenset()

    async def close(self) -> None:
        """Give the partitions to others."""
        if self.follower is not None:
            await self.follower.close()
            self.follower = None


class Builder:
    """Builds the version that is under way, if one is. Keeps the promises of `Steps`."""

    def __init__(self, its: Surroundings, live: Live) -> None:
        """Compare with what `live` follows."""
        self.name = "analytics rebuild"
        self.counts: Counter[str] = Counter()
        self.consumed: Counter[str] = Counter()
        self.buried: Counter[tuple[str, str]] = Counter()
        self.durations = Distributions(PROCESS_DURATION)
        self._its = its
        self._live = live
        self._working = asyncio.Lock()
        self.follower: Follower | None = None

    @property
    def ready(self) -> bool:
        """True: nobody waits for it."""
        return True

    async def step(self) -> bool:
        """Do one piece of work for it; tell whether there is more at once."""
        async with self._working:
            return await self._step()

    @asynccontextmanager
    async def letting_go(self, number: int) -> AsyncIterator[None]:
        """Do nothing meanwhile, and have the version of this number not open."""
        async with self._working:
            if self.follower is not None and self.follower.number == number:
                await self.close()
            yield

    async def _step(self) -> bool:
        versions = await self._its.catalogue.view(all_versions)
        version, live = under_way(versions), live_of(versions)
        if self.follower is not None and (version is None or version.number != self.follower.number):
            await self.close()
        if version is None:
            return False
        if self.follower is None:
            self.follower = follow(self._its, version.number)
        follower = self.follower
        follower.log.stop_at(as_places(version.target) if version.state is State.COMPARING else None)
        if await follower.consumer.step():
            consumer = follower.consumer
            self.counts, self.buried = consumer.counts, consumer.buried
            self.consumed, self.durations = consumer.consumed, consumer.durations
            return True
        if version.state is State.BUILDING:
            return await self._meet(follower, version, live)
        return await self._compare(follower, version)

    async def close(self) -> None:
        """Let go of it; it goes on where it was."""
        if self.follower is not None:
            await self.follower.close()
            self.follower = None

    async def _meet(self, follower: Follower, version: Version, before: Version | None) -> bool:
        """Fix the offsets at which both are compared: those of the live version, once it is not behind in any."""
        its = self._its
        ends = await its.log.ends(EVENT_TOPICS)
        built = await follower.store.view(lambda reader: reader.progress(group_of(version.number)))
        if any(built.get(place, 0) < end for place, end in ends.items()):
            return False
        if before is not None and before.format != FORMAT:
            now = its.clock.now()
            failpoint("rebuild.before_swap")
            await its.catalogue.transact(lambda transaction: take_over(transaction, version.number, now))
            failpoint("rebuild.after_swap")
            return True
        live, number = self._live.store, self._live.version
        if live is None:
            return False

        async def look(reader: Reader) -> tuple[dict[Place, int], dict[str, int]]:
            return await reader.progress(group_of(number)), await digest(reader)

        target, expected = await live.view(look)
        if any(target.get(place, 0) < offset for place, offset in built.items()):
            return False
        named = {lane_key(*place): offset for place, offset in target.items()}
        failpoint("rebuild.before_target")
        await its.catalogue.transact(lambda transaction: compare_at(transaction, version.number, named, expected))
        failpoint("rebuild.after_target")
        return True

    async def _compare(self, follower: Follower, version: Version) -> bool:
        """Compare once every partition, whoever builds it, stands at its target."""
        its, target = self._its, as_places(version.target)

        async def look(reader: Reader) -> tuple[dict[Place, int], dict[str, int]]:
            return await reader.progress(group_of(version.number)), await digest(reader)

        built, found = await follower.store.view(look)
        if any(offset > target.get(place, 0) for place, offset in built.items()):
            # Another instance built on while the target was fixed, which says less than is in the rows now.
            failpoint("rebuild.before_build_on")
            await its.catalogue.transact(lambda transaction: build_on(transaction, version.number, version.target))
            failpoint("rebuild.after_build_on")
            return True
        if any(built.get(place, 0) != offset for place, offset in target.items()):
            return False
        failpoint("rebuild.before_swap")
        now = its.clock.now()
        await its.catalogue.transact(lambda transaction: compared(transaction, version.number, found, now))
        failpoint("rebuild.after_swap")
        return True


class Idleness:
    """Lets lanes in which nothing happens come along with the others, as Flink does with idle partitions.

    A lane is idle when all of it was read and nothing came for some time. It is lifted to the least of those that are
    not idle, or, when all are, to the furthest. Only who holds a partition lifts its lanes, so what is said to be
    closed is so.
    """

    def __init__(self, its: Surroundings, live: Live, idle_seconds: float) -> None:
        """Call a lane idle after so many seconds."""
        self.name = "analytics idleness"
        self._its = its
        self._live = live
        self._idle = timedelta(seconds=idle_seconds)

    async def step(self) -> bool:
        """Lift what is idle."""
        store, number = self._live.store, self._live.version
        mine = self._live.partitions
        if store is None or not mine:
            return False
        ends = await self._its.log.ends(EVENT_TOPICS)
        now_ms = milliseconds(self._its.clock.now() - self._idle)

        async def work(transaction: Transaction) -> None:
            done = await transaction.progress(group_of(number))
            found = await transaction.load(LANES, [lane_key(*place) for place in ends])
            known = {place: found.get(lane_key(*place)) or _unheard(*place) for place in ends}
            idle = {
                place
                for place, lane in known.items()
                if done.get(place, 0) >= ends[place] and (lane.logged_ms is None or lane.logged_ms <= now_ms)
            }
            changed = lifted(known, idle, self._its.bounds.lateness_ms)
            await transaction.save(LANES, [lane for lane in changed if lane.partition in mine])

        failpoint("idleness.before_commit")
        await store.transact(work)
        failpoint("idleness.after_commit")
        return False


def closed_ms(lane: Lane, lateness_ms: int) -> int | None:
    """Return what is closed in a lane: windows that end at or before it; None before anything is."""
    told = [] if lane.stream_ms is None else [lane.stream_ms - lateness_ms]
    told += [] if lane.lifted_ms is None else [lane.lifted_ms]
    return max(told, default=None)


def lifted(lanes: dict[Place, Lane], idle: set[Place], lateness_ms: int) -> list[Lane]:
    """Return the lanes that change when those that are idle come along with the others."""
    closed = {place: closed_ms(lane, lateness_ms) for place, lane in lanes.items()}
    heard = {place: at for place, at in closed.items() if at is not None}
    active = [at for place, at in heard.items() if place not in idle]
    goal = min(active) if active else max(heard.values(), default=None)
    if any(place not in idle and at is None for place, at in closed.items()):
        goal = None
    changed = []
    for place, lane in lanes.items():
        after = replace(lane, idle=place in idle)
        at = closed[place]
        if place in idle and goal is not None and (at is None or at < goal):
            after = replace(after, lifted_ms=goal)
        if after != lane:
            changed.append(after)
    return changed


def as_places(named: dict[str, int]) -> dict[Place, int]:
    """Return offsets by (topic, partition), from names that join both."""
    split = ((name.rpartition("/"), offset) for name, offset in named.items())
    return {(topic, int(number)): offset for (topic, _, number), offset in split}


def _unheard(topic: str, partition: int) -> Lane:
    return Lane(lane=lane_key(topic, partition), topic=topic, partition=partition)
