"""Fetching: from where, how much, whose turn, and where it ends."""

# ruff: noqa: PLR2004 - a contract speaks in examples, and examples are numbers

import asyncio

import pytest

from sagakit.core.partitioner import partition_of
from sagakit.ports import OffsetOutOfRangeError
from sagakit.testing.contracts.things import draft
from sagakit.testing.contracts.world import LONG_SECONDS, LogWorld, beginnings, everything, texts


class FetchingContract:
    """What `fetch`, `ends` and `prune` promise."""

    async def test_fetch_returns_records_from_the_offset_on(self, world: LogWorld) -> None:
        log = world.open()
        await log.publish([draft("t", "k", str(number)) for number in range(5)])
        await log.publish([draft("t", "k", str(number)) for number in range(5, 8)])
        place = ("t", partition_of("k", log.partitions))
        for offset in range(9):
            assert texts(await log.fetch({place: offset}, 100)) == [str(number) for number in range(offset, 8)]

    async def test_fetch_returns_at_most_its_limit(self, world: LogWorld) -> None:
        log = world.open()
        await log.publish([draft("t", str(number)) for number in range(50)])
        positions = beginnings(log, "t")
        for limit in (1, 3, 49, 50, 51):
            assert len(await log.fetch(positions, limit)) == min(limit, 50)

    async def test_fetch_keeps_the_order_of_offsets_per_partition(self, world: LogWorld) -> None:
        log = world.open()
        for _ in range(5):
            await log.publish([draft(topic, str(number)) for number in range(20) for topic in ("t", "u")])
        positions = beginnings(log, "t", "u")
        for _ in range(50):
            for record in await log.fetch(positions, 7):
                assert positions[record.topic, record.partition] == record.offset
                positions[record.topic, record.partition] += 1
        assert positions == await log.ends(["t", "u"])

    async def test_a_clock_that_is_put_back_changes_no_order_of_offsets(self, world: LogWorld) -> None:
        log = world.open()
        for seconds in (60, -30, -10, 5):
            await world.pass_by(seconds)
            await log.publish([draft("t", "k", str(seconds))])
        assert texts(await everything(log, "t")) == ["60", "-30", "-10", "5"]
        offsets = [record.offset for record in await everything(log, "t")]
        assert offsets == [0, 1, 2, 3]

    async def test_fetch_returns_nothing_at_once_when_there_is_nothing(self, world: LogWorld) -> None:
        log = world.open()
        assert await asyncio.wait_for(log.fetch(beginnings(log, "t", "missing"), 10), LONG_SECONDS) == []
        await log.publish([draft("t", "k")])
        assert await asyncio.wait_for(log.fetch(await log.ends(["t", "missing"]), 10), LONG_SECONDS) == []

    async def test_fetch_returns_nothing_of_what_was_not_asked_for(self, world: LogWorld) -> None:
        log = world.open()
        await log.publish([draft(topic, str(number)) for number in range(20) for topic in ("t", "u")])
        assert {(r.topic, r.partition) for r in await log.fetch({("t", 1): 0}, 100)} == {("t", 1)}

    @pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 8])
    async def test_no_partition_is_starved_by_another(self, world: LogWorld, limit: int) -> None:
        log = world.open()
        await log.publish([draft("t", str(number)) for number in range(400)])
        consumers = [beginnings(log, "t"), beginnings(log, "t")]
        seen: list[set[int]] = [set(), set()]
        for turn in range(4 * log.partitions):
            for record in await log.fetch(consumers[turn % 2], limit):
                seen[turn % 2].add(record.partition)
                consumers[turn % 2][record.topic, record.partition] += 1
            await log.publish([])
        assert seen == [{*range(log.partitions)}] * 2

    async def test_an_offset_above_the_end_is_out_of_range(self, world: LogWorld) -> None:
        log = world.open()
        await log.publish([draft("t", "k")])
        number = partition_of("k", log.partitions)
        with pytest.raises(OffsetOutOfRangeError, match=f"t-{number}: offset 2"):
            await log.fetch({("t", number): 2}, 10)
        with pytest.raises(OffsetOutOfRangeError, match="missing-0: offset 1"):
            await log.fetch({("missing", 0): 1}, 10)

    async def test_an_offset_below_the_first_is_out_of_range(self, world: LogWorld) -> None:
        log = world.open()
        await log.publish([draft("t", "k"), draft("t", "k")])
        await world.pass_by(60)
        await log.prune("t", world.now())
        number = partition_of("k", log.partitions)
        for other in (log, world.open()):
            with pytest.raises(OffsetOutOfRangeError, match=f"t-{number}: offset 1"):
                await other.fetch({("t", number): 1}, 10)
            assert await other.fetch({("t", number): 2}, 10) == []

    async def test_ends_lie_behind_the_last_record_of_every_partition(self, world: LogWorld) -> None:
        log = world.open()
        assert await log.ends(["t"]) == beginnings(log, "t")
        await log.publish([draft("t", "k"), draft("t", "k"), draft("u", "k")])
        number = partition_of("k", log.partitions)
        assert await log.ends(["t", "missing"]) == {**beginnings(log, "t", "missing"), ("t", number): 2}

    async def test_prune_drops_the_older_records_and_says_how_many(self, world: LogWorld) -> None:
        log = world.open()
        await log.publish([draft(topic, str(number), "old") for number in range(10) for topic in ("t", "u")])
        await world.pass_by(60)
        moment = world.now()
        await log.publish([draft("t", str(number), "new") for number in range(10)])
        ends = await log.ends(["t"])
        assert await log.prune("t", moment) == 10
        assert await log.prune("t", moment) == 0
        assert await log.ends(["t"]) == ends
        firsts = {place: end // 2 for place, end in ends.items()}
        assert texts(await log.fetch(firsts, 100)) == ["new"] * 10
        assert len(await everything(log, "u")) == 10

    async def test_offsets_go_on_after_everything_was_pruned(self, world: LogWorld) -> None:
        log = world.open()
        await log.publish([draft("t", "k"), draft("t", "k")])
        await world.pass_by(60)
        assert await log.prune("t", world.now()) == 2
        await log.publish([draft("t", "k", "third")])
        place = ("t", partition_of("k", log.partitions))
        assert [(r.offset, *texts([r])) for r in await log.fetch({place: 2}, 10)] == [(2, "third")]
