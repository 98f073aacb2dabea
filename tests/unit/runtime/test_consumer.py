"""The consumer loop: a message that cannot be handled is a dead letter, and holds no other up."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial

import msgspec
import pytest
from tests.unit.order_service.shop import NOON, HandClock
from typing_extensions import override

from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.adapters.memory.log import MemoryLogState
from sagakit.core.contracts import Contracts
from sagakit.core.messages import Message
from sagakit.ports import Draft, LogUnavailableError, OffsetOutOfRangeError, Query, TopicRecreatedError, Transaction
from sagakit.runtime.consumer import KNOWN_TOPICS, Consumer, KnownTopic, require_known_partitions
from sagakit.runtime.metrics import Distributed, Timing
from sagakit.runtime.relay import Relay
from sagakit.runtime.wire import draft
from shop_contracts.catalogue import SHOP

TOPIC = "payments.events"
ANYWHERE = Contracts(SHOP.by_type.values())
"""The shop's messages, on whichever topic they come."""


class Fragile:
    """Cannot handle what is bad; remembers what was made durable, and how often it was asked."""

    topics = frozenset({TOPIC})

    def __init__(self) -> None:
        self.asked = 0
        self.handled: list[str] = []
        self.open: list[str] = []

    def wants(self, message_type: str) -> bool:
        return message_type == "PaymentCompleted"

    async def handle(self, transaction: Transaction, messages: Sequence[Message], now: datetime) -> None:
        del transaction, now
        self.asked += 1
        if any(message.saga_id.startswith("bad") for message in messages):
            raise ValueError("cannot be handled")
        self.open = [message.saga_id for message in messages]

    def committed(self) -> None:
        self.handled += self.open

    def failed(self) -> None:
        self.open = []


def a_message(saga_id: str) -> Message:
    return Message(
        id=f"id-{saga_id}",
        type="PaymentCompleted",
        source="payment",
        time=NOON,
        saga_id=saga_id,
        correlation_id=saga_id,
        causation_id="",
    )


async def test_bad_messages_are_dead_letters_and_all_others_are_handled_once_without_much_ado() -> None:
    clock = HandClock()
    store, log, handler = MemoryStore(()), MemoryLog(clock), Fragile()
    bad = {100, 101, 555}
    names = [f"{'bad' if number in bad else 'order'}-{number}" for number in range(800)]
    await log.publish([draft(TOPIC, a_message(name)) for name in names])
    consumer = Consumer(
        service="order", group="order", handler=handler, store=store, log=log, contracts=SHOP, clock=clock
    )
    while await consumer.step():
        pass
    assert sorted(handler.handled) == sorted(name for name in names if name.startswith("order"))
    letters = [entry.draft for entry in await store.outbox(100)]
    assert sorted(letter.key or "" for letter in letters) == sorted(f"bad-{number}" for number in bad)
    assert {letter.topic for letter in letters} == {"order.dlq"}
    assert handler.asked < 3 * 2 * 10 + 10


async def test_what_is_for_another_service_to_say_is_a_dead_letter_and_not_believed() -> None:
    clock, handler = HandClock(), Growing()
    handler.grow()
    store, log = MemoryStore((KNOWN_TOPICS,)), MemoryLog(clock)
    await log.publish([draft("inventory.events", a_message("forged")), draft(TOPIC, a_message("true"))])
    consumer = Consumer(service="x", group="x", handler=handler, store=store, log=log, contracts=SHOP, clock=clock)
    while await consumer.step():
        pass
    assert handler.handled == ["true"]
    (letter,) = [entry.draft for entry in await store.outbox(10)]
    assert (letter.topic, letter.key) == ("x.dlq", "forged")
    assert b"PaymentCompleted does not come on inventory.events" in letter.value


class NamedLog(MemoryLog):
    """A log whose topics can be made anew, as those of a broker can."""

    identity = "first"

    @override
    async def identities(self, topics: Iterable[str]) -> dict[str, str]:
        return dict.fromkeys(topics, self.identity)

    async def anew(self, identity: str, *saga_ids: str) -> None:
        self.identity = identity
        self.state.places.clear()
        await self.publish([draft(TOPIC, a_message(saga_id)) for saga_id in saga_ids])


class Read:
    """A consumer that has read three messages, over a log that can be made anew."""

    def __init__(self) -> None:
        clock = HandClock()
        self.store, self.log, self.handler = MemoryStore((KNOWN_TOPICS,)), NamedLog(clock), Fragile()
        self.consumer = Consumer(
            service="order",
            group="order",
            handler=self.handler,
            store=self.store,
            log=self.log,
            contracts=SHOP,
            clock=clock,
        )

    async def begin(self) -> None:
        await self.log.anew("first", "order-1", "order-2", "order-3")
        while await self.consumer.step():
            pass
        assert sorted(self.handler.handled) == ["order-1", "order-2", "order-3"]

    async def repair(self) -> None:
        """Do what a person does: go back to the beginning, and know the topic as it is now."""

        async def work(transaction: Transaction) -> None:
            for (topic, partition), offset in (await transaction.progress("order")).items():
                await transaction.advance("order", topic, partition, offset, 0)
            await transaction.save(KNOWN_TOPICS, [KnownTopic(TOPIC, self.log.identity)])

        await self.store.transact(work)


