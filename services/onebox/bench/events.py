"""An event log as a shop leaves it, from a seed: every event of every order, in the order in which the log got them.

An order is three to seven events, some 20 ms apart, over all topics; the events of many orders lie between them.
Nothing is run for it, so ten million events are minutes of work, and the memory is that of the orders under way.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from heapq import heappop, heappush
from itertools import count, islice
from pathlib import Path
from random import Random

import msgspec

from sagakit.adapters.sqlite import SqliteLog
from sagakit.adapters.sqlite.log import PARTITIONS
from sagakit.core.contracts import encode_data
from sagakit.core.messages import Message, Mode, message_id, name_based_id
from sagakit.ports import Draft
from sagakit.runtime.wire import draft
from shipping_service.domain import schedule
from shop_contracts.catalogue import SHOP
from shop_contracts.messages import (
    InventoryFailed,
    InventoryReleased,
    InventoryReserved,
    Item,
    Line,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    PaymentCompleted,
    PaymentFailed,
    PaymentRefunded,
    RefundMethod,
    ReservationConsumed,
    ShipmentFailed,
    ShipmentScheduled,
)
from shop_contracts.order_saga import ORDER_SAGA

PRICES = tuple(
    map(Decimal, ("4.99", "9.99", "14.50", "19.95", "29.00", "49.90", "79.00", "129.00", "249.00", "499.00"))
)
USERS = 5000
LINES_MAX = 3
QUANTITY_MAX = 2
SECOND_US = 1_000_000
PAUSE_US = range(15_000, 25_000)
"""From one step of a saga to the next."""
RELAY_US = range(2_000, 12_000)
"""From a commit to the log."""
AGAIN_US = range(50_000, 5 * SECOND_US)
"""From the first time that a message is published to the second."""
DEADLINE = timedelta(seconds=30)
START = datetime(2026, 10, 1, tzinfo=UTC)
EVENTS_PER_ORDER = 4.96
"""Of the mix of 70 and 80 %: 30 % of the orders have 3 events, 14 % have 5, and 56 % have 6."""

CONFIRMED = ("PaymentCompleted", "InventoryReserved", "ShipmentScheduled", "ReservationConsumed", "OrderConfirmed")
DECLINED = ("PaymentFailed", "OrderCancelled")
REFUSED = ("PaymentCompleted", "InventoryFailed", "PaymentRefunded", "OrderCancelled")
UNSENT = (
    "PaymentCompleted",
    "InventoryReserved",
    "ShipmentFailed",
    "InventoryReleased",
    "PaymentRefunded",
    "OrderCancelled",
)
REASONS = {DECLINED: "CARD_DECLINED", REFUSED: "WAREHOUSE_REFUSED", UNSENT: "NO_CARRIER"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """How many events there are, how dense, how orders end, and what goes wrong on the way into the log.

    Of the events a share `doubled` is published twice, and a share `late` gets into the log up to so many seconds late.
    What is published within `publish_seconds` is one publication.
    """

    seed: int
    events: int
    orders_per_second: float = 1000.0
    start: datetime = START
    payment_succeeds: float = 0.7
    inventory_succeeds: float = 0.8
    shipping_succeeds: float = 1.0
    doubled: float = 0.0
    late: float = 0.0
    late_seconds_max: float = 300.0
    publish_seconds: float = 0.05

    @classmethod
    def over_days(cls, days: int, seed: int, events: int) -> "Traffic":
        """Return so many events over so many days; what comes in ten minutes is one publication, or each would be."""
        orders = events / EVENTS_PER_ORDER
        return cls(seed=seed, events=events, orders_per_second=orders / (days * 86_400), publish_seconds=600)


async def write(traffic: Traffic, path: Path) -> None:
    """Write the events into a new log, each at the time at which a relay would have."""
    at = traffic.start
    log = SqliteLog(path, PARTITIONS, synchronous="OFF", now=lambda: at)
    for at, drafts in publications(traffic):  # noqa: B007 - the log asks for it
        await log.publish(drafts)
    await log.close()


def publications(traffic: Traffic) -> Iterator[tuple[datetime, list[Draft]]]:
    """Return what is published together, and when."""
    window = int(traffic.publish_seconds * SECOND_US)
    gathered: list[Draft] = []
    end = window
    for at_us, appended in islice(appends(traffic), traffic.events):
        if at_us > end:
            if gathered:
                yield traffic.start + timedelta(microseconds=end), gathered
            gathered, end = [], -(-at_us // window) * window
        gathered.append(appended)
    if gathered:
        yield traffic.start + timedelta(microseconds=end), gathered


def appends(traffic: Traffic) -> Iterator[tuple[int, Draft]]:
    """Return, without end, what gets into the log, and how many microseconds after the start."""
    luck = Random(traffic.seed)
    waiting: list[tuple[int, int, Draft]] = []
    numbers = count()
    late_us = range(max(1, int(traffic.late_seconds_max * SECOND_US)))
    created_us = 0.0
    for number in count():
        created_us += luck.expovariate(traffic.orders_per_second) * SECOND_US
        while waiting and waiting[0][0] <= created_us:
            at_us, _, event = heappop(waiting)
            yield at_us, event
        for said_us, event in _events(traffic, number, int(created_us), luck):
            at_us = said_us + _among(RELAY_US, luck)
            if luck.random() < traffic.late:
                at_us += _among(late_us, luck)
            heappush(waiting, (at_us, next(numbers), event))
            if luck.random() < traffic.doubled:
                heappush(waiting, (at_us + _among(AGAIN_US, luck), next(numbers), event))


@dataclass(frozen=True, slots=True)
class _Order:
    """What the events of one order speak of, and how it ends."""

    order_id: str
    user_id: str
    items: list[Item]
    total: Decimal
    reason: str
    at: datetime

    @property
    def payment_id(self) -> str:
        return name_based_id(self.order_id, "payment")

    @property
    def reservation_id(self) -> str:
        return name_based_id(self.order_id, "reservation")


def _events(traffic: Traffic, number: int, created_us: int, luck: Random) -> Iterator[tuple[int, Draft]]:
    """Return the events of one order, and when each was committed."""
    types, at_us = ("OrderCreated", *_path(traffic, luck)), created_us
    mode = Mode.ORCHESTRATION if luck.random() < 0.5 else Mode.CHOREOGRAPHY  # noqa: PLR2004 - as many of each
    user_id = f"user-{int(luck.random() * USERS)}"
    order_id = name_based_id("bench", str(traffic.seed), str(number))
    places = luck.sample(range(len(PRICES)), 1 + int(luck.random() * LINES_MAX))
    items = [
        Item(product_id=f"prod-{place + 1}", quantity=1 + int(luck.random() * QUANTITY_MAX), price=PRICES[place])
        for place in places
    ]
    total = sum((item.price * item.quantity for item in items), Decimal(0))
    created = at = traffic.start + timedelta(microseconds=created_us)
    order = _Order(order_id, user_id, items, total, REASONS.get(types[1:], ""), created)
    cause = ""
    for place, name in enumerate(types):
        ends = place == len(types) - 1
        if place and not ends:
            at_us += _among(PAUSE_US, luck)
            at = traffic.start + timedelta(microseconds=at_us)
            order = _Order(order_id, user_id, items, total, order.reason, at)
        kind = KINDS[name]
        if mode is Mode.ORCHESTRATION and kind.command:
            cause = message_id(order_id, kind.step, kind.command)
        own = message_id(order_id, kind.step, name)
        message = Message(
            type=name,
            id=own,
            source=kind.source,
            time=at,
            saga_id=order_id,
            correlation_id=order_id,
            causation_id=cause,
            mode=mode,
            definition=ORDER_SAGA.ref,
            data_version=kind.version,
            deadline=created + DEADLINE,
            data=encode_data(kind.data(order)),
        )
        cause = own
        yield at_us + ends, draft(kind.topic, message)


def _path(traffic: Traffic, luck: Random) -> tuple[str, ...]:
    if luck.random() >= traffic.payment_succeeds:
        return DECLINED
    if luck.random() >= traffic.inventory_succeeds:
        return REFUSED
    return CONFIRMED if luck.random() < traffic.shipping_succeeds else UNSENT


def _among(numbers: range, luck: Random) -> int:
    """Return one of the numbers; `randrange` costs four times as much."""
    return numbers.start + int(luck.random() * len(numbers))


@dataclass(frozen=True, slots=True)
class _Kind:
    """One type of event: where it is said and by whom, about which step, after which command, and what it says."""

    topic: str
    source: str
    step: str
    command: str
    data: Callable[[_Order], msgspec.Struct]
    version: int


def _created(order: _Order) -> OrderCreated:
    return OrderCreated(
        order_id=order.order_id, user_id=order.user_id, items=order.items, total=order.total, currency="USD"
    )


def _confirmed(order: _Order) -> OrderConfirmed:
    return OrderConfirmed(order_id=order.order_id, confirmed_at=order.at)


def _cancelled(order: _Order) -> OrderCancelled:
    return OrderCancelled(order_id=order.order_id, reason=order.reason, cancelled_at=order.at)


def _paid(order: _Order) -> PaymentCompleted:
    return PaymentCompleted(
        order_id=order.order_id,
        payment_id=order.payment_id,
        amount=order.total,
        transaction_id=name_based_id(order.order_id, "transaction"),
    )


def _declined(order: _Order) -> PaymentFailed:
    return PaymentFailed(order_id=order.order_id, reason="the card was declined", error_code="CARD_DECLINED")


def _refunded(order: _Order) -> PaymentRefunded:
    return PaymentRefunded(
        order_id=order.order_id,
        payment_id=order.payment_id,
        amount=order.total,
        refund_id=name_based_id(order.order_id, "refund"),
        method=RefundMethod.REFUND,
    )


def _reserved(order: _Order) -> InventoryReserved:
    lines = [Line(product_id=item.product_id, quantity=item.quantity) for item in order.items]
    return InventoryReserved(order_id=order.order_id, reservation_id=order.reservation_id, items=lines)


def _refused(order: _Order) -> InventoryFailed:
    return InventoryFailed(order_id=order.order_id, reason="WAREHOUSE_REFUSED")


def _released(order: _Order) -> InventoryReleased:
    return InventoryReleased(order_id=order.order_id, reservation_id=order.reservation_id)


def _consumed(order: _Order) -> ReservationConsumed:
    return ReservationConsumed(order_id=order.order_id, reservation_id=order.reservation_id)


def _shipped(order: _Order) -> ShipmentScheduled:
    shipment = schedule(order.order_id, order.at)
    return ShipmentScheduled(
        order_id=order.order_id,
        shipment_id=shipment.shipment_id,
        carrier=shipment.carrier or "",
        tracking_number=shipment.tracking_number or "",
    )


def _unshipped(order: _Order) -> ShipmentFailed:
    return ShipmentFailed(order_id=order.order_id, reason="NO_CARRIER")


def _kinds() -> Iterator[tuple[str, _Kind]]:
    for name, topic, step, command, data in (
        ("OrderCreated", "orders", "", "", _created),
        ("OrderConfirmed", "orders", "", "", _confirmed),
        ("OrderCancelled", "orders", "", "", _cancelled),
        ("PaymentCompleted", "payments", "payment", "ChargePayment", _paid),
        ("PaymentFailed", "payments", "payment", "ChargePayment", _declined),
        ("PaymentRefunded", "payments", "payment", "RefundPayment", _refunded),
        ("InventoryReserved", "inventory", "inventory", "ReserveInventory", _reserved),
        ("InventoryFailed", "inventory", "inventory", "ReserveInventory", _refused),
        ("InventoryReleased", "inventory", "inventory", "ReleaseInventory", _released),
        ("ReservationConsumed", "inventory", "stock", "ConsumeReservation", _consumed),
        ("ShipmentScheduled", "shipping", "shipping", "ScheduleShipment", _shipped),
        ("ShipmentFailed", "shipping", "shipping", "ScheduleShipment", _unshipped),
    ):
        source = topic.removesuffix("s")
        yield name, _Kind(f"{topic}.events", source, step, command, data, SHOP.version_of(name))


KINDS: Mapping[str, _Kind] = dict(_kinds())
