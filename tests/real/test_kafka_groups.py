"""Groups in Kafka, beyond what the port promises: who hangs, who is thrown out, and what happens while hands change."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
from tests.real.kafka import Broker
from tests.real.kafka_world import PARTITIONS, KafkaWorld, kafka_world

from sagakit.adapters.kafka import KafkaLog
from sagakit.ports import LogUnavailableError, Membership
from sagakit.testing.contracts.groups import settled
from sagakit.testing.contracts.things import draft
from sagakit.testing.contracts.world import texts

pytestmark = pytest.mark.real

ALL = frozenset(range(PARTITIONS))
TOPICS = ("t", "u")
SECONDS_MAX = 60.0


@pytest.fixture
async def world(kafka: Broker) -> AsyncIterator[KafkaWorld]:
    async with kafka_world(kafka.bootstrap_servers) as world:
        yield world


async def all_assigned(world: KafkaWorld, members: Sequence[Membership]) -> list[frozenset[int]]:
    """Ask until every partition is somebody's; return the shares."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            shares = [await member.assignment() for member in members]
            if frozenset().union(*shares) == ALL:
                return shares
            await world.pass_by(0.02)


async def test_an_old_instance_never_throws_the_new_one_of_its_name_out(world: KafkaWorld) -> None:
    log, elsewhere = world.open(), world.open()
    old = await log.join("g", "a", TOPICS)
    await all_assigned(world, [old])
    new = await elsewhere.join("g", "a", TOPICS)
    for _ in range(100):
        assert await new.assignment() == ALL
        await old.assignment()
        await world.pass_by(world.lease_seconds / 20)
    assert await old.assignment() == frozenset()
    await old.leave()
    assert await new.assignment() == ALL


async def test_an_old_instance_that_was_silent_for_long_comes_back_as_nobody(world: KafkaWorld) -> None:
    log, elsewhere = world.open(), world.open()
    old = await log.join("g", "a", TOPICS)
    await all_assigned(world, [old])
    await world.pass_by(world.lease_seconds * 1.2)
    new = await elsewhere.join("g", "a", TOPICS)
    await all_assigned(world, [new])
    for _ in range(20):
        await old.assignment()
        assert await new.assignment() == ALL
        await world.pass_by(world.lease_seconds / 20)
    assert await old.assignment() == frozenset()


async def test_a_restarted_instance_takes_its_place_without_dividing_the_group(world: KafkaWorld) -> None:
    log, elsewhere, again = world.open(), world.open(), world.open()
    first, second = await log.join("g", "a", TOPICS), await elsewhere.join("g", "b", TOPICS)
    await settled(world, [first, second])
    shares = [await first.assignment(), await second.assignment()]
    restarted = await again.join("g", "a", TOPICS)
    assert await restarted.assignment() == shares[0]
    for _ in range(10):
        assert [await restarted.assignment(), await second.assignment()] == shares
        await world.pass_by(world.lease_seconds / 20)
    third = await elsewhere.join("g", "c", TOPICS)
    await settled(world, [restarted, second, third])
    three = await all_assigned(world, [restarted, second, third])
    assert sorted(map(len, three)) == [1, 1, 2]


async def test_what_a_killed_instance_was_to_give_up_is_given_up_by_the_next_of_its_name(world: KafkaWorld) -> None:
    log, elsewhere, again = world.open(), world.open(), world.open()
    killed = await log.join("g", "a", TOPICS)
    await all_assigned(world, [killed])
    second = await elsewhere.join("g", "b", TOPICS)
    assert await second.assignment() == frozenset()
    restarted = await again.join("g", "a", TOPICS)
    assert list(map(len, await all_assigned(world, [restarted, second]))) == [2, 2]


async def test_whoever_leaves_hands_over_within_a_few_heartbeats(world: KafkaWorld) -> None:
    log, elsewhere = world.open(), world.open()
    first, second = await log.join("g", "a", TOPICS), await elsewhere.join("g", "b", TOPICS)
    await settled(world, [first, second])
    loop = asyncio.get_running_loop()
    began = loop.time()
    await first.leave()
    await all_assigned(world, [second])
    assert loop.time() - began < world.lease_seconds / 2