@pytest.fixture
async def read() -> Read:
    read = Read()
    await read.begin()
    return read


async def test_a_consumer_whose_offsets_are_not_in_the_log_goes_on_where_a_repair_put_it(read: Read) -> None:
    await read.log.anew("first")
    for _ in range(2):
        with pytest.raises(OffsetOutOfRangeError):
            await read.consumer.step()
    await read.repair()
    await read.log.anew("first", "order-4")
    while await read.consumer.step():
        pass
    assert read.handler.handled[3:] == ["order-4"]


async def test_a_consumer_reads_nothing_of_a_topic_made_anew_until_a_repair_knows_it(read: Read) -> None:
    await read.log.anew("second", "order-4")
    with pytest.raises(OffsetOutOfRangeError):
        await read.consumer.step()
    await read.log.anew("second", *(f"order-{number}" for number in range(40, 80)))
    for _ in range(2):
        with pytest.raises(TopicRecreatedError, match="sagactl offsets check"):
            await read.consumer.step()
    assert len(read.handler.handled) == 3
    await read.repair()
    while await read.consumer.step():
        pass
    assert len(read.handler.handled) == 43


class GrownLog(NamedLog):
    """The same log after somebody added partitions to every topic."""

    @property
    @override
    def partitions(self) -> int:
        return super().partitions + 1


def restarted(read: Read, log: NamedLog) -> Consumer:
    return Consumer(
        service="order",
        group="order",
        handler=read.handler,
        store=read.store,
        log=log,
        contracts=SHOP,
        clock=HandClock(),
    )


async def known(store: MemoryStore) -> list[KnownTopic]:
    return await store.view(lambda reader: reader.select(KNOWN_TOPICS, Query()))


async def test_a_service_that_finds_other_partitions_than_it_knows_reads_and_publishes_nothing(read: Read) -> None:
    grown = GrownLog(HandClock())
    await grown.publish([draft(TOPIC, a_message("order-4"))])
    consumer = restarted(read, grown)
    relay = Relay("order", read.store, grown, check=partial(require_known_partitions, read.store, grown))
    await read.store.transact(lambda transaction: transaction.send([draft(TOPIC, a_message("order-5"))]))
    there, here = grown.partitions, read.log.partitions
    for _ in range(2):
        for steps in (consumer, relay):
            with pytest.raises(TopicRecreatedError, match=rf"{TOPIC}: has {there} partitions, and had {here}"):
                await steps.step()
    assert len(read.handler.handled) == 3
    assert sum((await grown.ends([TOPIC])).values()) == 1
    beside = Relay("order", read.store, read.log, check=partial(require_known_partitions, read.store, read.log))
    assert await beside.step()


async def test_the_partitions_of_a_topic_that_was_known_before_they_were_kept_are_filled_in(read: Read) -> None:
    await read.store.transact(lambda transaction: transaction.save(KNOWN_TOPICS, [KnownTopic(TOPIC, "first")]))
    await require_known_partitions(read.store, GrownLog(HandClock()))
    await restarted(read, read.log).step()
    assert await known(read.store) == [KnownTopic(TOPIC, "first", read.log.partitions)]


async def test_a_consumer_that_runs_goes_where_its_offsets_were_moved_to(read: Read) -> None:
    await read.repair()
    await read.log.publish([draft(TOPIC, a_message("order-4"))])
    while await read.consumer.step():
        pass
    assert read.consumer.counts["fenced"] == 1
    assert "order-4" in read.handler.handled[3:]


class Growing(Fragile):
    """Listens to more from some moment on."""

    topics = frozenset({TOPIC})

    def grow(self) -> None:
        self.topics = frozenset({TOPIC, "inventory.events"})


async def test_a_topic_that_is_listened_to_later_is_read_from_its_beginning_and_the_others_go_on() -> None:
    clock, handler = HandClock(), Growing()
    store, log = MemoryStore((KNOWN_TOPICS,)), MemoryLog(clock)
    consumer = Consumer(service="x", group="x", handler=handler, store=store, log=log, contracts=ANYWHERE, clock=clock)
    await log.publish([draft(TOPIC, a_message("a")), draft("inventory.events", a_message("b"))])
    await consumer.step()
    handler.grow()
    await log.publish([draft(TOPIC, a_message("c"))])
    while await consumer.step():
        pass
    assert sorted(handler.handled) == ["a", "b", "c"]
    assert consumer.ready


