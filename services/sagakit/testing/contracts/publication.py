"""Publishing and fetching: order, partitions, ends, pruning, waiting."""
# ruff: noqa: PLR2004 - a contract speaks in examples, and examples are numbers

import asyncio
from collections.abc import Iterable

import msgspec
import pytest

from sagakit.core.partitioner import partition_of
from sagakit.ports import Draft, Log, LogUnavailableError, OffsetOutOfRangeError, Record
from sagakit.testing.contracts.things import draft
from sagakit.testing.contracts.world import LogWorld

LONG_SECONDS = 30.0
"""Longer than any test waits: who returns after this time was not woken."""


class PublicationContract:
    """What `publish`, `fetch`, `ends`, `wait`, `prune` and `close` promise."""

    async def test_records_come_back_whole(self, world: LogWorld) -> None:
        log = world.open()
        drafts = [
            Draft("t", "k/🔑", b'{"ce_id":"1","n":2}', b"\x00\xff{"),
            Draft("t", "k/🔑", b"{}", b""),
            Draft("t", "k/🔑", b"{}", msgspec.Raw(b'{"a":1}')),
        ]
        await log.publish(drafts)
        place = ("t", partition_of("k/🔑", log.partitions))
        for other in (log, world.open()):
            records = await other.fetch({place: 0}, 10)
            assert [bytes(record.value) for record in records] == [bytes(each.value) for each in drafts]
            assert [(r.topic, r.partition, r.offset) for r in records] == [(*place, n) for n in range(3)]
            assert [(r.key, bytes(r.headers)) for r in records] == [(each.key, each.headers) for each in drafts]

    async def test_what_publish_returned_for_is_durable(self, world: LogWorld) -> None:
        await world.open().publish([draft("t", str(number), str(number)) for number in range(100)])
        after_the_crash = world.open()
        assert sorted(texts(await everything(after_the_crash, "t")), key=int) == [str(n) for n in range(100)]

    async def test_records_of_a_key_keep_their_order(self, world: LogWorld) -> None:
        logs = [world.open(), world.open()]
        for number in range(10):
            await logs[number % 2].publish([draft("t", f"k{key}", f"{number}") for key in range(20)])
        for key in range(20):
            mine = [r for r in await everything(logs[0], "t") if r.key == f"k{key}"]
            assert texts(mine) == [str(number) for number in range(10)]

    async def test_records_of_a_key_keep_their_order_within_one_publication(self, world: LogWorld) -> None:
        log = world.open()
        await log.publish([draft("t", f"k{number % 3}", str(number)) for number in range(3000)])
        for key in range(3):
            mine = [r for r in await everything(log, "t") if r.key == f"k{key}"]
            assert texts(mine) == [str(number) for number in range(key, 3000, 3)]

    async def test_offsets_count_from_nought_without_a_gap(self, world: LogWorld) -> None:
        logs = [world.open(), world.open()]
        await asyncio.gather(*(logs[n % 2].publish([draft("t", str(n)), draft("u", str(n))]) for n in range(40)))
        for topic in ("t", "u"):
            records = await everything(logs[0], topic)
            assert len(records) == 40
            for partition in range(logs[0].partitions):
                offsets = [record.offset for record in records if record.partition == partition]
                assert offsets == [*range(len(offsets))]

    async def test_a_key_decides_the_partition_as_with_kafka(self, world: LogWorld) -> None:
        log = world.open()
        await log.publish([draft("t", f"order-{number}") for number in range(50)])
        for record in await everything(log, "t"):
            assert record.key is not None
            assert record.partition == partition_of(record.key, log.partitions)

    async def test_a_record_needs_no_key(self, world: LogWorld) -> None:
        log = world.open()
        await log.publish([draft("t", None, "1"), draft("t", None, "2")])
        records = await everything(log, "t")
        assert sorted(texts(records)) == ["1", "2"]
        assert {record.key for record in records} == {None}

    async def test_publishing_nothing_publishes_nothing(self, world: LogWorld) -> None:
        log = world.open()
        await log.publish([])
        assert await everything(log, "t") == []

    async def test_the_number_of_partitions_stays(self, world: LogWorld) -> None:
        assert world.open().partitions == world.open().partitions > 1

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

    async def test_wait_returns_when_something_is_published(self, world: LogWorld) -> None:
        log, elsewhere = world.open(), world.open()
        for publisher in (log, elsewhere):
            waiting = asyncio.create_task(log.wait(LONG_SECONDS))
            await asyncio.sleep(0)
            await publisher.publish([draft("t", "k")])
            await asyncio.wait_for(waiting, LONG_SECONDS / 2)

    async def test_wait_wakes_everybody(self, world: LogWorld) -> None:
        log = world.open()
        waiting = [asyncio.create_task(log.wait(LONG_SECONDS)) for _ in range(3)]
        await asyncio.sleep(0)
        await log.publish([draft("t", "k")])
        await asyncio.wait_for(asyncio.gather(*waiting), LONG_SECONDS / 2)

    async def test_wait_returns_after_the_time(self, world: LogWorld) -> None:
        await asyncio.wait_for(world.open().wait(0.01), LONG_SECONDS)

    async def test_a_waiter_may_be_cancelled(self, world: LogWorld) -> None:
        log = world.open()
        waiting = asyncio.create_task(log.wait(LONG_SECONDS))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await log.publish([draft("t", "k")])

    async def test_a_closed_log_is_unavailable(self, world: LogWorld) -> None:
        log = world.open()
        waiting = asyncio.create_task(log.wait(LONG_SECONDS))
        await asyncio.sleep(0)
        await log.close()
        await asyncio.wait_for(waiting, LONG_SECONDS / 2)
        with pytest.raises(LogUnavailableError, match="closed"):
            await log.publish([draft("t", "k")])
        with pytest.raises(LogUnavailableError, match="closed"):
            await log.fetch({("t", 0): 0}, 1)
        await log.close()


def beginnings(log: Log, *topics: str) -> dict[tuple[str, int], int]:
    """Return offset 0 of every partition of these topics."""
    return {(topic, partition): 0 for topic in topics for partition in range(log.partitions)}


async def everything(log: Log, *topics: str) -> list[Record]:
    """Return all records of these topics."""
    positions = beginnings(log, *topics)
    found: list[Record] = []
    while records := await log.fetch(positions, 100):
        found += records
        for record in records:
            positions[record.topic, record.partition] = record.offset + 1
    return found


def texts(records: Iterable[Record]) -> list[str]:
    """Return what the records say."""
    return [msgspec.json.decode(record.value)["text"] for record in records]
