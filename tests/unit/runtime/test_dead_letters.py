"""A message that could not be handled is kept whole, and comes once more when a person wants it to."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.order_service.shop import NOON, HandClock, an_order, make_shop

from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.adapters.sqlite import SqliteLog
from sagakit.core.contracts import encode_data
from sagakit.core.control_contracts import DeadLetterData
from sagakit.core.facts import Phase, StepStatus
from sagakit.core.messages import Message
from sagakit.ports import Draft, Log, Record, Table, Transaction
from sagakit.runtime.consumer import Consumer, dead_letter, dead_message
from sagakit.runtime.dead_letters import (
    Because,
    DeadLetter,
    LetterGoneError,
    NotRedrivableError,
    Pace,
    Status,
    Wanted,
    content,
    discard,
    letter_data,
    letters_of,
    original,
    redrive,
)
from sagakit.runtime.expiry import ParkingExpiry
from sagakit.runtime.failpoints import ARMED
from sagakit.runtime.parking import PARKED_SECONDS_MAX
from sagakit.runtime.relay import Relay
from sagakit.runtime.wire import HEADER_BYTES_MAX, VALUE_BYTES_MAX, draft
from shop_contracts.catalogue import SHOP

TOPIC = "payments.events"
ADA = Because("ada", "the reader is mended")


class Booking(msgspec.Struct, frozen=True):
    """How often the effect of one saga happened."""

    saga_id: str
    times: int


BOOKINGS = Table("bookings", Booking, "saga_id")


class Till:
    """Books every payment once: it claims each message. While broken it cannot book any."""

    topics = frozenset({TOPIC})

    def __init__(self) -> None:
        self.broken = False

    def wants(self, message_type: str) -> bool:
        return message_type == "PaymentCompleted"

    async def handle(self, transaction: Transaction, messages: Sequence[Message], now: datetime) -> None:
        for message in messages:
            SHOP.decode(message)
        if self.broken:
            raise RuntimeError("the till is broken")
        new = await transaction.claim([message.id for message in messages], now)
        wanted = [message.saga_id for message in messages if message.id in new]
        before = await transaction.load(BOOKINGS, wanted)
        times = {saga_id: before[saga_id].times if saga_id in before else 0 for saga_id in wanted}
        await transaction.save(BOOKINGS, [Booking(saga_id, count + 1) for saga_id, count in times.items()])

    def committed(self) -> None:
        pass

    def failed(self) -> None:
        pass


@dataclass
class Place:
    """A log, and services that read it: each has a till, a store and a consumer."""

    log: Log
    clock: HandClock = field(default_factory=HandClock)
    tills: dict[str, Till] = field(default_factory=dict)
    stores: dict[str, MemoryStore] = field(default_factory=dict)
    consumers: dict[str, Consumer] = field(default_factory=dict)

    def open(self, *services: str) -> None:
        for name in services:
            self.tills[name], self.stores[name] = Till(), MemoryStore((BOOKINGS,))
            self.consumers[name] = Consumer(
                service=name,
                group=name,
                handler=self.tills[name],
                store=self.stores[name],
                log=self.log,
                contracts=SHOP,
                clock=self.clock,
            )

    async def work(self) -> None:
        """Let everybody read to the end, and publish what they say."""
        for name, consumer in self.consumers.items():
            while await consumer.step():
                pass
            await Relay(name, self.stores[name], self.log).step()

    async def booked(self, service: str) -> dict[str, int]:
        found = await self.stores[service].view(lambda reader: reader.load(BOOKINGS, ["order-1", "order-2"]))
        return {saga_id: booking.times for saga_id, booking in found.items()}

    async def letter(self, service: str = "order") -> DeadLetter:
        (letter,) = (await letters_of(self.log, service)).all
        return letter

    async def redrive(self, letter: DeadLetter, topic: str = "") -> None:
        await redrive(self.log, letter, ADA, self.clock.now(), topic)

    async def ends(self, topic: str) -> int:
        return sum((await self.log.ends([topic])).values())

    async def records(self, topic: str) -> list[Record]:
        return await self.log.fetch(dict.fromkeys(await self.log.ends([topic]), 0), 1000)


@pytest.fixture(params=["memory", "sqlite"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    clock = HandClock()
    log: Log = MemoryLog(clock) if request.param == "memory" else SqliteLog(tmp_path / "log.db", now=clock.now)
    place = Place(log, clock)
    place.open("order")
    yield place
    await log.close()


def paid(saga_id: str, **data: str) -> Message:
    said = {"orderId": saga_id, "paymentId": "pay-1", "amount": 44.98, "transactionId": "tx-1", **data}
    return Message(
        id=f"id-{saga_id}",
        type="PaymentCompleted",
        source="payment",
        time=NOON,
        saga_id=saga_id,
        correlation_id=f"cart of {saga_id}",
        causation_id="why",
        attempt=2,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        data=encode_data(said),
    )


class PowerCutError(Exception):
    """The process that redrives ends here."""


async def poisoned(place: Place, *services: str) -> DeadLetter:
    """Publish a payment while the tills of these services are broken, and return the first one's letter."""
    for name in services:
        place.tills[name].broken = True
    await place.log.publish([draft(TOPIC, paid("order-1"))])
    await place.work()
    for till in place.tills.values():
        till.broken = False
    return await place.letter(services[0])


