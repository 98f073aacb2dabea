"""The notification service, put together by hand: whoever runs it brings the adapters."""

from notification_service.app import routes
from notification_service.listener import NOTIFICATIONS, Listener
from notification_service.settings import NotificationSettings
from sagakit.ports import Clock, Log, Store
from sagakit.runtime.service import Service
from shop_contracts.catalogue import SHOP

TABLES = (NOTIFICATIONS,)


def build(settings: NotificationSettings, store: Store, log: Log, clock: Clock) -> Service:
    """Return the service over a store with `TABLES`."""
    service = Service.of("notification", settings, settings.port, store=store, log=log, contracts=SHOP, clock=clock)
    service.routes += routes(store)
    service.hear(Listener())
    return service
