"""The notification service, put together by hand: whoever runs it brings the adapters."""

from notification_service.app import routes
from notification_service.listener import NOTIFICATIONS, Listener
from notification_service.settings import NotificationSettings
from sagakit.hosting import Adapters
from sagakit.ports import Clock, Log, Store
from sagakit.runtime.service import KIT_TABLES, Service
from sagakit.runtime.settings import read
from shop_contracts.catalogue import SHOP

TABLES = (NOTIFICATIONS, *KIT_TABLES)
STORES = {"notification": TABLES}
"""The tables of each store that the service has, by its name."""
GROUPS = {"notification": Listener.topics}
"""The topics that each consumer group of the service listens to, by its name."""
SETTINGS = NotificationSettings


def build(settings: NotificationSettings, store: Store, log: Log, clock: Clock) -> Service:
    """Return the service over a store with `TABLES`."""
    service = Service.of("notification", settings, settings.port, store=store, log=log, contracts=SHOP, clock=clock)
    service.routes += routes(store)
    service.hear(Listener())
    return service


async def host(its: Adapters) -> Service:
    """Return the service with the settings and over the adapters of a process."""
    settings = read(NotificationSettings, its.environment)
    return build(settings, await its.store("notification", TABLES), its.log, its.clock)
