"""How views read: records in the order in which the log got them, and each message with the place it came from."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.order_service.shop import NOON, HandClock
from typing_extensions import override

from sagakit.adapters.memory import MemoryLog, MemoryLogState, MemoryStore
from sagakit.core.control_contracts import DeadLetterData
from sagakit.core.messages import Message
from sagakit.ports import Draft, Record, StoreUnavailableError, Transaction
from sagakit.runtime import projection
from sagakit.runtime.catalogue import PROCESS_DURATION
from sagakit.runtime.consumer import Consumer
from sagakit.runtime.metrics import Distributions
from sagakit.runtime.projection import AlignedLog, Heard, ProjectionConsumer, Unhurried
from sagakit.runtime.wire import draft
from shop_contracts.catalogue import SHOP
from shop_contracts.messages import PaymentCompleted

Place = tuple[str, int]
PAYMENTS, ORDERS = "payments.events", "orders.events"


class Told:
    """A log whose records say when they were appended, whatever the clock says; it remembers what was asked of it."""

    def __init__(self, partitions: int = 2) -> None:
        self.clock = HandClock()
        self.log = MemoryLog(self.clock, MemoryLogState(partitions))
        self.aligned = AlignedLog(self.log)

    async def append(self, topic: str, second: float, key: str | None = "k", text: str = "") -> None:
        self.clock.time = NOON + timedelta(seconds=second)
        await self.log.publish([Draft(topic, key, b"{}", text.encode())])

    def beginnings(self, *topics: str) -> dict[Place, int]:
        return {(topic, number): 0 for topic in topics for number in range(self.log.partitions)}

    async def read(self, positions: dict[Place, int], limit: int = 1000) -> list[Record]:
        """Read until there is nothing more, and leave the positions behind what was read."""
        found: list[Record] = []
        while records := await self.aligned.fetch(positions, limit):
            assert len(records) <= limit
            found += records
            for record in records:
                positions[record.topic, record.partition] = record.offset + 1
        return found


def seconds(records: Sequence[Record]) -> list[float]:
    return [(record.appended_at - NOON).total_seconds() for record in records]


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
async def test_records_of_several_topics_come_in_the_order_in_which_the_log_got_them(limit: int) -> None:
    told = Told()
    for second in range(20):
        await told.append("ab"[second % 2], second, key=f"k{second % 5}")
    assert seconds(await told.read(told.beginnings("a", "b"), limit)) == list(range(20))


async def test_a_topic_with_years_of_records_waits_for_one_with_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "LANE_RECORDS_MAX", 3)
    told = Told(partitions=1)
    for second in range(60):
        await told.append("a", second)
        if second % 10 == 5:
            await told.append("b", second)
    found = await told.read(told.beginnings("a", "b"), 7)
    assert seconds(found) == sorted(seconds(found))
    assert len(found) == 66


async def test_what_is_appended_meanwhile_comes_as_well() -> None:
    told = Told()
    positions = told.beginnings("a", "b")
    await told.append("a", 1)
    await told.append("b", 2)
    assert seconds(await told.read(positions)) == [1, 2]
    await told.append("a", 3)
    assert seconds(await told.read(positions)) == [3]
    assert await told.aligned.fetch(positions, 10) == []


async def test_a_clock_that_goes_back_changes_no_order_within_a_partition() -> None:
    told = Told(partitions=1)
    for second in (10, 20, 5, 30):
        await told.append("a", second)
    await told.append("b", 15)
    found = await told.read(told.beginnings("a", "b"))
    assert [(r.topic, r.offset) for r in found] == [("a", 0), ("b", 0), ("a", 1), ("a", 2), ("a", 3)]


async def test_nothing_comes_at_or_beyond_where_it_stops_until_that_is_lifted() -> None:
    told = Told(partitions=1)
    for second in range(10):
        await told.append("ab"[second % 2], second)
    positions = told.beginnings("a", "b")
    told.aligned.stop_at({("a", 0): 3, ("b", 0): 1})
    assert seconds(await told.read(positions, 2)) == [0, 1, 2, 4]
    assert not told.aligned.behind
    told.aligned.stop_at({("a", 0): 4})
    assert seconds(await told.read(positions)) == [6], "a partition that is not named has nothing to say"
    told.aligned.stop_at(None)
    assert seconds(await told.read(positions)) == [3, 5, 7, 8, 9]


async def test_to_stop_before_what_was_read_ahead_leaves_it_unread() -> None:
    told = Told(partitions=1)
    for second in range(10):
        await told.append("a", second)
    positions = told.beginnings("a")
    for record in await told.aligned.fetch(positions, 2):
        positions[record.topic, record.partition] = record.offset + 1
    told.aligned.stop_at({("a", 0): 4})
    assert seconds(await told.read(positions)) == [2, 3]
    told.aligned.stop_at({("a", 0): 1})
    assert await told.aligned.fetch(positions, 10) == []


async def test_from_other_positions_it_begins_anew() -> None:
    told = Told(partitions=1)
    for second in range(10):
        await told.append("ab"[second % 2], second)
    await told.aligned.fetch(told.beginnings("a", "b"), 3)
    again = told.beginnings("a", "b")
    assert seconds(await told.read(again)) == list(range(10)), "what was handed out was not committed, and comes again"
    assert seconds(await told.read({("b", 0): 2})) == [5, 7, 9], "of what was given to another nothing comes"
    assert seconds(await told.read({("a", 0): 4, ("b", 0): 4})) == [8, 9]


async def test_it_is_behind_while_more_can_be_had_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "LANE_RECORDS_MAX", 4)
    told = Told(partitions=1)
    positions = told.beginnings("a")
    assert not told.aligned.behind
    for second in range(6):
        await told.append("a", second)
    seen = []
    while records := await told.aligned.fetch(positions, 3):
        seen.append((len(records), told.aligned.behind))
        positions["a", 0] += len(records)
    assert seen == [(3, True), (1, True), (2, False)]
    assert not told.aligned.behind


async def test_what_only_reads_lets_others_write_and_hands_the_rest_on() -> None:
    told = Told()
    with pytest.raises(AssertionError, match="1 records were to be published"):
        await told.aligned.publish([Draft("a", "k", b"{}", b"")])
    with pytest.raises(AssertionError, match=r"a before .* was to be dropped"):
        await told.aligned.prune("a", NOON)
    await told.append("a", 1)
    assert await told.aligned.ends(["a"]) == await told.log.ends(["a"])
    assert told.aligned.partitions == 2
    membership = await told.aligned.join("group", "member", ())
    assert await membership.assignment() == {0, 1}
    await asyncio.wait_for(told.aligned.wait(0), 10)
    await told.aligned.close()
    assert await told.log.ends(["a"]), "the log belongs to whoever opened it"


LANES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers(-3, 6)),  # topic, key, how the clock moves
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(
    appended=LANES,
    later=LANES,
    limits=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    ahead=st.integers(1, 8),
    partitions=st.integers(1, 3),
    cut=st.integers(0, 20),
)
def test_nothing_is_lost_or_doubled_and_each_partition_keeps_its_order(
    appended: list[tuple[str, int, int]],
    later: list[tuple[str, int, int]],
    limits: list[int],
    ahead: int,
    partitions: int,
    cut: int,
) -> None:
    told = Told(partitions)

    async def run() -> None:
        second = 0
        for topic, key, moved in appended:
            second += moved
            await told.append(topic, second, key=str(key))
        positions = told.beginnings("a", "b", "c")
        ends = await told.log.ends("abc")
        target: dict[Place, int] | None = {place: min(end, cut) for place, end in ends.items()}
        told.aligned.stop_at(target)
        found: list[Record] = []
        for turn in range(1000):
            if turn == 3:
                for topic, key, moved in later:
                    second += moved
                    await told.append(topic, second, key=str(key))
            records = await told.aligned.fetch(positions, limits[turn % len(limits)])
            assert len(records) <= limits[turn % len(limits)]
            for record in records:
                assert record.offset == positions[record.topic, record.partition]
                positions[record.topic, record.partition] += 1
            found += records
            if not records and turn > 3:
                if target is None:
                    break
                assert positions == {place: target[place] for place in positions}, "it stops there, and not before"
                assert not told.aligned.behind
                target = None
                told.aligned.stop_at(None)
        assert positions == await told.log.ends("abc")
        assert len(found) == len({(r.topic, r.partition, r.offset) for r in found}) == len(appended) + len(later)

    before, projection.LANE_RECORDS_MAX = projection.LANE_RECORDS_MAX, ahead
    try:
        asyncio.run(run())
    finally:
        projection.LANE_RECORDS_MAX = before


@settings(max_examples=100, deadline=None)
@given(
    appended=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers(0, 3)), max_size=60),
    limit=st.integers(1, 9),
)
def test_of_a_log_whose_clock_never_goes_back_all_comes_in_the_order_of_time_where_no_read_is_cut_short(
    appended: list[tuple[str, int, int]], limit: int
) -> None:
    told = Told()

    async def run() -> list[Record]:
        second = 0
        for topic, key, moved in appended:
            second += moved
            await told.append(topic, second, key=str(key))
        return await told.read(told.beginnings("a", "b", "c"), limit)

    found = asyncio.run(run())
    assert all(one.appended_at <= other.appended_at for one, other in pairwise(found))
    assert len(found) == len(appended)


class Listening:
    """A projection that remembers what it was handed, once that is durable."""

    topics = frozenset({PAYMENTS})

    def __init__(self) -> None:
        self.open: list[Heard] = []
        self.heard: list[Heard] = []
        self.error: Exception | None = None

    def wants(self, message_type: str) -> bool:
        return message_type == "PaymentCompleted"

    async def handle(self, transaction: Transaction, messages: Sequence[Message], now: datetime) -> None:
        raise AssertionError("it is to be handed the places as well")

    async def project(self, transaction: Transaction, heard: Sequence[Heard], now: datetime) -> None:
        if self.error is not None:
            raise self.error
        if any(one.message.saga_id.startswith("bad") for one in heard):
            raise ValueError("cannot be folded")
        self.open = [*heard]

    def committed(self) -> None:
        self.heard += self.open
        self.open = []

    def failed(self) -> None:
        self.open = []


class Post:
    """A projection, and the log it is fed from."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.log = MemoryLog(self.clock, MemoryLogState(2))
        self.store = MemoryStore(())
        self.view = Listening()
        self.consumer = ProjectionConsumer(
            service="analytics",
            group="views",
            handler=self.view,
            store=self.store,
            log=AlignedLog(self.log),
            contracts=SHOP,
            clock=self.clock,
            batch_records_max=10,
        )

    async def publish(self, *drafts: Draft) -> None:
        for each in drafts:
            self.clock.pass_seconds(1)
            await self.log.publish([each])

    async def letters(self) -> list[DeadLetterData]:
        return [msgspec.json.decode(entry.draft.value, type=DeadLetterData) for entry in await self.store.outbox(1000)]


