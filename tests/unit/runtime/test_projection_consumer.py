"""A projection hears each message with its record, also when records between them cannot be read."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.http.services import NOON, HandClock

from sagakit.adapters.memory import MemoryLog, MemoryLogState, MemoryStore
from sagakit.core.contracts import encode_data
from sagakit.core.messages import Message
from sagakit.ports import Draft, Transaction
from sagakit.runtime.projection import AlignedLog, Heard, ProjectionConsumer
from sagakit.runtime.wire import draft
from shop_contracts.catalogue import SHOP
from shop_contracts.messages import OrderConfirmed, PaymentFailed

TOPIC = "payments.events"
GOOD, BODILESS, HEADLESS, UNKNOWN, UNWANTED, POISON = "good", "bodiless", "headless", "unknown", "unwanted", "poison"


class Listener:
    """Wants failed payments only, and remembers all it heard; one that is poison it cannot fold."""

    topics = frozenset({TOPIC})

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.durable: list[Heard] = []

    def wants(self, message_type: str) -> bool:
        return message_type == "PaymentFailed"

    async def handle(self, transaction: Transaction, messages: Sequence[Message], now: datetime) -> None:
        raise AssertionError("a projection is handed what it heard")

    async def project(self, transaction: Transaction, heard: Sequence[Heard], now: datetime) -> None:
        if any(one.message.saga_id.startswith(POISON) for one in heard):
            raise ValueError("it cannot be folded")
        self.heard = [*heard]

    def committed(self) -> None:
        self.durable += self.heard
        self.heard = []

    def failed(self) -> None:
        self.heard = []


def a_record(kind: str, number: int) -> Draft:
    """Return a record of this kind, for a saga of its own."""
    name = f"{kind}-{number}"
    failed = PaymentFailed(order_id=name, reason="no", error_code=str(number))
    confirmed = OrderConfirmed(order_id=name, confirmed_at=NOON)
    message = Message(
        id=f"id-{name}",
        type={UNKNOWN: "Guess", UNWANTED: "OrderConfirmed"}.get(kind, "PaymentFailed"),
        source="payment",
        time=NOON,
        saga_id=name,
        correlation_id=name,
        causation_id="",
        data=encode_data({"orderId": 7} if kind == BODILESS else confirmed if kind == UNWANTED else failed),
    )
    whole = draft(TOPIC, message)
    return Draft(TOPIC, name, b"{}", whole.value) if kind == HEADLESS else whole


class World:
    """A log with some records, and a consumer that has not read them."""

    def __init__(self, batch_records_max: int = 1000, partitions: int = 2) -> None:
        self.clock = HandClock()
        self.log = MemoryLog(self.clock, MemoryLogState(partitions))
        self.store = MemoryStore(())
        self.listener = Listener()
        self.consumer = ProjectionConsumer(
            service="views",
            group="views",
            handler=self.listener,
            store=self.store,
            log=AlignedLog(self.log),
            contracts=SHOP,
            clock=self.clock,
            batch_records_max=batch_records_max,
        )

    async def hear(self, kinds: Sequence[str]) -> None:
        for number, kind in enumerate(kinds):
            await self.log.publish([a_record(kind, number)])
        while await self.consumer.step():
            pass

    async def buried(self) -> list[str]:
        """Return the keys of the dead letters."""
        return sorted(entry.draft.key or "" for entry in await self.store.outbox(1000))


kinds = st.lists(st.sampled_from([GOOD, GOOD, BODILESS, HEADLESS, UNKNOWN, UNWANTED, POISON]), max_size=20)


@settings(max_examples=80, deadline=None)
@given(kinds, st.integers(1, 25), st.integers(1, 3))
async def test_each_message_comes_with_the_record_it_came_in_and_what_is_bad_is_a_dead_letter(
    told: list[str], batch_records_max: int, partitions: int
) -> None:
    world = World(batch_records_max, partitions)
    await world.hear(told)
    heard = world.listener.durable
    for message, data, source in heard:
        assert message.saga_id == source.key
        assert isinstance(data, PaymentFailed)
        assert data.order_id == message.saga_id
        assert msgspec.json.decode(source.value)["errorCode"] == message.saga_id.rpartition("-")[2]
    names = [f"{kind}-{number}" for number, kind in enumerate(told)]
    assert sorted(one.message.saga_id for one in heard) == sorted(name for name in names if name.startswith(GOOD))
    bad = sorted(name for name in names if not name.startswith((GOOD, UNWANTED)))
    assert await world.buried() == bad
    done = await world.store.view(lambda reader: reader.progress("views"))
    assert sum(done.values()) == len(told)
