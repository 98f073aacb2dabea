"""Orders as a log has them, in words: a stroke of the pen for each event, and the analytics fed with them for real."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from analytics_service.desk import GROUP, Desk, TableProfiles
from analytics_service.files import FileStores
from analytics_service.live import Surroundings, follow
from analytics_service.settings import AnalyticsSettings
from analytics_service.versions import first
from analytics_service.wiring import TABLES
from onebox.recount.rules import COUNTED
from sagakit.adapters.sqlite import SqliteLog, SqliteStore
from sagakit.core.contracts import encode_data
from sagakit.core.messages import Message, Mode
from sagakit.ports import Draft
from sagakit.runtime.clock import SystemClock
from sagakit.runtime.consumer import Consumer
from sagakit.runtime.wire import draft
from shop_contracts.catalogue import SHOP

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
TOPIC_OF = {kind: topic for topic, kinds in COUNTED.items() for kind in kinds}
CONFIRMED = ("PaymentCompleted", "InventoryReserved", "ShipmentScheduled", "ReservationConsumed", "OrderConfirmed")
COMPENSATED = ("PaymentCompleted", "InventoryFailed", "PaymentRefunded", "OrderCancelled")
DECLINED = ("PaymentFailed", "AbortSaga", "OrderCancelled")
UNSENT = (
    *("PaymentCompleted", "InventoryReserved", "ShipmentFailed"),
    *("InventoryReleased", "PaymentRefunded", "OrderCancelled"),
)


@dataclass(frozen=True)
class Order:
    """One order; whatever is said of it is made from this."""

    id: str
    items: Sequence[tuple[str, int, Any]] = (("pen", 2, Decimal("9.99")), ("ink", 1, Decimal("0.02")))
    total: Any = Decimal("20.00")
    currency: str | None = "USD"
    user: str = "ada"
    mode: Mode = Mode.CHOREOGRAPHY
    paid: Any = None
    at: datetime = NOON

    def created(self) -> dict[str, Any]:
        items = [{"productId": name, "quantity": count, "price": price} for name, count, price in self.items]
        order = {"orderId": self.id, "userId": self.user, "items": items, "total": self.total}
        return order if self.currency is None else {**order, "currency": self.currency}

    def data(self, kind: str) -> dict[str, Any]:
        own: dict[str, Any] = {"orderId": self.id}
        amount = self.total if self.paid is None else self.paid
        payment = f"pay-{self.id}"
        match kind:
            case "OrderCreated":
                return self.created()
            case "OrderConfirmed":
                return {**own, "confirmedAt": self.at}
            case "OrderCancelled":
                return {**own, "reason": "CARD_DECLINED", "cancelledAt": self.at}
            case "PaymentCompleted":
                return {**own, "paymentId": payment, "amount": amount, "transactionId": "t"}
            case "PaymentFailed":
                return {**own, "reason": "no", "errorCode": "CARD_DECLINED"}
            case "PaymentRefunded":
                return {**own, "paymentId": payment, "amount": amount, "refundId": "r", "method": "refund"}
            case "InventoryReserved":
                return {**own, "reservationId": f"res-{self.id}", "items": []}
            case "InventoryFailed" | "ShipmentFailed":
                return {**own, "reason": "WAREHOUSE_REFUSED"}
            case "InventoryReleased" | "ReservationConsumed":
                return {**own, "reservationId": f"res-{self.id}"}
            case "ShipmentScheduled":
                return {**own, "shipmentId": f"ship-{self.id}", "carrier": "mule", "trackingNumber": "M-1"}
            case _:
                return {"sagaId": self.id, "code": "CANCELLED"}

    def says(self, kind: str, after: timedelta = timedelta(0), **other: Any) -> Draft:  # noqa: ANN401 - data
        """Return one event, so long after the order's time; `other` is data that is not as usual."""
        version = 2 if kind == "OrderCreated" and self.currency is not None else 1
        message = Message(
            type=kind,
            id=f"{self.id}-{kind}",
            source="test",
            time=self.at + after,
            saga_id=self.id,
            correlation_id=self.id,
            mode=self.mode,
            causation_id="",
            data_version=version,
            data=encode_data({**self.data(kind), **other}),
        )
        return draft(TOPIC_OF[kind], message)

    def goes(self, kinds: Iterable[str]) -> Iterator[Draft]:
        """Yield the order and these events, a third of a second apart."""
        for number, kind in enumerate(("OrderCreated", *kinds)):
            yield self.says(kind, number * timedelta(milliseconds=333.3337))