async def test_what_a_broken_handler_buried_is_handled_once_when_it_is_mended_and_redriven(place: Place) -> None:
    letter = await poisoned(place, "order")
    assert (letter.reason, letter.status, letter.type) == ("unhandled", Status.OPEN, "PaymentCompleted")
    assert (letter.saga_id, letter.message_id, letter.topic) == ("order-1", "id-order-1", TOPIC)
    assert letter.error == "RuntimeError: the till is broken"
    assert await place.booked("order") == {}
    place.clock.pass_seconds(60)
    await place.redrive(letter)
    await place.work()
    assert await place.booked("order") == {"order-1": 1}
    decided = await place.letter()
    assert decided.status is Status.REDRIVEN
    assert decided.decision is not None
    assert (decided.decision.actor, decided.decision.reason) == ("ada", "the reader is mended")
    assert decided.decision.at == NOON + timedelta(seconds=60)


async def test_the_redriven_record_is_the_buried_one_on_its_old_partition(place: Place) -> None:
    letter = await poisoned(place, "order")
    await place.redrive(letter)
    before, after = await place.records(TOPIC)
    assert (after.partition, after.key, after.value) == (before.partition, before.key, before.value)
    texts = {name: str(value) for name, value in msgspec.json.decode(before.headers).items()}
    assert msgspec.json.decode(after.headers) == texts
    assert texts["ce_id"] == "id-order-1"
    assert texts["ce_attempt"] == "2"


async def test_redriving_twice_does_it_once(place: Place) -> None:
    letter = await poisoned(place, "order")
    for _ in range(2):
        await place.redrive(letter)
        await place.work()
    assert await place.booked("order") == {"order-1": 1}
    assert await place.ends(TOPIC) == 3
    assert (await place.letter()).status is Status.REDRIVEN


async def test_who_had_handled_it_before_does_not_handle_it_again(place: Place) -> None:
    place.open("analytics")
    letter = await poisoned(place, "order")
    assert await place.booked("analytics") == {"order-1": 1}
    await place.redrive(letter)
    await place.work()
    assert await place.booked("analytics") == {"order-1": 1}
    assert await place.booked("order") == {"order-1": 1}


