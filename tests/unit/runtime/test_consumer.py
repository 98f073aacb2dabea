"""The consumer loop: a message that cannot be handled is a dead letter, and holds no other up."""

from collections.abc import Sequence
from datetime import datetime

from tests.unit.order_service.shop import NOON, HandClock

from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.core.messages import Message
from sagakit.ports import Transaction
from sagakit.runtime.consumer import Consumer
from sagakit.runtime.wire import draft
from shop_contracts.catalogue import SHOP

TOPIC = "payments.events"


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