async def test_what_is_said_under_a_definition_that_is_not_known_yet_is_never_passed_over() -> None:
    clock, handler, known = HandClock(), Fragile(), {"order/1": None}
    store, log = MemoryStore((KNOWN_TOPICS,)), MemoryLog(clock)
    consumer = Consumer(
        service="x",
        group="x",
        handler=handler,
        store=store,
        log=log,
        contracts=SHOP,
        clock=clock,
        definitions=known.keys(),
    )
    unwanted = [
        msgspec.structs.replace(a_message(saga_id), type="PaymentFailed", definition=definition)
        for saga_id, definition in (("a", "order/1"), ("b", "careful/1"), ("c", ""))
    ]
    await log.publish([draft(TOPIC, message) for message in unwanted])
    await consumer.step()
    assert handler.handled == ["b"]
    known["careful/1"] = None
    await log.publish([draft(TOPIC, unwanted[1])])
    await consumer.step()
    assert handler.asked == 1
    assert consumer.counts["dead letters"] == 0


def durations(timing: Timing) -> dict[tuple[str, ...], float]:
    """Return how many batches were timed, by their labels."""
    return {
        labels: value.buckets[-1][1]
        for _, labels, value in timing.durations.samples()
        if isinstance(value, Distributed)
    }


async def test_messages_are_counted_by_topic_and_each_topic_has_waited_as_long_as_its_oldest() -> None:
    clock, handler = HandClock(), Growing()
    handler.grow()
    store, log = MemoryStore((KNOWN_TOPICS,)), MemoryLog(clock)
    consumer = Consumer(service="x", group="x", handler=handler, store=store, log=log, contracts=ANYWHERE, clock=clock)
    assert not await consumer.step()
    assert consumer.consumed == {TOPIC: 0, "inventory.events": 0}, "a counter is there before it counts"
    await log.publish([draft("inventory.events", a_message("a"))])
    clock.pass_seconds(30)
    await log.publish([draft(TOPIC, a_message(name)) for name in "bc"])
    clock.pass_seconds(10)
    await log.publish([draft("inventory.events", a_message("d"))])
    await consumer.step()
    assert consumer.consumed == {TOPIC: 2, "inventory.events": 2}
    assert consumer.waited == {TOPIC: 10, "inventory.events": 40}
    await log.publish([draft(TOPIC, a_message("e"))])
    await consumer.step()
    assert consumer.waited == {TOPIC: 0}
    await consumer.step()
    assert not consumer.waited
    assert durations(consumer) == {("process", "x", "", ""): 1, ("process", "x", TOPIC, ""): 1}


async def test_who_handles_no_partition_any_more_is_behind_in_none() -> None:
    clock = HandClock()
    log = MemoryLog(clock, MemoryLogState(partitions=1))
    consumer = Consumer(
        service="x", group="x", handler=Fragile(), store=MemoryStore(()), log=log, contracts=SHOP, clock=clock
    )
    await log.publish([draft(TOPIC, a_message("late"))])
    clock.pass_seconds(40)
    await consumer.step()
    assert consumer.waited == {TOPIC: 40}
    await log.join("x", "a-before-all-others", {TOPIC})
    assert not await consumer.step()
    assert (consumer.assigned, consumer.waited) == (frozenset(), {})


async def test_a_batch_that_fails_is_timed_under_its_error_and_counted_when_it_comes_again() -> None:
    clock = HandClock()
    store, log = MemoryStore((KNOWN_TOPICS,)), MemoryLog(clock)
    consumer = Consumer(service="x", group="x", handler=Fragile(), store=store, log=log, contracts=SHOP, clock=clock)
    await log.publish([draft(TOPIC, a_message(name)) for name in ("order-1", "bad-1")])
    while await consumer.step():
        pass
    assert durations(consumer) == {("process", "x", TOPIC, "ValueError"): 2, ("process", "x", TOPIC, ""): 1}
    assert consumer.consumed == {TOPIC: 1}


class Away(MemoryLog):
    """A log that takes nothing while it is away."""

    away = True

    @override
    async def publish(self, drafts: Sequence[Draft]) -> None:
        if self.away:
            raise LogUnavailableError("no broker answers")
        await super().publish(drafts)


async def test_what_is_published_is_counted_by_topic_once_the_log_has_it_and_every_try_is_timed() -> None:
    store, log = MemoryStore(()), Away(HandClock())
    relay = Relay("payment", store, log)
    drafts = [draft(topic, a_message("a")) for topic in (TOPIC, TOPIC, "payment.dlq")]
    await store.transact(lambda transaction: transaction.send(drafts))
    with pytest.raises(LogUnavailableError):
        await relay.step()
    assert not relay.sent
    log.away = False
    await relay.step()
    assert relay.sent == {TOPIC: 2, "payment.dlq": 1}
    await store.transact(lambda transaction: transaction.send(drafts[:1]))
    await relay.step()
    assert durations(relay) == {("send", "", "LogUnavailableError"): 1, ("send", "", ""): 1, ("send", TOPIC, ""): 1}