@pytest.mark.parametrize(
    ("where", "published", "status"),
    [
        ("letters.before_record", 1, Status.OPEN),
        ("letters.after_record", 2, Status.OPEN),
        ("letters.before_decision", 2, Status.OPEN),
        ("letters.after_decision", 2, Status.REDRIVEN),
    ],
)
async def test_wherever_redriving_is_cut_short_it_can_be_done_again_and_the_message_is_handled_once(
    place: Place, where: str, published: int, status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut() -> None:
        raise PowerCutError

    letter = await poisoned(place, "order")
    with monkeypatch.context() as armed:
        armed.setitem(ARMED, where, cut)
        with pytest.raises(PowerCutError):
            await place.redrive(letter)
    assert await place.ends(TOPIC) == published
    assert (await place.letter()).status is status
    await place.work()
    await place.redrive(letter)
    await place.work()
    assert (await place.letter()).status is Status.REDRIVEN
    assert await place.booked("order") == {"order-1": 1}


async def test_a_record_whose_headers_are_no_text_blocks_nobody_and_is_kept_to_the_byte(place: Place) -> None:
    odd = Draft(TOPIC, "order-1", b'{"ce_type":"\xff"}', b"{}")
    await place.log.publish([odd, draft(TOPIC, paid("order-1"))])
    await place.work()
    assert await place.booked("order") == {"order-1": 1}
    letter = await place.letter()
    await place.redrive(letter)
    assert [record.headers for record in await place.records(TOPIC)].count(odd.headers) == 2


async def test_a_message_that_is_still_poison_is_buried_under_another_letter(place: Place) -> None:
    await place.log.publish([draft(TOPIC, paid("order-1", amount="much"))])
    await place.work()
    letter = await place.letter()
    assert letter.error.startswith("UnreadableError: PaymentCompleted: ")
    await place.redrive(letter)
    await place.work()
    first, second = (await letters_of(place.log, "order")).all
    assert {first.status, second.status} == {Status.REDRIVEN, Status.OPEN}
    assert first.message_id == second.message_id
    assert first.id != second.id


async def test_two_groups_of_a_service_that_bury_the_same_record_have_one_letter_and_one_redriving(
    place: Place,
) -> None:
    letter = await poisoned(place, "order")
    (record,) = await place.records(TOPIC)
    late = dead_letter("order", record, "unhandled", "by the other group", NOON + timedelta(seconds=1))
    await place.redrive(letter)
    await place.log.publish([late])
    same = await place.letter()
    assert (same.id, same.error, same.status) == (letter.id, "by the other group", Status.REDRIVEN)


async def test_a_discarded_letter_stays_readable_and_its_message_does_not_come(place: Place) -> None:
    letter = await poisoned(place, "order")
    await discard(place.log, letter, Because("bob", "a test message"), NOON)
    await place.work()
    decided = await place.letter()
    assert decided.status is Status.DISCARDED
    assert decided.decision is not None
    assert (decided.decision.actor, decided.decision.reason) == ("bob", "a test message")
    assert await place.booked("order") == {}
    assert '"paymentId":"pay-1"' in (await content(place.log, decided)).value


async def test_of_two_decisions_the_last_one_counts(place: Place) -> None:
    letter = await poisoned(place, "order")
    await discard(place.log, letter, ADA, NOON)
    await place.redrive(letter)
    assert (await place.letter()).status is Status.REDRIVEN


async def test_a_payment_that_waited_in_vain_is_redriven_and_waits_for_its_saga_once_more(place: Place) -> None:
    shop = make_shop(place.clock)
    expiry = ParkingExpiry("order", shop.store, place.clock)
    relay = Relay("order", shop.store, place.log)
    tracked = Consumer(
        service="order",
        group="tracker",
        handler=shop.tracker,
        store=shop.store,
        log=place.log,
        contracts=SHOP,
        clock=place.clock,
    )

    async def read() -> None:
        while await tracked.step():
            pass

    late = shop.message("PaymentCompleted", "order-9")
    await place.log.publish([draft(TOPIC, late)])
    for _ in range(2):  # it waits in vain twice, and is redriven each time
        await read()
        place.clock.pass_seconds(PARKED_SECONDS_MAX)
        await expiry.step()
        await relay.step()
        letter = await place.letter()
        assert (letter.reason, letter.offset, letter.status) == ("expired", -1, Status.OPEN)
        await place.redrive(letter, topic=TOPIC)
        assert (await place.letter()).status is Status.REDRIVEN
    await read()
    await shop.handle(shop.create_orders(), [shop.create_order("order-9", **an_order())])
    state = await shop.state("order-9")
    assert state.phase is Phase.RUNNING
    assert state.steps["payment"].status is StepStatus.SUCCEEDED
    version = state.version
    await place.redrive(letter, topic=TOPIC)
    await read()
    assert (await shop.state("order-9")).version == version


async def test_a_letter_that_does_not_say_its_topic_is_redriven_where_a_person_says(place: Place) -> None:
    await place.log.publish([dead_message("order", paid("order-1"), "", "expired", "e", NOON)])
    letter = await place.letter()
    with pytest.raises(NotRedrivableError, match="which topic"):
        await place.redrive(letter)
    assert (await place.letter()).status is Status.OPEN
    await place.redrive(letter, topic=TOPIC)
    await place.work()
    assert await place.booked("order") == {"order-1": 1}


async def test_a_topic_without_letters_has_none(place: Place) -> None:
    assert (await letters_of(place.log, "nobody")).all == ()


async def test_what_is_no_letter_is_passed_over_and_counted(place: Place) -> None:
    await place.log.publish(
        [
            Draft("order.dlq", None, b"\xff", b"\xfe"),
            Draft("order.dlq", "k", b'{"ce_id":"\xff"}', b"{}"),
            draft("order.dlq", replace(paid("order-1"), type="DeadLetter")),
            draft("order.dlq", paid("order-1")),
        ]
    )
    await poisoned(place, "order")
    letters = await letters_of(place.log, "order")
    assert (len(letters.all), letters.strange) == (1, 4)


async def test_letters_that_the_log_has_dropped_are_missed_by_nobody_who_reads_later(place: Place) -> None:
    old = await poisoned(place, "order")
    place.clock.pass_seconds(60)
    await place.log.publish([draft(TOPIC, paid("order-2", amount="much"))])
    await place.work()
    assert len((await letters_of(place.log, "order")).all) == 2
    await place.log.prune("order.dlq", NOON + timedelta(seconds=30))
    assert [letter.saga_id for letter in (await letters_of(place.log, "order")).all] == ["order-2"]
    with pytest.raises(LetterGoneError, match=old.id):
        await place.redrive(old)
    assert await place.ends(TOPIC) == 2


async def test_a_decision_about_a_dropped_letter_is_no_letter(place: Place) -> None:
    letter = await poisoned(place, "order")
    place.clock.pass_seconds(60)
    await place.redrive(letter)
    await place.log.prune("order.dlq", NOON + timedelta(seconds=30))
    letters = await letters_of(place.log, "order")
    assert (letters.all, letters.strange) == ((), 0)


async def test_a_topic_of_many_pages_is_read_to_its_end(place: Place) -> None:
    drafts = [
        dead_letter("order", a_record(b"{}", key=f"order-{number}", offset=number), "unhandled", "e", NOON)
        for number in range(1300)
    ]
    await place.log.publish(drafts)
    letters = (await letters_of(place.log, "order")).all
    assert {letter.offset for letter in letters} == set(range(1300))


def a_record(value: bytes, headers: bytes = b"{}", key: str | None = "order-1", offset: int = 7) -> Record:
    return Record(TOPIC, 3, offset, key, headers, value, NOON)


def again(record: Record) -> Draft:
    """Return the record as it comes out of its letter, which went through the log as JSON."""
    letter = dead_letter("order", record, "unreadable", "e", NOON)
    return original("letter", msgspec.json.decode(letter.value, type=DeadLetterData))


@given(st.binary() | st.text().map(str.encode) | st.sampled_from([rb"\xff", b"\xff", rb"\\xc3", b'{"a":"\\xe9"}']))
def test_any_bytes_of_a_value_survive(value: bytes) -> None:
    assert again(a_record(value)).value == value


TEXTS = st.dictionaries(st.text(), st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False))


