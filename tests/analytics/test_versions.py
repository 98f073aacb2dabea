"""Versions of the views: another is built beside the live one, compared with it, and swapped in, whatever happens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace
from tests.analytics.running import NOW_MS, MemoryStores
from tests.analytics.shop import Hand, cancelled_order, confirmed_order, placed, topic_of

from analytics_service import versions as kept
from analytics_service.live import Builder, Live, Surroundings, WrongFormatError, as_places, group_of
from analytics_service.orders import JoinedOrder
from analytics_service.reading import digest, every
from analytics_service.tables import JOINED, TOTALS, VIEWS
from analytics_service.versions import FORMAT, VERSIONS, State, Version, VersionError, all_versions
from analytics_service.views import EVENT_TOPICS, Bounds
from analytics_service.wiring import TABLES
from sagakit.adapters.memory import MemoryLog, MemoryLogState, MemoryStore
from sagakit.core.messages import Message
from sagakit.ports import Reader, Store
from sagakit.runtime.failpoints import ARMED
from sagakit.runtime.wire import draft
from shop_contracts.catalogue import SHOP

TURNS_MAX = 300
REBUILD_NAMES = ("rebuild.before_target", "rebuild.after_target", "rebuild.before_swap", "rebuild.after_swap")


class Killed(BaseException):
    """The process ends here: no error that anybody handles."""


@dataclass
class Disk:
    """What outlives every process: the catalogue, the stores of versions, and the log."""

    partitions: int = 2
    clock: Hand = field(default_factory=Hand)

    def __post_init__(self) -> None:
        self.catalogue = MemoryStore(TABLES)
        self.stores = MemoryStores()
        self.log = MemoryLog(self.clock, MemoryLogState(self.partitions))
        self.told = 0

    async def publish(self, *messages: Message) -> None:
        for message in messages:
            await self.log.publish([draft(topic_of(message.type), message)])

    async def another_order(self) -> None:
        """Let something happen in the shop: by turns an order that is confirmed, cancelled, or waits."""
        self.told += 1
        order_id, at_ms = f"order-{self.told}", NOW_MS + 100 * self.told
        kinds: list[Callable[[], list[Message]]] = [
            lambda: confirmed_order(order_id, at_ms),
            lambda: cancelled_order(order_id, at_ms),
            lambda: [placed(order_id, at_ms, user_id="bob", total="3.50", currency="EUR")],
        ]
        await self.publish(*kinds[self.told % 3]())

    async def orders(self, number: int) -> None:
        for _ in range(number):
            await self.another_order()

    async def change(self, work: Callable[..., Any], *asked: Any) -> Any:  # noqa: ANN401 - passed on
        return await self.catalogue.transact(lambda transaction: work(transaction, *asked, self.clock.now()))

    async def forget(self, number: int) -> None:
        await self.catalogue.transact(lambda transaction: kept.forget(transaction, number))
        await self.stores.drop(number)

    async def states(self) -> dict[int, State]:
        return {version.number: version.state for version in await self.catalogue.view(all_versions)}

    async def version(self, number: int) -> Version:
        found = await self.catalogue.view(all_versions)
        return next(version for version in found if version.number == number)

    async def digest(self, number: int) -> dict[str, int]:
        return await self.stores.open(number).view(digest)

    async def rows(self, number: int) -> dict[str, list[Any]]:
        """Return all that a version holds, but for how it was split into batches."""
        store = self.stores.open(number)

        async def look(reader: Reader) -> dict[str, list[Any]]:
            return {table.name: await every(reader, table) for table in VIEWS}

        return await store.view(look)

    async def truth(self) -> dict[str, int]:
        """Return what views say that were built at one go."""
        alone = Disk(self.partitions)
        alone.log = MemoryLog(self.clock, MemoryLogState(self.partitions, self.log.state.places))
        process = Process(alone, "alone")
        await process.follow()
        return await alone.digest(1)


class Process:
    """One instance of the service: it dies without saying so, and another begins where that one was."""

    def __init__(self, disk: Disk, instance: str = "0", batch: int = 5000) -> None:
        its = Surroundings(
            disk.catalogue,
            disk.stores,
            disk.log,
            SHOP,
            disk.clock,
            Bounds(),
            instance=instance,
            batch_records_max=batch,
        )
        self.live = Live(its)
        self.builder = Builder(its, self.live)

    async def step(self) -> bool:
        follows, builds = await self.live.step(), await self.builder.step()
        return follows or builds

    async def follow(self) -> None:
        """Let the live version hear all there is."""
        for _ in range(TURNS_MAX):
            if not await self.live.step():
                return
        raise AssertionError("it never comes to rest")

    async def settle(self) -> None:
        for _ in range(TURNS_MAX):
            if not await self.step():
                return
        raise AssertionError("it never comes to rest")


@contextmanager
def armed(name: str, strike: Callable[[], None]) -> Iterator[None]:
    ARMED[name] = strike
    try:
        yield
    finally:
        ARMED.clear()


def die() -> None:
    raise Killed


def after(passes: int) -> Callable[[], None]:
    """Return what dies when it is called for that time."""
    left = [passes]

    def strike() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    return strike


@pytest.fixture
def disk() -> Disk:
    return Disk()


async def live_and_another(disk: Disk, orders: int = 6, batch: int = 5000) -> Process:
    """Return a process whose live version has heard all, and that has begun to build another."""
    process = Process(disk, batch=batch)
    await disk.orders(orders)
    await process.follow()
    await disk.change(kept.begin)
    return process


async def test_the_first_version_is_made_when_there_is_none(disk: Disk) -> None:
    process = Process(disk)
    assert (process.live.version, process.live.store, process.live.ready) == (0, None, False)
    await process.settle()
    assert await disk.states() == {1: State.LIVE}
    assert process.live.ready
    assert process.builder.ready


async def test_a_rebuild_says_the_same_and_takes_the_place_of_the_old_version(disk: Disk) -> None:
    process = await live_and_another(disk)
    assert await disk.states() == {1: State.LIVE, 2: State.BUILDING}
    await process.settle()
    assert await disk.states() == {1: State.RETIRED, 2: State.LIVE}
    assert await disk.digest(2) == await disk.digest(1)
    assert await disk.rows(2) == await disk.rows(1)
    assert (await disk.version(1)).ended_at == disk.clock.now()
    assert (process.live.version, process.builder.follower) == (2, None)


async def test_a_rebuild_that_is_asked_for_before_there_is_a_live_version_ends_as_well(disk: Disk) -> None:
    await disk.orders(4)
    await disk.change(kept.begin)
    await Process(disk).settle()
    assert sorted((await disk.states()).values()) == [State.LIVE, State.RETIRED]
    (live,) = [number for number, state in (await disk.states()).items() if state is State.LIVE]
    assert await disk.digest(live) == await disk.truth()


async def test_a_rebuild_of_an_empty_shop_ends_as_well(disk: Disk) -> None:
    process = await live_and_another(disk, orders=0)
    await process.settle()
    assert await disk.states() == {1: State.RETIRED, 2: State.LIVE}


async def test_the_new_version_goes_on_where_it_was_compared(disk: Disk) -> None:
    process = await live_and_another(disk)
    await process.settle()
    await disk.orders(4)
    await process.settle()
    assert await disk.digest(2) == await disk.truth()
    assert await disk.digest(1) != await disk.digest(2), "a retired version is left as it was"


async def test_a_second_rebuild_is_a_conflict_until_the_first_has_ended(disk: Disk) -> None:
    process = await live_and_another(disk)
    with pytest.raises(VersionError, match="version 2 is building already"):
        await disk.change(kept.begin)
    await process.settle()
    await disk.change(kept.begin)
    assert await disk.states() == {1: State.RETIRED, 2: State.LIVE, 3: State.BUILDING}


async def tampered(disk: Disk) -> Process:
    """Return a process after a rebuild that found the live version to say something else."""
    process = await live_and_another(disk)
    store = disk.stores.open(1)
    (sums, *_) = await store.view(lambda reader: every(reader, TOTALS))
    wrong = replace(sums, series={**sums.series, "orders": sums.series["orders"] + 1})
    stranger = JoinedOrder(order_id="stranger", partition=0)

    async def tamper(transaction: Any) -> None:  # noqa: ANN401 - a transaction
        await transaction.save(TOTALS, [wrong])
        await transaction.save(JOINED, [stranger])

    await store.transact(tamper)
    await process.settle()
    return process


async def test_a_version_that_says_something_else_is_not_swapped_in_and_the_differences_are_named(disk: Disk) -> None:
    process = await tampered(disk)
    assert await disk.states() == {1: State.LIVE, 2: State.DIFFERENT}
    assert (await disk.version(2)).differences == (
        "joined orders: the live version says 7, this one 6",
        "total orders: the live version says 7, this one 6",
    )
    assert process.live.version == 1
    with pytest.raises(VersionError, match="version 2 is different already; let it end, or drop it"):
        await disk.change(kept.begin)


async def test_a_different_version_can_be_accepted_and_left_again(disk: Disk) -> None:
    process = await tampered(disk)
    await disk.change(kept.accept, 2)
    await process.settle()
    assert (await disk.states(), process.live.version) == ({1: State.RETIRED, 2: State.LIVE}, 2)
    await disk.orders(3)
    await process.settle()
    await disk.change(kept.accept, 1)
    await process.settle()
    assert (await disk.states(), process.live.version) == ({1: State.LIVE, 2: State.RETIRED}, 1)
    assert (await disk.version(1)).ended_at is None
    assert (await disk.digest(1))["joined orders"] == 10, "it has caught up with what came meanwhile"


async def test_a_different_version_can_be_dropped_and_another_be_built(disk: Disk) -> None:
    process = await tampered(disk)
    await disk.forget(2)
    await disk.change(kept.begin)
    await process.settle()
    assert await disk.states() == {1: State.LIVE, 3: State.DIFFERENT}, "the live one is still wrong"
    assert await disk.digest(3) == await disk.truth()


async def test_an_instance_that_did_not_hear_of_a_drop_does_not_take_the_next_version_for_the_dropped_one(
    disk: Disk,
) -> None:
    one, other = Process(disk, "0", batch=2), Process(disk, "1", batch=2)
    await disk.orders(6)
    await both(one, other)
    await disk.change(kept.begin)
    for _ in range(2):
        await one.step()
        await other.step()
    assert other.builder.follower is not None, "it still builds"
    async with one.builder.letting_go(2):
        await disk.forget(2)
    await disk.change(kept.begin)
    await both(one, other)
    assert await disk.states() == {1: State.RETIRED, 3: State.LIVE}
    assert await disk.digest(3) == await disk.truth()
    await disk.forget(1)
    await disk.change(kept.begin)
    assert await disk.states() == {3: State.LIVE, 4: State.BUILDING}


async def test_a_version_that_is_dropped_while_it_is_built_is_let_go_of(disk: Disk) -> None:
    process = await live_and_another(disk, batch=4)
    await process.step()
    assert process.builder.follower is not None
    async with process.builder.letting_go(2):
        await disk.forget(2)
    await process.settle()
    assert await disk.states() == {1: State.LIVE}
    assert set(disk.stores.states) == {1}, "nobody opened it again"


async def test_what_cannot_be_done_with_a_version_is_told_with_its_state(disk: Disk) -> None:
    await live_and_another(disk)
    with pytest.raises(VersionError, match="version 1 is live; only a different or a retired one"):
        await disk.change(kept.accept, 1)
    with pytest.raises(VersionError, match="version 2 is building; only a different or a retired one"):
        await disk.change(kept.accept, 2)
    with pytest.raises(VersionError, match="version 1 is live and cannot be dropped"):
        await disk.forget(1)
    with pytest.raises(VersionError, match="there is no version 9"):
        await disk.change(kept.accept, 9)


@pytest.mark.parametrize("name", REBUILD_NAMES)
async def test_a_builder_that_is_killed_at_any_place_is_finished_by_the_next(disk: Disk, name: str) -> None:
    process = await live_and_another(disk)
    with armed(name, die), pytest.raises(Killed):
        await process.settle()
    await disk.orders(2)
    disk.clock.moment = disk.clock.moment.replace(hour=1)
    await Process(disk).settle()
    assert await disk.states() == {1: State.RETIRED, 2: State.LIVE}
    assert await disk.digest(2) == await disk.truth()


@pytest.mark.parametrize("name", ["consumer.before_commit", "consumer.within", "consumer.after_commit"])
@pytest.mark.parametrize("passes", [1, 2, 3])
async def test_a_builder_that_is_killed_between_two_batches_goes_on_where_it_was(
    disk: Disk, name: str, passes: int
) -> None:
    process = await live_and_another(disk, batch=4)
    with armed(name, after(passes)), pytest.raises(Killed):
        await process.settle()
    assert await disk.states() == {1: State.LIVE, 2: State.BUILDING}
    await Process(disk, batch=3).settle()
    assert await disk.states() == {1: State.RETIRED, 2: State.LIVE}
    assert await disk.digest(2) == await disk.truth()


@pytest.mark.parametrize("name", ["views.before_first", "views.after_first"])
async def test_one_first_version_is_made_although_the_process_is_killed_around_it(disk: Disk, name: str) -> None:
    with armed(name, die), pytest.raises(Killed):
        await Process(disk).settle()
    await Process(disk).settle()
    assert await disk.states() == {1: State.LIVE}


@pytest.mark.parametrize("batch", [1, 7, 5000])
async def test_a_rebuild_under_load_meets_the_live_version_and_takes_its_place(disk: Disk, batch: int) -> None:
    process = await live_and_another(disk, orders=9, batch=max(batch, 7))
    for turn in range(60):
        if turn % (3 if batch < 100 else 1) == 0:
            await disk.another_order()
        await process.live.step()
        await process.builder.step()
        await process.builder.step()
    await process.settle()
    assert await disk.states() == {1: State.RETIRED, 2: State.LIVE}
    assert await disk.digest(2) == await disk.truth()


async def both(one: Process, other: Process) -> None:
    """Step both until neither has anything to do, also not after the leases have been looked at again."""
    idle = 0
    for _ in range(TURNS_MAX):
        idle = 0 if any([await one.step(), await other.step()]) else idle + 1
        if idle > 3:
            return
    raise AssertionError("they never come to rest")


async def test_two_instances_drive_one_rebuild_to_its_end(disk: Disk) -> None:
    one, other = Process(disk, "0", batch=4), Process(disk, "1", batch=6)
    await disk.orders(6)
    await both(one, other)
    assert one.live.partitions | other.live.partitions == {0, 1}
    assert not one.live.partitions & other.live.partitions
    await disk.change(kept.begin)
    await both(one, other)
    assert await disk.states() == {1: State.RETIRED, 2: State.LIVE}
    await disk.orders(3)
    await both(one, other)
    assert (one.live.version, other.live.version) == (2, 2)
    assert await disk.digest(2) == await disk.truth()


async def test_when_one_of_two_instances_dies_the_other_finishes_the_rebuild(disk: Disk) -> None:
    one, other = Process(disk, "0", batch=4), Process(disk, "1", batch=4)
    await disk.orders(6)
    await both(one, other)
    await disk.change(kept.begin)
    for _ in range(2):
        await one.step()
        await other.step()
    for _ in range(30):  # one is not stepped any more; its leases run out
        await disk.clock.sleep(1)
        await other.step()
    await other.settle()
    assert await disk.states() == {1: State.RETIRED, 2: State.LIVE}
    assert await disk.digest(2) == await disk.truth()


async def test_a_version_that_another_instance_built_beyond_the_target_is_compared_further_on(disk: Disk) -> None:
    process = await live_and_another(disk)
    # What this instance saw of the live version is older than what the other has built meanwhile.
    target = {f"{topic}/{number}": offset for (topic, number), offset in (await disk.log.ends(EVENT_TOPICS)).items()}
    expected = await disk.digest(1)
    await disk.another_order()
    building = Process(disk)
    while not await progress_is_at_the_end(disk, disk.stores.open(2)):
        await building.builder.step()
    await disk.catalogue.transact(lambda transaction: kept.compare_at(transaction, 2, target, expected))
    assert (await disk.version(2)).state is State.COMPARING
    await process.settle()
    await process.settle()
    assert await disk.states() == {1: State.RETIRED, 2: State.LIVE}
    assert await disk.digest(2) == await disk.truth()


async def progress_is_at_the_end(disk: Disk, store: Store) -> bool:
    done = await store.view(lambda reader: reader.progress(group_of(2)))
    ends = await disk.log.ends(EVENT_TOPICS)
    return all(done.get(place, 0) == end for place, end in ends.items())


async def old_format(disk: Disk) -> None:
    """Let the live version be one that older code laid out."""
    version = replace(await disk.version(1), format=FORMAT - 1)
    await disk.catalogue.transact(lambda transaction: transaction.save(VERSIONS, [version]))


async def test_a_live_version_of_another_format_is_not_read_and_says_what_to_do(disk: Disk) -> None:
    await Process(disk).settle()
    await old_format(disk)
    with pytest.raises(WrongFormatError, match="version 1 has format 0, and this code reads 1: build another one"):
        await Process(disk).live.step()


async def test_another_version_takes_the_place_of_one_whose_format_nobody_reads_any_more(disk: Disk) -> None:
    await disk.orders(6)
    await Process(disk).settle()
    await old_format(disk)
    process = Process(disk)
    await disk.change(kept.begin)
    for _ in range(10):
        with pytest.raises(WrongFormatError):
            await process.live.step()
        await process.builder.step()
        if (await disk.states())[2] is State.LIVE:
            break
    await process.settle()
    assert await disk.states() == {1: State.RETIRED, 2: State.LIVE}
    assert await disk.digest(2) == await disk.truth()
    with pytest.raises(VersionError, match="version 1 has format 0"):
        await disk.change(kept.accept, 1)


def test_differences_are_named_both_ways_and_nothing_is_nothing() -> None:
    told = kept.differences({"a": 1, "b": 2, "z": 0}, {"b": 3, "c": 4})
    assert told == [
        "a: the live version says 1, this one 0",
        "b: the live version says 2, this one 3",
        "c: the live version says 0, this one 4",
    ]


def test_the_name_of_a_place_says_its_topic_and_its_partition() -> None:
    assert as_places({"orders.events/3": 7, "a/b/0": 1}) == {("orders.events", 3): 7, ("a/b", 0): 1}