def paid(saga_id: str, **changes: object) -> Draft:
    said = {"orderId": saga_id, "paymentId": f"pay-{saga_id}", "amount": 1.5, "transactionId": "t", **changes}
    message = Message(
        id=f"id-{saga_id}",
        type="PaymentCompleted",
        source="payment",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        saga_id=saga_id,
        correlation_id=saga_id,
        causation_id="",
        data=msgspec.Raw(msgspec.json.encode(said)),
    )
    return draft(PAYMENTS, message)


def stranger(saga_id: str, message_type: str) -> Draft:
    good = paid(saga_id)
    return replace(good, headers=good.headers.replace(b"PaymentCompleted", message_type.encode()))


async def test_each_message_comes_with_what_it_says_and_with_the_place_it_came_from() -> None:
    post = Post()
    await post.publish(*[paid(f"order-{number}") for number in range(25)])
    while await post.consumer.step():
        pass
    assert [one.message.saga_id for one in post.view.heard] == [f"order-{number}" for number in range(25)]
    for message, data, source in post.view.heard:
        assert isinstance(data, PaymentCompleted)
        assert data.payment_id == f"pay-{message.saga_id}"
        assert source.key == message.saga_id
    assert post.consumer.counts["messages"] == 25


async def test_unreadable_records_between_others_are_dead_letters_and_put_no_message_out_of_step() -> None:
    post = Post()
    await post.publish(
        paid("order-0"),
        Draft(PAYMENTS, "order-1", b"no headers", b"{}"),
        paid("order-2", amount="dear"),
        stranger("order-3", "PaymentFailed"),
        paid("order-4"),
        stranger("order-5", "Whatever"),
        replace(paid("order-6"), value=b"[]"),
        paid("order-7", paymentId=7),
        paid("order-8"),
        replace(paid("order-9"), key="another"),
    )
    assert await post.consumer.step()
    assert [(one.message.saga_id, getattr(one.data, "order_id", ""), one.source.key) for one in post.view.heard] == [
        (name, name, name) for name in ("order-0", "order-4", "order-8")
    ]
    letters = await post.letters()
    assert sorted(letter.key or "" for letter in letters) == [
        "another",
        "order-1",
        "order-2",
        "order-5",
        "order-6",
        "order-7",
    ]
    assert {letter.reason for letter in letters} == {"unreadable"}
    assert post.consumer.counts["batches"] == 1, "all in one transaction"
    done = await post.store.view(lambda reader: reader.progress("views"))
    assert done == {place: end for place, end in (await post.log.ends([PAYMENTS])).items() if end}


