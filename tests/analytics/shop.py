"""A log that says what a test wants, and the real views over it: memory all the way, no clock but the events' own."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from analytics_service.live import group_of
from analytics_service.questions import Question, parsed
from analytics_service.reading import every
from analytics_service.shapes import Windows
from analytics_service.tables import JOINED, VIEWS
from analytics_service.views import Bounds, Views
from analytics_service.window_answers import answer
from sagakit.adapters.memory import MemoryLog, MemoryLogState, MemoryStore
from sagakit.core.contracts import encode_data
from sagakit.core.messages import Message, Mode, message_id
from sagakit.core.part import Abort
from sagakit.runtime.projection import AlignedLog, ProjectionConsumer
from sagakit.runtime.wire import draft
from shop_contracts import messages as m
from shop_contracts.catalogue import SHOP

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNBOUNDED_MS = 2**60
TOPICS = {
    "Order": "orders.events",
    "Payment": "payments.events",
    "Inventory": "inventory.events",
    "Reservation": "inventory.events",
    "Shipment": "shipping.events",
    "Abort": "sagas.events",
    "User": "users",
}


def at(ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=ms)


class Hand:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def chance(self) -> float:
        return 0.5

    async def sleep(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@dataclass
class Shop:
    """One log of some partitions, one store of views, and how late is late."""

    lateness_ms: int = 0
    partitions: int = 1
    future_ms: int = UNBOUNDED_MS
    past_ms: int = UNBOUNDED_MS
    clock: Hand = field(default_factory=Hand)

    def __post_init__(self) -> None:
        self.log = MemoryLog(self.clock, MemoryLogState(self.partitions))
        self.store = MemoryStore(VIEWS)
        self.consumer = ProjectionConsumer(
            service="analytics",
            group=group_of(1),
            handler=Views(Bounds(self.lateness_ms, self.future_ms, self.past_ms)),
            store=self.store,
            log=AlignedLog(self.log),
            contracts=SHOP,
            clock=self.clock,
        )

    async def hear(self, *messages: Message) -> None:
        """Let the log have the messages, one after the other, and the views hear them."""
        for message in messages:
            self.clock.moment += timedelta(milliseconds=1)
            await self.log.publish([draft(topic_of(message.type), message)])
        while await self.consumer.step():
            pass

    async def windows(self, **asked: Any) -> Windows:  # noqa: ANN401 - the words of `parsed`
        question = ask(**asked)
        return await self.store.view(lambda reader: answer(reader, question, self.lateness_ms, self.partitions))

    async def rows(self, table: Any = JOINED) -> list[Any]:  # noqa: ANN401 - any table
        return await self.store.view(lambda reader: every(reader, table))


def ask(**asked: Any) -> Question:  # noqa: ANN401 - the words of `parsed`
    words: dict[str, Any] = {
        "metric": "orders",
        "kind": "tumbling",
        "currency": "USD",
        "size": None,
        "step": None,
        "gap": None,
        "start": None,
        "end": None,
        "zone_name": "UTC",
        "user_id": None,
        "now": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return parsed(**{**words, **asked})


def topic_of(message_type: str) -> str:
    return next(topic for word, topic in TOPICS.items() if message_type.startswith(word))


def say(order_id: str, at_ms: int, data: msgspec.Struct, **changes: Any) -> Message:  # noqa: ANN401 - of a message
    """Return what a service says of an order at a time."""
    kind = "AbortSaga" if isinstance(data, Abort) else type(data).__name__
    message = Message(
        type=kind,
        id=message_id(order_id, "", kind),
        source="test",
        time=at(at_ms),
        saga_id=order_id,
        correlation_id=order_id,
        causation_id="",
        mode=Mode.CHOREOGRAPHY,
        definition="order/1",
        data_version=SHOP.version_of(kind),
        data=encode_data(data),
    )
    return msgspec.structs.replace(message, **changes)


def placed(order_id: str, at_ms: int, user_id: str = "ada", total: str = "10.00", currency: str = "USD") -> Message:
    item = m.Item(product_id="prod-1", quantity=1, price=Decimal(total))
    data = m.OrderCreated(order_id=order_id, user_id=user_id, items=[item], total=Decimal(total), currency=currency)
    return say(order_id, at_ms, data)


def confirmed_order(order_id: str, at_ms: int, total: str = "10.00") -> list[Message]:
    """Return all that is said of an order that is confirmed, ten milliseconds apart."""
    amount = Decimal(total)
    told: Iterable[msgspec.Struct] = (
        m.PaymentCompleted(order_id=order_id, payment_id="p", amount=amount, transaction_id="t"),
        m.InventoryReserved(order_id=order_id, reservation_id="r", items=[]),
        m.ShipmentScheduled(order_id=order_id, shipment_id="s", carrier="c", tracking_number="n"),
        m.ReservationConsumed(order_id=order_id, reservation_id="r"),
        m.OrderConfirmed(order_id=order_id, confirmed_at=at(at_ms + 50)),
    )
    rest = [say(order_id, at_ms + 10 * number, data) for number, data in enumerate(told, 1)]
    return [placed(order_id, at_ms, total=total), *rest]


def cancelled_order(order_id: str, at_ms: int, total: str = "10.00") -> list[Message]:
    """Return all that is said of an order that is refused by shipping, paid and reserved before."""
    amount = Decimal(total)
    told: Iterable[msgspec.Struct] = (
        m.PaymentCompleted(order_id=order_id, payment_id="p", amount=amount, transaction_id="t"),
        m.InventoryReserved(order_id=order_id, reservation_id="r", items=[]),
        m.ShipmentFailed(order_id=order_id, reason="NO_CARRIER"),
        m.InventoryReleased(order_id=order_id, reservation_id="r"),
        m.PaymentRefunded(
            order_id=order_id, payment_id="p", amount=amount, refund_id="f", method=m.RefundMethod.REFUND
        ),
        m.OrderCancelled(order_id=order_id, reason="NO_CARRIER", cancelled_at=at(at_ms + 60)),
    )
    rest = [say(order_id, at_ms + 10 * number, data) for number, data in enumerate(told, 1)]
    return [placed(order_id, at_ms, total=total), *rest]