@given(TEXTS, st.none() | st.text())
def test_any_headers_and_any_key_survive_and_numbers_become_their_text(
    headers: dict[str, Any], key: str | None
) -> None:
    text = msgspec.json.encode(headers)
    raw = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    expected = {n: v if isinstance(v, str) else bytes(raw[n]).decode() for n, v in headers.items()}
    found = again(a_record(b"{}", text, key))
    assert (found.topic, found.key, msgspec.json.decode(found.headers)) == (TOPIC, key, expected)


def are_texts_or_numbers(headers: bytes) -> bool:
    try:
        msgspec.json.decode(headers, type=dict[str, str | int | float])
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


@given(st.binary().filter(lambda headers: not are_texts_or_numbers(headers)))
def test_headers_that_are_no_object_of_texts_survive_byte_for_byte(headers: bytes) -> None:
    assert again(a_record(b"{}", headers)).headers == headers


@pytest.mark.parametrize("headers", [b'{"a":"\xff"}', b'{"\xff":"a"}', b'{"a":{"b":1}}', b'{"a":null}', b"[]", b""])
def test_odd_headers_are_kept_and_kill_nobody(headers: bytes) -> None:
    assert again(a_record(b"{}", headers)).headers == headers


def test_a_letter_of_plain_text_is_as_it_always_was() -> None:
    data = letter_data(a_record(b'{"a":1}', b'{"ce_id":"x"}'), "unreadable", "e")
    assert msgspec.json.decode(msgspec.json.encode(data)) == {
        "reason": "unreadable",
        "error": "e",
        "topic": TOPIC,
        "partition": 3,
        "offset": 7,
        "key": "order-1",
        "headers": {"ce_id": "x"},
        "value": '{"a":1}',
    }