async def test_whoever_does_not_give_up_keeps_what_is_its_own_while_the_group_is_divided(world: KafkaWorld) -> None:
    log, elsewhere = world.open(), world.open()
    first = await log.join("g", "a", TOPICS)
    await all_assigned(world, [first])
    second = await elsewhere.join("g", "b", TOPICS)
    kept = frozenset(range(PARTITIONS // 2))
    for _ in range(10):
        assert await first.assignment() >= kept
        await second.assignment()
        await world.pass_by(world.lease_seconds / 20)
    assert await first.assignment() == kept
    assert await second.assignment() == ALL - kept


async def test_a_service_that_hangs_loses_its_partitions_and_comes_back(world: KafkaWorld) -> None:
    log = world.open()
    hanging = await log.join("g", "a", TOPICS)
    await all_assigned(world, [hanging])
    heard: list[frozenset[int]] = []
    stop = threading.Event()

    async def other() -> None:
        heir_log = await KafkaLog.open(world.settings, TOPICS)
        heir = await heir_log.join("g", "b", TOPICS)
        while not stop.is_set():
            heard.append(await heir.assignment())
            await heir_log.wait(0.02)
        await heir.leave()
        await heir_log.close()

    thread = threading.Thread(target=lambda: asyncio.run(other()))
    thread.start()
    time.sleep(3 * world.lease_seconds)  # noqa: ASYNC251 - the loop hangs: that is what is tested
    assert heard[-1] == ALL
    back = await hanging.assignment()
    assert back <= ALL
    stop.set()
    await asyncio.to_thread(thread.join)
    await all_assigned(world, [hanging])


async def test_nothing_is_lost_while_members_come_and_go_under_load(world: KafkaWorld) -> None:
    """Ten times somebody joins or leaves; what was handled is kept by partition, as a store would keep it."""
    logs = [world.open(), world.open()]
    handled: dict[tuple[str, int], int] = {}
    seen: set[str] = set()
    believed: dict[str, frozenset[int]] = {}
    published = 0
    over = asyncio.Event()

    async def publish() -> None:
        nonlocal published
        while not over.is_set():
            await logs[0].publish([draft("t", f"k{n}", str(n)) for n in range(published, published + 20)])
            published += 20
            await logs[0].wait(0.01)

    async def serve(name: str, leave: asyncio.Event) -> None:
        log = logs[len(believed) % 2].for_reader()
        member = await log.join("g", name, TOPICS)
        while not leave.is_set():
            assigned = believed[name] = await member.assignment()
            others = [share for other, share in believed.items() if other != name]
            assert not assigned & frozenset().union(*others)
            places = {("t", number): handled.get(("t", number), 0) for number in assigned}
            records = await log.fetch(places, 100) if places else []
            for record in records:
                assert handled.get((record.topic, record.partition), 0) == record.offset
                handled[record.topic, record.partition] = record.offset + 1
            seen.update(texts(records))
            await log.wait(0.02)
        believed[name] = frozenset()
        await member.leave()

    async with asyncio.timeout(2 * SECONDS_MAX), asyncio.TaskGroup() as tasks:
        publishing = tasks.create_task(publish())
        leaving = {name: asyncio.Event() for name in "abcdef"}
        serving = [tasks.create_task(serve("a", leaving["a"])), tasks.create_task(serve("b", leaving["b"]))]
        for name, leaver in (("c", "a"), ("d", "b"), ("e", "c"), ("f", "d")):
            await world.pass_by(world.lease_seconds / 4)
            serving.append(tasks.create_task(serve(name, leaving[name])))
            await world.pass_by(world.lease_seconds / 4)
            leaving[leaver].set()
        over.set()
        await publishing
        while len(seen) < published:
            await world.pass_by(0.02)
        for leave in leaving.values():
            leave.set()
    assert seen == {str(number) for number in range(published)}


async def test_how_far_a_group_has_come_is_seen_with_the_tools_of_kafka(kafka: Broker, world: KafkaWorld) -> None:
    log = world.open()
    await log.publish([draft("t", "k") for _ in range(5)])
    member = await log.join("g", "a", TOPICS)
    await all_assigned(world, [member])
    member.handled({("t", 0): 2, ("t", 1): 0})
    member.handled({("t", 0): 4})
    await member.leave()
    group = world.settings.topic_prefix + "g"
    lines = kafka.command("kafka-consumer-groups", "--describe", "--group", group).splitlines()
    told = {tuple(line.split()[1:4]) for line in lines if line.startswith(group)}
    assert (f"{world.settings.topic_prefix}t", "0", "4") in told


async def test_members_are_seen_with_the_tools_of_kafka(kafka: Broker, world: KafkaWorld) -> None:
    member = await world.open().join("g", "payment-0", TOPICS)
    await all_assigned(world, [member])
    group = world.settings.topic_prefix + "g"
    told = kafka.command("kafka-consumer-groups", "--describe", "--members", "--verbose", "--group", group)
    assert "payment-0" in told
    assert f"{world.settings.topic_prefix}t:0,1,2,3" in told


async def test_a_session_that_brokers_do_not_allow_is_named(world: KafkaWorld) -> None:
    log = await KafkaLog.open(msgspec.structs.replace(world.settings, session_seconds=0.01), TOPICS)
    try:
        with pytest.raises(LogUnavailableError, match=r"SAGAPLANE_KAFKA_SESSION_SECONDS=0\.01 is outside"):
            await log.join("g", "a", TOPICS)
    finally:
        await log.close()
