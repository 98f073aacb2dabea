"""Three brokers, of which one dies: what was published stays, in order, and everybody goes on."""

import asyncio
from collections import defaultdict
from contextlib import suppress
from uuid import uuid4

import msgspec
import pytest
from tests.real.kafka import Cluster

from sagakit.adapters.kafka import KafkaLog, KafkaSettings
from sagakit.adapters.kafka.specs import TopicSpec
from sagakit.adapters.kafka.topics import apply
from sagakit.ports import LogUnavailableError, Membership, Record
from sagakit.testing.contracts.things import draft
from sagakit.testing.contracts.world import beginnings, texts

pytestmark = pytest.mark.real

PARTITIONS = 6
KEYS = 20
TOTAL = 3000
SECONDS_MAX = 120.0


@pytest.mark.parametrize("end", ["kill", "pause"])
async def test_a_broker_that_dies_or_hangs_takes_nothing_with_it(kafka_cluster: Cluster, end: str) -> None:
    settings = KafkaSettings(
        bootstrap_servers=kafka_cluster.bootstrap_servers,
        topic_prefix=f"t{uuid4().hex[:8]}-",
        session_seconds=6.0,
    )
    await apply(settings, [TopicSpec.of("t", PARTITIONS, 3)])
    log = await KafkaLog.open(settings, ["t"])
    member = await _joined(log)
    found: list[Record] = []
    published, positions = 0, beginnings(log, "t")

    async def relay() -> None:
        nonlocal published
        while published < TOTAL:
            try:
                await log.publish([draft("t", f"k{n % KEYS}", str(n)) for n in range(published, published + 50)])
            except LogUnavailableError:
                continue
            published += 50

    async def consume() -> None:
        while len({*texts(found)}) < TOTAL:
            try:
                await member.assignment()
                records = await log.fetch(positions, 500)
            except LogUnavailableError:
                records = []
            found.extend(records)
            for record in records:
                assert positions[record.topic, record.partition] == record.offset
                positions[record.topic, record.partition] += 1
            if not records:
                await log.wait(0.2)

    async def die() -> None:
        while published < TOTAL // 3:
            await log.wait(0.01)
        await asyncio.to_thread(getattr(kafka_cluster.leader(f"{settings.topic_prefix}t", 0), end))

    async with asyncio.timeout(SECONDS_MAX), asyncio.TaskGroup() as tasks:
        for work in (relay(), consume(), die()):
            tasks.create_task(work)
    said: dict[str | None, list[int]] = defaultdict(list)
    for record in found:
        (text,) = texts([record])
        if int(text) not in said[record.key]:
            said[record.key].append(int(text))
    assert all(numbers == sorted(numbers) for numbers in said.values())
    assert sum(map(len, said.values())) == TOTAL
    async with asyncio.timeout(SECONDS_MAX):
        while await _assigned(member) != frozenset(range(PARTITIONS)):
            await log.wait(0.1)
    await log.close()


async def test_a_command_waits_for_a_partition_that_has_no_leader(kafka_cluster: Cluster) -> None:
    """It once gave up after the second that a service waits, which comes back by itself."""
    settings = KafkaSettings(bootstrap_servers=kafka_cluster.bootstrap_servers, topic_prefix=f"t{uuid4().hex[:8]}-")
    await apply(settings, [TopicSpec.of("t", 1, 1)])
    service = await KafkaLog.open(settings, ["t"])
    command = await KafkaLog.open(msgspec.structs.replace(settings, read_seconds=SECONDS_MAX), ["t"])
    leader = await asyncio.to_thread(kafka_cluster.leader, f"{settings.topic_prefix}t")
    await asyncio.to_thread(leader.kill)
    async with asyncio.timeout(SECONDS_MAX):
        for log in (service, command):
            while not await _has_no_leader(log):
                await log.wait(0.1)
    waiting = asyncio.create_task(command.ends(["t"]))
    with pytest.raises(LogUnavailableError, match="t-0"):
        await service.ends(["t"])
    assert not waiting.done()
    await asyncio.to_thread(kafka_cluster.mend)
    assert await asyncio.wait_for(waiting, SECONDS_MAX) == {("t", 0): 0}
    for log in (service, command):
        await log.close()


async def _joined(log: KafkaLog) -> Membership:
    """Enter the group of a cluster that may have come up a moment ago and know of no groups yet."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            with suppress(LogUnavailableError):
                return await log.join("g", "a", ["t"])


async def _has_no_leader(log: KafkaLog) -> bool:
    """Tell whether that is known to the client, which at first only knows that a broker is away."""
    try:
        async with asyncio.timeout(3):
            await log.ends(["t"])
    except LogUnavailableError as error:
        return "t-0" in str(error)
    except TimeoutError:
        return True
    return False


async def _assigned(member: Membership) -> frozenset[int]:
    try:
        return await member.assignment()
    except LogUnavailableError:
        return frozenset()
