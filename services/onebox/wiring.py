"""The services of one process of the box, put together by hand: settings, adapters, services."""

import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import analytics_service.wiring as analytics
import inventory_service.wiring as inventory
import notification_service.wiring as notification
import order_service.wiring as order
import payment_service.wiring as payment
import shipping_service.wiring as shipping
from analytics_service.files import FileStores
from analytics_service.settings import AnalyticsSettings
from inventory_service.settings import InventorySettings
from notification_service.settings import NotificationSettings
from order_service.settings import OrderSettings
from payment_service.provider import BANK_TABLES
from payment_service.settings import PaymentSettings
from sagakit.adapters.sqlite import SqliteLog, SqliteStore
from sagakit.ports import Table
from sagakit.runtime.clock import SystemClock
from sagakit.runtime.service import Service
from sagakit.runtime.settings import read
from shipping_service.settings import ShippingSettings

PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Room:
    """What the services of one process share."""

    directory: Path
    environment: Mapping[str, str]
    log: SqliteLog
    clock: SystemClock
    stack: AsyncExitStack

    def store(self, name: str, tables: Iterable[Table[Any]]) -> SqliteStore:
        """Open a database of its own, closed when the process ends."""
        store = SqliteStore(self.directory / f"{name}.db", tables)
        self.stack.push_async_callback(store.close)
        return store


@asynccontextmanager
async def build_services(names: Iterable[str], directory: Path) -> AsyncIterator[list[Service]]:
    """Run these services over SQLite files in the directory."""
    async with AsyncExitStack() as stack:
        log = SqliteLog(directory / "log.db", PARTITIONS)
        stack.push_async_callback(log.close)
        room = Room(directory, os.environ, log, SystemClock(), stack)
        services = [BUILDERS[name](room) for name in names]
        for service in services:
            await stack.enter_async_context(service)
        yield services


def _order(room: Room) -> Service:
    return order.build(read(OrderSettings, room.environment), room.store("order", order.TABLES), room.log, room.clock)


def _payment(room: Room) -> Service:
    settings = read(PaymentSettings, room.environment)
    bank = payment.open_bank(settings, room.store("bank", BANK_TABLES), room.clock)
    return payment.build(settings, room.store("payment", payment.TABLES), room.log, room.clock, bank)


def _inventory(room: Room) -> Service:
    return inventory.build(
        read(InventorySettings, room.environment), room.store("inventory", inventory.TABLES), room.log, room.clock
    )


def _shipping(room: Room) -> Service:
    return shipping.build(
        read(ShippingSettings, room.environment), room.store("shipping", shipping.TABLES), room.log, room.clock
    )


def _notification(room: Room) -> Service:
    return notification.build(
        read(NotificationSettings, room.environment),
        room.store("notification", notification.TABLES),
        room.log,
        room.clock,
    )


def _analytics(room: Room) -> Service:
    catalogue = room.store("analytics", analytics.TABLES)
    settings = read(AnalyticsSettings, room.environment)
    return analytics.build(settings, catalogue, FileStores(room.directory), room.log, room.clock)


BUILDERS: Mapping[str, Callable[[Room], Service]] = {
    "order": _order,
    "payment": _payment,
    "inventory": _inventory,
    "shipping": _shipping,
    "notification": _notification,
    "analytics": _analytics,
}