async def test_a_batch_that_cannot_be_committed_leaves_neither_letters_nor_offsets_and_comes_again() -> None:
    post = Post()
    await post.publish(paid("order-0"), paid("order-1", amount="dear"), paid("order-2"))
    post.view.error = StoreUnavailableError("the disk is away")
    with pytest.raises(StoreUnavailableError):
        await post.consumer.step()
    assert await post.letters() == []
    assert await post.store.view(lambda reader: reader.progress("views")) == {}
    post.view.error = None
    while await post.consumer.step():
        pass
    assert [one.message.saga_id for one in post.view.heard] == ["order-0", "order-2"]
    assert len(await post.letters()) == 1


async def test_a_message_that_cannot_be_folded_is_buried_alone_and_all_others_are_folded_once() -> None:
    post = Post()
    names = [f"{'bad' if number in (3, 4, 17) else 'order'}-{number}" for number in range(24)]
    await post.publish(*[paid(name, amount="dear" if name == "order-5" else 1) for name in names])
    while await post.consumer.step():
        pass
    assert sorted(one.message.saga_id for one in post.view.heard) == sorted(
        name for name in names if name.startswith("order") and name != "order-5"
    )
    assert all(one.message.saga_id == one.source.key for one in post.view.heard)
    assert sorted((letter.reason, letter.key or "") for letter in await post.letters()) == [
        ("unhandled", "bad-17"),
        ("unhandled", "bad-3"),
        ("unhandled", "bad-4"),
        ("unreadable", "order-5"),
    ]