def shuffled(seed: int, orders: int = 40) -> list[Draft]:
    """Return the events of many orders in any order, some of them twice or missing, with every kind of amount."""
    luck = random.Random(seed)
    amounts = [
        *(Decimal(text) for text in ("20.00", "2e1", "0", "0.10", "1234567.89", "1.005", "-3", "1e15", "1e400")),
        *("20", "20.0", "NaN", "Infinity", "1_000.5", Decimal("1234567890123456.7891"), Decimal("99999999999999999.5")),
    ]
    drafts: list[Draft] = []
    for number in range(orders):
        order = Order(
            id=f"order-{seed}-{number}",
            items=[(luck.choice(("pen", "ink", "ink")), luck.randint(1, 9), luck.choice(amounts)) for _ in range(3)],
            total=luck.choice(amounts),
            currency=luck.choice(("USD", "JPY", "EUR", "KWD", "XXL", "XAU", None)),
            user=f"user-{luck.randint(1, 5)}",
            mode=luck.choice([*Mode]),
            paid=luck.choice([None, None, *amounts]),
            at=NOON
            + timedelta(
                seconds=luck.choice((0, 1, 59, 3600, 86_400, -86_400 * 30, 86_400 * 9000)), microseconds=number
            ),
        )
        own = [*order.goes(luck.choice((CONFIRMED, COMPENSATED, DECLINED, UNSENT)))]
        luck.shuffle(own)
        drafts += [event for event in own for _ in range(luck.choice((0, 1, 1, 1, 1, 2)))]
        if luck.random() < 0.2:
            drafts.append(order.says("OrderCancelled", timedelta(seconds=5), reason="KILLED"))
        if luck.random() < 0.2:
            drafts += [
                order.says("OrderCreated", timedelta(seconds=after), total=total, userId="somebody else")
                for after, total in ((6, 7), (7, 5000), (8, 6000))
            ]
    luck.shuffle(drafts)
    return drafts


class Counted:
    """The analytics of a directory: a log, the catalogue, and version 1 of the views."""

    def __init__(self, directory: Path, batch_records_max: int = 500) -> None:
        self.directory = directory
        self.clock = SystemClock()
        self.log = SqliteLog(directory / "log.db")
        self.catalogue = SqliteStore(directory / "analytics.db", TABLES)
        self.stores = FileStores(directory)
        self.settings = AnalyticsSettings()
        self._batch_records_max = batch_records_max

    async def open(self) -> None:
        """Make version 1 live, and be ready to count."""
        await self.catalogue.transact(lambda transaction: first(transaction, self.clock.now()))
        its = Surroundings(
            *(self.catalogue, self.stores, self.log, SHOP, self.clock, self.settings.bounds, "0"),
            self._batch_records_max,
        )
        self.follower = follow(its, 1)
        self.desk = Consumer(
            service="analytics",
            group=GROUP,
            handler=Desk(self.settings.thresholds(), TableProfiles(self.clock, 60)),
            store=self.catalogue,
            log=self.log,
            contracts=SHOP,
            clock=self.clock,
            batch_records_max=self._batch_records_max,
        )

    async def step(self) -> bool:
        """Count one batch of events, in the views and at the desk."""
        views = await self.follower.consumer.step()
        return await self.desk.step() or views

    async def count(self) -> None:
        """Count all there is."""
        while await self.step():
            pass

    async def close(self) -> None:
        """Let go of every file."""
        await self.follower.close()
        await self.desk.close()
        await self.catalogue.close()
        await self.log.close()
