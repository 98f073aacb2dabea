"""The real services over memory, each at a port of its own, in one event loop beside the tests."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from anyio.from_thread import BlockingPortal
from typing_extensions import override

import analytics_service.wiring as analytics
import inventory_service.wiring as inventory
import notification_service.wiring as notification
import order_service.wiring as order
import payment_service.wiring as payment
import shipping_service.wiring as shipping
from analytics_service.settings import AnalyticsSettings
from analytics_service.tables import VIEWS
from inventory_service.settings import InventorySettings
from notification_service.settings import NotificationSettings
from order_service.settings import OrderSettings
from payment_service.provider import BANK_TABLES
from payment_service.settings import PaymentSettings
from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.ports import Table
from sagakit.runtime.clock import SystemClock
from sagakit.runtime.service import Service
from shipping_service.settings import ShippingSettings

STORES = {
    "order": order.TABLES,
    "payment": payment.TABLES,
    "bank": BANK_TABLES,
    "inventory": inventory.TABLES,
    "shipping": shipping.TABLES,
    "notification": notification.TABLES,
    "analytics": analytics.TABLES,
}
PENS = 1_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


class HurriedClock(SystemClock):
    """Every second of ours is twenty of the shop's, so that patience need not be waited for."""

    SPEED = 20

    def __init__(self) -> None:
        self._begin = super().now()

    @override
    def now(self) -> datetime:
        return self._begin + (super().now() - self._begin) * self.SPEED


class KeptStore(MemoryStore):
    """A store that can be opened again after it was closed, as one in a file can."""

    @override
    async def close(self) -> None:
        """What is kept in memory has to stay open."""


class MemoryStores:
    """The versions of the views, in memory."""

    def __init__(self) -> None:
        self.kept: dict[int, KeptStore] = {}

    def open(self, version: int) -> KeptStore:
        return self.kept.setdefault(version, KeptStore(VIEWS))

    async def drop(self, version: int) -> None:
        self.kept.pop(version, None)


@dataclass(frozen=True, slots=True)
class LiveShop:
    """A shop that runs; its stores can be written past the services, as only a test or a thief does."""

    services: Mapping[str, Service]
    stores: Mapping[str, MemoryStore]
    views: MemoryStores
    portal: BlockingPortal

    @property
    def environment(self) -> dict[str, str]:
        return {f"SAGACTL_{name.upper()}_URL": f"http://127.0.0.1:{s.port}" for name, s in self.services.items()}

    def load(self, store: str, table: Table[Any], key: str) -> Any:  # noqa: ANN401 - a record of the table
        async def look() -> Any:  # noqa: ANN401
            return (await self.stores[store].view(lambda reader: reader.load(table, [key])))[key]

        return self.portal.call(look)

    def save(self, store: str, table: Table[Any], record: Any) -> None:  # noqa: ANN401
        async def write() -> None:
            await self.stores[store].transact(lambda transaction: transaction.save(table, [record]))

        self.portal.call(write)


@asynccontextmanager
async def open_shop(
    portal: BlockingPortal,
    clock: SystemClock,
    **settings: Any,  # noqa: ANN401 - of payment
) -> AsyncIterator[LiveShop]:
    log = MemoryLog(clock)
    stores = {name: MemoryStore(tables) for name, tables in STORES.items()}
    money = PaymentSettings(port=0, **settings)
    views = MemoryStores()
    bank = payment.open_bank(money, stores["bank"], clock)
    services = {
        "order": order.build(OrderSettings(port=0), stores["order"], log, clock),
        "payment": payment.build(money, stores["payment"], log, clock, bank),
        "inventory": inventory.build(InventorySettings(port=0), stores["inventory"], log, clock),
        "shipping": shipping.build(ShippingSettings(port=0), stores["shipping"], log, clock),
        "notification": notification.build(NotificationSettings(port=0), stores["notification"], log, clock),
        "analytics": analytics.build(AnalyticsSettings(port=0), stores["analytics"], views, log, clock),
    }
    async with AsyncExitStack() as stack:
        for service in services.values():
            await stack.enter_async_context(service)
        yield LiveShop(services, stores, views, portal)