LARGEST = 1_000_000
"""A record in a batch of its own fits with this into the 1,048,588 bytes that a topic takes, unless it is set so."""


@pytest.mark.parametrize(
    ("value", "headers", "key"),
    [
        (b"\x80" * 800_000, b"{}", "k"),
        (b'"' * 600_000, b"{}", "k"),
        (b"\x01" * 200_000, b"{}", "k"),
        (b"\x01" * VALUE_BYTES_MAX, b"\x80" * HEADER_BYTES_MAX, "\x01" * 2000),
        (b"a" * 1_040_000, b"{}", "k"),
        (b"{}", msgspec.json.encode({"ce_sagaid": "é" * 500_000}), "k"),
        (b"{}", msgspec.json.encode({"x" * 900_000: "y"}), "k"),
        (b"{}", b"{}", r"\xff" * 300_000),
        (b"\x80" * VALUE_BYTES_MAX, msgspec.json.encode({"ce_sagaid": "s" * 32_000}), "s" * 2000),
    ],
)
def test_a_letter_fits_into_its_topic_whatever_is_in_it(value: bytes, headers: bytes, key: str) -> None:
    letter = dead_letter("order", a_record(value, headers, key), "unreadable", f"key {key!r}" + "e" * 100_000, NOON)
    assert len(letter.value) + len(letter.headers) + len(letter.key or "") < LARGEST


