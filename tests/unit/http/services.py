"""The services whose HTTP side is tested, over memory and a clock turned by hand; nothing runs in the background."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.analytics.running import MemoryStores

import analytics_service.wiring as analytics
import inventory_service.wiring as inventory
import notification_service.wiring as notification
import payment_service.wiring as payment
import shipping_service.wiring as shipping
from analytics_service.settings import AnalyticsSettings
from inventory_service.actions import LEDGER, RESERVATIONS, STOCK
from inventory_service.domain import Reservation, ReservationStatus, Stock, counted
from inventory_service.settings import InventorySettings
from notification_service.domain import Notification
from notification_service.listener import NOTIFICATIONS
from notification_service.settings import NotificationSettings
from payment_service.actions import PAYMENTS
from payment_service.domain import captured, declined, given_back, pending
from payment_service.provider import BANK_TABLES
from payment_service.settings import PaymentSettings
from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.ports import Table, Transaction
from sagakit.runtime.service import Service
from shipping_service.actions import SHIPMENTS
from shipping_service.domain import refuse, schedule
from shipping_service.settings import ShippingSettings
from shop_contracts.messages import Line, RefundMethod


class HandClock:
    """Stands still until it is turned; its luck is always the same."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        self.moment += timedelta(microseconds=1)
        return self.moment

    def chance(self) -> float:
        return 0.5

    async def sleep(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


def build_all() -> dict[str, Service]:
    """Return one of each service, all on one log."""
    clock = HandClock()
    log = MemoryLog(clock)
    money = PaymentSettings(port=0)
    bank = payment.open_bank(money, MemoryStore(BANK_TABLES), clock)
    return {
        "payment": payment.build(money, MemoryStore(payment.TABLES), log, clock, bank),
        "inventory": inventory.build(InventorySettings(port=0), MemoryStore(inventory.TABLES), log, clock),
        "shipping": shipping.build(ShippingSettings(port=0), MemoryStore(shipping.TABLES), log, clock),
        "notification": notification.build(NotificationSettings(port=0), MemoryStore(notification.TABLES), log, clock),
        "analytics": analytics.build(
            AnalyticsSettings(port=0), MemoryStore(analytics.TABLES), MemoryStores(), log, clock
        ),
    }


def with_something_to_show(service: Service) -> Service:
    """Return the service with a record or two of each kind, after its consumers have asked for their partitions."""
    records: dict[str, list[tuple[Table[Any], list[Any]]]] = {
        "payment": [(PAYMENTS, [_PAID, declined(pending("b", "ann", 5, "JPY", NOON), "CARD_DECLINED", "no", NOON)])],
        "inventory": [
            (STOCK, [Stock("pen", 5, 2)]),
            (LEDGER, [counted(Stock("pen"), 5, NOON)[1]]),
            (RESERVATIONS, [Reservation("a", "r", ReservationStatus.RESERVED, (_LINE,), NOON)]),
        ],
        "shipping": [(SHIPMENTS, [schedule("a", NOON), refuse("b", "NO_CARRIER", NOON)])],
        "notification": [(NOTIFICATIONS, [Notification("a", "confirmed", "On its way.", NOON)])],
    }

    async def work(transaction: Transaction) -> None:
        for table, those in records[service.name]:
            await transaction.save(table, those)

    async def prepare() -> None:
        await service.store.transact(work)
        for consumer in service.consumers:
            await consumer.step()

    asyncio.run(prepare())
    return service


NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
_LINE = Line(product_id="pen", quantity=2)
_PAID = given_back(captured(pending("a", "ann", 1050, "USD", NOON), "t-1", NOON), RefundMethod.REFUND, NOON)
