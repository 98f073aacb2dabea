"""Consumer groups: who handles which partition."""

from collections.abc import Iterable

import pytest

from sagakit.adapters.memory import MemoryStore
from sagakit.ports import FencedError, Membership
from sagakit.testing.contracts.world import LogWorld

TOPICS = frozenset({"t", "u"})


class GroupsContract:
    """What `join`, `assignment` and `leave` promise."""

    async def test_a_lone_member_has_every_partition(self, world: LogWorld) -> None:
        log = world.open()
        member = await log.join("g", "a", TOPICS)
        await settled(world, [member])
        assert await member.assignment() == frozenset(range(log.partitions))

    async def test_two_members_split_the_partitions_in_ranges(self, world: LogWorld) -> None:
        log, elsewhere = world.open(), world.open()
        first, second = await log.join("g", "a", TOPICS), await elsewhere.join("g", "b", TOPICS)
        await settled(world, [first, second])
        half = (log.partitions + 1) // 2
        shares = [await first.assignment(), await second.assignment()]
        assert sorted(shares, key=min) == [frozenset(range(half)), frozenset(range(half, log.partitions))]

    async def test_more_members_than_partitions_leave_some_without(self, world: LogWorld) -> None:
        log = world.open()
        members = [await log.join("g", f"m{number}", TOPICS) for number in range(log.partitions + 2)]
        await settled(world, members)
        shares = [await member.assignment() for member in members]
        assert sorted(len(share) for share in shares) == [0, 0] + [1] * log.partitions
        assert frozenset().union(*shares) == frozenset(range(log.partitions))

    async def test_groups_do_not_know_of_each_other(self, world: LogWorld) -> None:
        log = world.open()
        for group in ("g", "h"):
            member = await log.join(group, "a", TOPICS)
            await settled(world, [member])
            assert await member.assignment() == frozenset(range(log.partitions))

    async def test_two_live_members_never_have_the_same_partition(self, world: LogWorld) -> None:
        log, elsewhere = world.open(), world.open()
        members = [await log.join("g", "c", TOPICS)]
        held = {0: await members[0].assignment()}
        for number, name in enumerate("badef", 1):
            members.append(await (log, elsewhere)[number % 2].join("g", name, TOPICS))
            for _ in range(6):
                for index, member in enumerate(members):
                    held[index] = await member.assignment()
                    assert sum(map(len, held.values())) == len(frozenset().union(*held.values()))
                await world.pass_by(world.lease_seconds / 20)
        assert frozenset().union(*held.values()) == frozenset(range(log.partitions))

    async def test_who_leaves_gives_its_partitions_up(self, world: LogWorld) -> None:
        log, elsewhere = world.open(), world.open()
        first, second = await log.join("g", "a", TOPICS), await elsewhere.join("g", "b", TOPICS)
        await settled(world, [first, second])
        await first.leave()
        await world.pass_by(world.lease_seconds / 10)
        assert await second.assignment() == frozenset(range(log.partitions))

    async def test_another_member_takes_over_from_a_dead_one(self, world: LogWorld) -> None:
        log, elsewhere = world.open(), world.open()
        first, second = await log.join("g", "a", TOPICS), await elsewhere.join("g", "b", TOPICS)
        await settled(world, [first, second])
        before = await second.assignment()
        await world.pass_by(world.lease_seconds * 0.6)
        assert await second.assignment() == before
        await world.pass_by(world.lease_seconds * 0.6)
        assert await second.assignment() == frozenset(range(log.partitions))

    async def test_asking_for_the_assignment_renews_the_lease(self, world: LogWorld) -> None:
        log, elsewhere = world.open(), world.open()
        first, second = await log.join("g", "a", TOPICS), await elsewhere.join("g", "b", TOPICS)
        await settled(world, [first, second])
        shares = [await first.assignment(), await second.assignment()]
        for _ in range(8):
            await world.pass_by(world.lease_seconds * 0.6)
            assert [await first.assignment(), await second.assignment()] == shares

    async def test_a_member_that_was_taken_for_dead_comes_back(self, world: LogWorld) -> None:
        log, elsewhere = world.open(), world.open()
        first, second = await log.join("g", "a", TOPICS), await elsewhere.join("g", "b", TOPICS)
        await settled(world, [first, second])
        await world.pass_by(world.lease_seconds * 1.2)
        assert len(await second.assignment()) == log.partitions
        await settled(world, [first, second])
        assert len(await first.assignment()) + len(await second.assignment()) == log.partitions
        assert await first.assignment()

    async def test_a_paused_member_is_fenced_by_the_progress(self, world: LogWorld) -> None:
        log, elsewhere, store = world.open(), world.open(), MemoryStore([])
        zombie, heir = await log.join("g", "a", TOPICS), await elsewhere.join("g", "b", TOPICS)
        await settled(world, [zombie, heir])
        (partition, *_) = believed = await zombie.assignment()
        await world.pass_by(world.lease_seconds * 1.2)
        assert believed <= await heir.assignment()
        await store.transact(lambda transaction: transaction.advance("g", "t", partition, 0, 5))
        with pytest.raises(FencedError):
            await store.transact(lambda transaction: transaction.advance("g", "t", partition, 0, 3))
        await settled(world, [heir, zombie])
        assert not await zombie.assignment() & await heir.assignment()

    async def test_a_new_instance_of_the_same_name_takes_the_place_at_once(self, world: LogWorld) -> None:
        log, elsewhere = world.open(), world.open()
        old = await log.join("g", "a", TOPICS)
        await settled(world, [old])
        new = await elsewhere.join("g", "a", TOPICS)
        await world.pass_by(world.lease_seconds / 10)
        assert await new.assignment() == frozenset(range(log.partitions))
        assert await old.assignment() == frozenset()
        await old.leave()
        await world.pass_by(world.lease_seconds / 10)
        assert await new.assignment() == frozenset(range(log.partitions))


async def settled(world: LogWorld, members: Iterable[Membership]) -> None:
    """Let every member ask often enough for all partitions to have changed hands."""
    for _ in range(3):
        for member in members:
            await member.assignment()
        await world.pass_by(world.lease_seconds / 10)
