"""What a log in Kafka promises beyond the port: what others see of it, and what it survives."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from tests.real.kafka import Broker
from tests.real.kafka_world import PARTITIONS, TOPICS, KafkaWorld, kafka_world

from sagakit.adapters.kafka import KafkaLog, WrongTopicsError
from sagakit.adapters.kafka.specs import TopicSpec
from sagakit.adapters.kafka.topics import apply
from sagakit.core.messages import Message
from sagakit.core.partitioner import partition_of
from sagakit.ports import Draft, LogUnavailableError, OffsetOutOfRangeError, Record
from sagakit.runtime.projection import AlignedLog
from sagakit.runtime.wire import draft as message_draft
from sagakit.runtime.wire import parse
from sagakit.testing.contracts.things import draft
from sagakit.testing.contracts.world import beginnings, everything, texts

pytestmark = pytest.mark.real

KEYS = 20
SECONDS_MAX = 60.0


@pytest.fixture
async def world(kafka: Broker) -> AsyncIterator[KafkaWorld]:
    async with kafka_world(kafka.bootstrap_servers) as world:
        yield world


@pytest.fixture
def log(world: KafkaWorld) -> KafkaLog:
    return world.open()


def numbered(numbers: Iterable[int]) -> list[Draft]:
    return [draft("t", f"k{number % KEYS}", str(number)) for number in numbers]


def first_said(records: Iterable[Record]) -> dict[str | None, list[int]]:
    """Return what was said under each key, each thing once: publications that are repeated repeat."""
    said: dict[str | None, list[int]] = defaultdict(list)
    for record in records:
        (text,) = texts([record])
        if int(text) not in said[record.key]:
            said[record.key].append(int(text))
    return said


async def test_other_clients_see_cloud_events(world: KafkaWorld, log: KafkaLog) -> None:
    message = Message(
        id="m-1",
        type="OrderCreated",
        source="order",
        time=datetime(2026, 1, 1, 12, tzinfo=UTC),
        saga_id="order-7",
        correlation_id="c-1",
        causation_id="",
        attempt=2,
        traceparent="00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
        data=msgspec.Raw(b'{"orderId":"order-7"}'),
    )
    await log.publish([message_draft("t", message)])
    async with AIOKafkaConsumer(
        world.settings.topic_prefix + "t",
        bootstrap_servers=world.settings.bootstrap_servers,
        auto_offset_reset="earliest",
    ) as consumer:
        seen = await asyncio.wait_for(consumer.getone(), SECONDS_MAX)
    headers = dict(seen.headers)
    assert (seen.key, seen.value) == (b"order-7", b'{"orderId":"order-7"}')
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_type"] == b"OrderCreated"
    assert headers["ce_id"] == b"m-1"
    assert headers["ce_source"] == b"order"
    assert headers["ce_time"] == b"2026-01-01T12:00:00Z"
    assert headers["ce_attempt"] == b"2"
    assert headers["content-type"] == b"application/json"
    assert headers["traceparent"] == b"00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
    assert not any(name.startswith("json") for name in headers)
    (record,) = await everything(log, "t")
    assert parse(record) == message


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_what_others_compress_is_read(world: KafkaWorld, log: KafkaLog, codec: str) -> None:
    values = [b"%d" % number * 1000 for number in range(KEYS)]
    servers = world.settings.bootstrap_servers
    async with AIOKafkaProducer(bootstrap_servers=servers, compression_type=codec, linger_ms=50) as producer:
        sent = [await producer.send(world.settings.topic_prefix + "t", value, partition=0) for value in values]
        await asyncio.wait_for(asyncio.gather(*sent), SECONDS_MAX)
    assert [record.value for record in await everything(log, "t")] == values


async def test_the_time_of_a_record_is_that_of_the_brokers(log: KafkaLog) -> None:
    before = datetime.now(UTC).timestamp()
    await log.publish([draft("t", "k")])
    (record,) = await everything(log, "t")
    assert before - 0.001 <= record.appended_at.timestamp() <= datetime.now(UTC).timestamp()
    assert [again.appended_at for again in await everything(log.for_reader(), "t")] == [record.appended_at]


async def test_an_offset_outside_the_log_is_told_with_what_the_log_holds(world: KafkaWorld, log: KafkaLog) -> None:
    place = ("t", partition_of("k", PARTITIONS))
    await log.publish([draft("t", "k") for _ in range(3)])
    assert len(await log.fetch({place: 1}, 1)) == 1
    await world.pass_by(0.05)
    await log.prune("t", world.now())
    await log.publish([draft("t", "k"), draft("t", "k")])
    for reader, offset in ((log.for_reader(), 0), (world.open(), 2), (log, 6), (log, 2)):
        with pytest.raises(OffsetOutOfRangeError) as caught:
            await reader.fetch({place: offset}, 10)
        assert str(caught.value) == f"t-{place[1]}: offset {offset} is not in the log, which holds 3 to 5"
    assert [record.offset for record in await log.fetch({place: 3}, 10)] == [3, 4]


async def test_an_offset_outside_the_log_is_told_also_while_other_partitions_have_records(log: KafkaLog) -> None:
    await log.publish(numbered(range(400)))
    ends = await log.ends(["t"])
    positions = {**beginnings(log, "t"), ("t", 0): ends["t", 0] + 1}
    for _ in range(2):
        with pytest.raises(OffsetOutOfRangeError, match="t-0: offset"):
            await log.fetch(positions, 10)


async def test_a_topic_made_anew_is_another_one(kafka: Broker, world: KafkaWorld, log: KafkaLog) -> None:
    first = await log.identities(TOPICS)
    assert len({*first.values()}) == len(TOPICS)
    assert await world.open().identities(TOPICS) == first
    kafka.delete_topic(world.settings.topic_prefix + "t")
    async with asyncio.timeout(SECONDS_MAX):
        while not await apply(world.settings, [TopicSpec.of("t", PARTITIONS, 1)]):
            pass
    second = await log.identities(TOPICS)
    assert second["t"] != first["t"]
    assert {**second, "t": ""} == {**first, "t": ""}


async def test_topics_that_are_missing_or_unequal_are_named(world: KafkaWorld) -> None:
    prefix = world.settings.topic_prefix
    with pytest.raises(WrongTopicsError, match=f"no such topic: {prefix}v, {prefix}w; run `sagactl topics apply`"):
        await KafkaLog.open(world.settings, ["t", "v", "w"])
    await apply(world.settings, [TopicSpec.of("more", PARTITIONS + 1, 1)])
    with pytest.raises(WrongTopicsError, match=f"{prefix}more has 5, {prefix}t has 4"):
        await KafkaLog.open(world.settings, ["t", "more"])


async def test_readers_stand_in_places_of_their_own(log: KafkaLog) -> None:
    await log.publish(numbered(range(100)))
    readers = [log, log.for_reader(), log.for_reader()]
    positions = [beginnings(log, "t") for _ in readers]
    for _ in range(100):
        for reader, own in zip(readers, positions, strict=True):
            for record in await reader.fetch(own, 7):
                assert own[record.topic, record.partition] == record.offset
                own[record.topic, record.partition] += 1
    assert positions == [await log.ends(["t"])] * len(readers)


async def test_what_was_published_is_there_at_once_for_everybody(world: KafkaWorld, log: KafkaLog) -> None:
    reader, ends = world.open(), beginnings(log, "t")
    for number in range(50):
        await log.publish([draft("t", f"k{number % 3}", str(number))])
        records = await reader.fetch(ends, 10)
        assert texts(records) == [str(number)]
        ends[records[0].topic, records[0].partition] += 1


async def test_whoever_waits_hears_of_it_at_once_and_has_it_in_hand(world: KafkaWorld, log: KafkaLog) -> None:
    reader = world.open()
    assert await reader.fetch(beginnings(log, "t"), 10) == []
    loop = asyncio.get_running_loop()
    waiting = asyncio.create_task(reader.wait(SECONDS_MAX))
    for _ in range(3):
        await asyncio.sleep(0)
    await log.publish([draft("t", "k", "news")])
    published = loop.time()
    await asyncio.wait_for(waiting, SECONDS_MAX)
    assert loop.time() - published < 1.0
    assert texts(await reader.fetch(beginnings(log, "t"), 10)) == ["news"]


async def test_a_reader_that_lost_its_places_does_not_wake_for_them(log: KafkaLog) -> None:
    reader = log.for_reader()
    await log.publish(numbered(range(10)))
    await reader.fetch(beginnings(log, "t"), 1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(10):
        await reader.wait(5.0)
    assert 0.5 < loop.time() - began < 10.0


async def test_times_are_in_order_over_all_partitions_for_who_aligns_them(log: KafkaLog) -> None:
    for number in range(30):
        await log.publish([draft(topic, str(number), str(number)) for topic in ("t", "u")])
    aligned = AlignedLog(log.for_reader())
    positions = beginnings(log, "t", "u")
    found: list[Record] = []
    while records := await aligned.fetch(positions, 7):
        found += records
        for record in records:
            positions[record.topic, record.partition] = record.offset + 1
    times = [record.appended_at for record in found]
    assert times == sorted(times)
    assert sorted(map(int, texts(found))) == sorted([*range(30), *range(30)])


async def test_records_of_any_size_that_a_broker_takes_come_through(log: KafkaLog) -> None:
    sizes = [0, 1, 300_000, 900_000, 5, 900_000]
    await log.publish([Draft("t", "k", b"{}", b"x" * size) for size in sizes])
    assert [len(record.value) for record in await everything(log, "t")] == sizes


async def test_a_record_that_no_broker_takes_is_named_and_the_next_ones_go_through(log: KafkaLog) -> None:
    with pytest.raises(LogUnavailableError, match=r"t-\d: .*[Ll]arge"):
        await log.publish([Draft("t", "k", b"{}", b"x" * 2_000_000)])
    await log.publish(numbered(range(40)))
    assert len(await everything(log, "t")) == 40


async def test_a_publication_that_is_cancelled_leaves_the_order_whole(log: KafkaLog) -> None:
    for attempt in range(10):
        publishing = asyncio.create_task(log.publish(numbered(range(2000))))
        for _ in range(attempt * 3):
            await asyncio.sleep(0)
        publishing.cancel()
        await asyncio.wait([publishing])
    await log.publish(numbered(range(2000)))
    said = first_said(await everything(log, "t"))
    assert all(numbers == sorted(numbers) for numbers in said.values())
    assert sum(map(len, said.values())) == 2000


async def test_a_broker_that_is_away_is_named_within_the_time(kafka: Broker, world: KafkaWorld) -> None:
    impatient = await KafkaLog.open(msgspec.structs.replace(world.settings, publish_seconds=1.0), TOPICS)
    kafka.kill()
    try:
        with pytest.raises(LogUnavailableError, match="not published within 1 s: Kafka is unavailable"):
            await impatient.publish(numbered(range(3)))
        with pytest.raises(LogUnavailableError, match="Kafka is unavailable"):
            await impatient.fetch(beginnings(impatient, "t"), 10)
        await asyncio.wait_for(impatient.wait(0.2), SECONDS_MAX)
    finally:
        kafka.start()
        await impatient.close()


async def test_a_log_is_let_go_in_bounded_time_while_the_broker_hangs(kafka: Broker, world: KafkaWorld) -> None:
    log = await KafkaLog.open(world.settings, TOPICS)
    await log.join("g", "a", ["t"])
    waiting = asyncio.create_task(log.wait(SECONDS_MAX))
    kafka.pause()
    fetching = asyncio.create_task(log.fetch(beginnings(log, "t"), 10))
    try:
        for _ in range(3):
            await asyncio.sleep(0)
        await asyncio.wait_for(log.close(), SECONDS_MAX / 4)
        await asyncio.wait_for(waiting, SECONDS_MAX / 4)
        with pytest.raises(LogUnavailableError):
            await asyncio.wait_for(fetching, SECONDS_MAX / 4)
    finally:
        kafka.unpause()


@pytest.mark.parametrize("end", ["kill", "stop", "pause"])
async def test_a_broker_that_comes_back_finds_everybody_as_they_were(
    kafka: Broker, world: KafkaWorld, log: KafkaLog, end: str
) -> None:
    """A relay publishes in order and again after an error, a consumer reads; meanwhile the broker goes and comes."""
    reader, member = world.open(), await log.join("g", "a", ["t"])
    positions, found = beginnings(log, "t"), list[Record]()
    total, published = 3000, 0
    downtime: asyncio.Task[None] | None = None

    async def relay() -> None:
        nonlocal published
        while published < total:
            try:
                await log.publish(numbered(range(published, published + 50)))
            except LogUnavailableError:
                continue
            published += 50

    async def consume() -> None:
        while len({*texts(found)}) < total:
            try:
                records = await reader.fetch(positions, 500)
            except LogUnavailableError:
                await reader.wait(0.1)
                continue
            found.extend(records)
            for record in records:
                assert positions[record.topic, record.partition] == record.offset
                positions[record.topic, record.partition] += 1
            if not records:
                await reader.wait(0.5)

    async def go_and_come() -> None:
        while published < total // 3:
            await reader.wait(0.01)
        await asyncio.to_thread(getattr(kafka, end))
        await asyncio.to_thread(kafka.mend)

    async def keep_the_place() -> None:
        assert downtime is not None
        while not downtime.done() or await assigned() != frozenset(range(PARTITIONS)):
            await assigned()
            await reader.wait(0.05)

    async def assigned() -> frozenset[int]:
        try:
            return await member.assignment()
        except LogUnavailableError:
            return frozenset()

    async with asyncio.timeout(2 * SECONDS_MAX), asyncio.TaskGroup() as tasks:
        downtime = tasks.create_task(go_and_come())
        for work in (relay(), consume(), keep_the_place()):
            tasks.create_task(work)
    said = first_said(found)
    assert all(numbers == sorted(numbers) for numbers in said.values())
    assert sum(map(len, said.values())) == total
