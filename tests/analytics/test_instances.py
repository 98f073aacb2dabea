"""Instances of the analytics side by side, and a version that is built faster than the live one is followed."""

from dataclasses import dataclass, field
from datetime import timedelta

from tests.analytics.running import NOW_MS, MemoryStores
from tests.analytics.shop import Hand, placed

from analytics_service.live import Builder, Idleness, Live, Surroundings
from analytics_service.reading import every
from analytics_service.settings import AnalyticsSettings
from analytics_service.tables import LANES, Lane
from analytics_service.versions import State, all_versions, begin, under_way
from analytics_service.wiring import TABLES
from sagakit.adapters.memory import MemoryLog, MemoryLogState, MemoryStore
from sagakit.core.partitioner import partition_of
from sagakit.runtime.wire import draft
from shop_contracts.catalogue import SHOP

PARTITIONS = 2
IDLE_SECONDS = 10


@dataclass
class World:
    """One log, one catalogue and the stores of versions, for as many instances as there are."""

    clock: Hand = field(default_factory=Hand)
    catalogue: MemoryStore = field(default_factory=lambda: MemoryStore(TABLES))
    stores: MemoryStores = field(default_factory=MemoryStores)

    def __post_init__(self) -> None:
        self.log = MemoryLog(self.clock, MemoryLogState(PARTITIONS))

    def instance(self, name: str) -> Surroundings:
        bounds = AnalyticsSettings().bounds
        return Surroundings(self.catalogue, self.stores, self.log, SHOP, self.clock, bounds, name, 100)

    async def order(self, partition: int, at_ms: int) -> None:
        """Let an order be placed that goes to this partition."""
        names = (f"order-{at_ms}-{number}" for number in range(100))
        name = next(name for name in names if partition_of(name, PARTITIONS) == partition)
        await self.log.publish([draft("orders.events", placed(name, at_ms))])

    async def lanes(self) -> dict[str, Lane]:
        store = self.stores.open(1)
        return {lane.lane: lane for lane in await store.view(lambda reader: every(reader, LANES))}

    async def state(self) -> State | None:
        """Return where the version stands that is under way."""
        version = under_way(await self.catalogue.view(all_versions))
        return version.state if version else None


async def follow(*lives: Live) -> None:
    """Let each instance step until nobody has anything to do."""
    for _ in range(20):
        for live in lives:
            await live.step()


async def test_only_who_holds_a_partition_lets_its_lanes_come_along() -> None:
    world = World()
    first, second = world.instance("0"), world.instance("1")
    one, other = Live(first), Live(second)
    await follow(one, other)
    assert sorted([*one.partitions, *other.partitions]) == [0, 1]
    await world.order(0, NOW_MS)
    await world.order(1, NOW_MS - 30_000)
    await follow(one, other)
    world.clock.moment += timedelta(seconds=IDLE_SECONDS + 1)
    before = await world.lanes()
    for its, live in ((first, one), (second, other)):
        await Idleness(its, live, IDLE_SECONDS).step()
        after = await world.lanes()
        changed = {lane.partition for name, lane in after.items() if before.get(name) != lane}
        assert changed == live.partitions
        before = after
    assert {lane.lifted_ms for lane in before.values()} == {None, NOW_MS - 60_000}


async def test_who_holds_nothing_lets_nobody_come_along() -> None:
    world = World()
    its = world.instance("0")
    live = Live(its)
    assert not await Idleness(its, live, IDLE_SECONDS).step()
    assert world.stores.states == {}


async def test_a_version_that_is_ahead_of_the_live_one_waits_for_it_before_they_are_compared() -> None:
    world = World()
    its = world.instance("0")
    live = Live(its)
    builder = Builder(its, live)
    await world.order(0, NOW_MS)
    await follow(live)
    await world.catalogue.transact(lambda transaction: begin(transaction, world.clock.now()))
    await world.order(0, NOW_MS + 1000)
    for _ in range(5):
        await builder.step()
        assert await world.state() is State.BUILDING
    await follow(live)
    states = []
    for _ in range(5):
        await builder.step()
        states.append(await world.state())
    assert states[0] is State.COMPARING
    assert states[-1] is None
    await live.step()
    assert live.version == 2