@given(st.sampled_from([b"\x80", b'"', b"\x01", b"a", "é".encode(), b"\\"]), st.integers(0, 3))
@settings(max_examples=30)
def test_the_largest_value_that_can_be_handled_is_kept_whole(piece: bytes, less: int) -> None:
    value = piece * (VALUE_BYTES_MAX // len(piece) - less)
    assert again(a_record(value)).value == value


@pytest.mark.parametrize(
    "record",
    [
        Record(TOPIC, 3, 7, "order-1", b'{"ce_id":"x","ce_type":"T","ce_sagaid":"order-1"}', b"a" * 262_145, NOON),
        Record(TOPIC, 3, 7, "order-1", b'{"ce_id":"x","ce_type":"T","n":"%s"}' % (b"a" * 32_768), b"{}", NOON),
        Record(TOPIC, 3, 7, "order-1" * 500, b'{"ce_id":"x","ce_type":"T"}', b"{}", NOON),
    ],
)
def test_a_record_too_large_to_be_handled_is_cut_and_not_redriven(record: Record) -> None:
    data = msgspec.json.decode(dead_letter("order", record, "unreadable", "e", NOON).value, type=DeadLetterData)
    assert data.cut
    assert (data.headers["ce_id"], data.headers["ce_type"], data.offset) == ("x", "T", 7)
    assert record.value.startswith(data.value.encode())
    with pytest.raises(NotRedrivableError, match=r"letter: .*too large"):
        original("letter", data)


def test_an_older_letter_is_redriven_when_its_text_tells_the_bytes_and_refused_when_not() -> None:
    old = DeadLetterData("unreadable", "e", TOPIC, 0, 1, "k", {}, '{"name":"Zoë"}')
    assert original("letter", old).value == '{"name":"Zoë"}'.encode()
    with pytest.raises(NotRedrivableError, match="letter: its text holds escaped bytes"):
        original("letter", DeadLetterData("unreadable", "e", TOPIC, 0, 1, "k", {}, r"Zo\xff"))


def test_bytes_that_are_no_base64_are_refused() -> None:
    data = replace(letter_data(a_record(b"\xff"), "unreadable", "e"), value_base64="…")
    with pytest.raises(NotRedrivableError, match="cannot be read"):
        original("letter", data)


async def test_no_more_letters_a_second_than_asked_and_none_waits_longer_than_it_must() -> None:
    clock = HandClock()
    pace, begun = Pace(clock, 50), []
    for _ in range(101):
        await pace.turn()
        begun.append((clock.now() - NOON).total_seconds())
    assert begun[0] == 0
    assert begun[50] == pytest.approx(1)
    assert begun[100] == pytest.approx(2)
    clock.pass_seconds(60)
    before = clock.now()
    await pace.turn()
    assert clock.now() == before
    await pace.turn()
    assert (clock.now() - before).total_seconds() == pytest.approx(0.02)


ONE = DeadLetter(
    id="letter-1",
    service="order",
    buried_at=NOON,
    reason="unhandled",
    error="ValueError: No such card",
    type="PaymentCompleted",
    saga_id="order-1",
    message_id="m",
    topic=TOPIC,
    partition=0,
    offset=1,
    letter_partition=0,
    letter_offset=0,
)


@pytest.mark.parametrize(
    ("fits", "not_"),
    [
        (Wanted(), Wanted(status=Status.DISCARDED)),
        (Wanted(ids=frozenset({"letter-1", "x"})), Wanted(ids=frozenset({"x"}))),
        (Wanted(status=Status.OPEN), Wanted(status=Status.REDRIVEN)),
        (Wanted(reason="unhandled"), Wanted(reason="expired")),
        (Wanted(type="PaymentCompleted"), Wanted(type="Payment")),
        (Wanted(saga_id="order-1"), Wanted(saga_id="order-10")),
        (Wanted(since=NOON), Wanted(since=NOON + timedelta(microseconds=1))),
        (Wanted(until=NOON + timedelta(microseconds=1)), Wanted(until=NOON)),
        (Wanted(error_contains="no such CARD"), Wanted(error_contains="no such bank")),
        (Wanted(reason="unhandled", type="PaymentCompleted"), Wanted(reason="unhandled", type="OrderCreated")),
    ],
)
def test_letters_are_chosen_by_everything_that_is_given(fits: Wanted, not_: Wanted) -> None:
    assert fits.fits(ONE)
    assert not not_.fits(ONE)