async def test_a_batch_of_nothing_but_strangers_moves_the_offsets_and_hands_nothing_over() -> None:
    post = Post()
    await post.publish(*[stranger(f"order-{number}", "PaymentFailed") for number in range(3)])
    assert await post.consumer.step()
    assert post.view.heard == []
    assert not await post.consumer.step()


class Scripted(Consumer):
    """A consumer that finds what it is told to find."""

    def __init__(self) -> None:
        self.name = "scripted consumer"
        self.counts = Counter()
        self.consumed = Counter()
        self.durations = Distributions(PROCESS_DURATION)
        self.script: list[tuple[bool, bool]] = []
        self.behind = False
        self.closed = False

    @property
    @override
    def ready(self) -> bool:
        return bool(self.script)

    @override
    async def step(self) -> bool:
        found, self.behind = self.script.pop(0)
        return found

    @override
    async def close(self) -> None:
        self.closed = True


async def test_who_is_not_in_a_hurry_goes_on_at_once_only_while_it_is_behind() -> None:
    consumer = Scripted()
    unhurried = Unhurried(consumer)
    assert (unhurried.name, unhurried.ready) == ("scripted consumer", False)
    consumer.script = [(True, True), (True, False), (False, False), (False, True)]
    assert unhurried.ready
    assert [await unhurried.step() for _ in range(4)] == [True, False, False, False]
    unhurried.counts["batches"] += 1
    assert consumer.counts["batches"] == 1
    await unhurried.close()
    assert consumer.closed
