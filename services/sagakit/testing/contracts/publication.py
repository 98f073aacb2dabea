"""Publishing: order, partitions, durability."""

# ruff: noqa: PLR2004 - a contract speaks in examples, and examples are numbers

import asyncio

import msgspec

from sagakit.core.partitioner import partition_of
from sagakit.ports import Draft
from sagakit.testing.contracts.things import draft
from sagakit.testing.contracts.world import LogWorld, everything, texts


class PublicationContract:
    """What `publish` and `partitions` promise."""

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
