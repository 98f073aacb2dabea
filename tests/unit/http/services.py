"""The services whose HTTP side is tested, over memory and a clock turned by hand; nothing runs in the background."""

import asyncio
from datetime import UTC, datetime, timedelta

import inventory_service.wiring as inventory
import notification_service.wiring as notification
import payment_service.wiring as payment
import shipping_service.wiring as shipping
from inventory_service.settings import InventorySettings
from notification_service.settings import NotificationSettings
from payment_service.provider import BANK_TABLES
from payment_service.settings import PaymentSettings
from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.runtime.service import Service
from shipping_service.settings import ShippingSettings


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
    }


def joined(service: Service) -> Service:
    """Return the service after each of its consumers has asked for its partitions once: it is ready."""

    async def step() -> None:
        for consumer in service.consumers:
            await consumer.step()

    asyncio.run(step())
    return service
