"""The inventory service, put together by hand: whoever runs it brings the adapters."""

from inventory_service.actions import LEDGER, RESERVATIONS, STOCK, Inventory, barred
from inventory_service.app import routes
from inventory_service.settings import InventorySettings
from sagakit.ports import Clock, Log, Store
from sagakit.runtime.parking import PARKED
from sagakit.runtime.participant import PARTS, Participant
from sagakit.runtime.service import Service
from shop_contracts.catalogue import SHOP
from shop_contracts.order_saga import ORDER_SAGA

TABLES = (STOCK, RESERVATIONS, LEDGER, PARTS, PARKED)


def build(settings: InventorySettings, store: Store, log: Log, clock: Clock) -> Service:
    """Return the service over a store with `TABLES`."""
    service = Service.of("inventory", settings, settings.port, store=store, log=log, contracts=SHOP, clock=clock)
    service.routes += routes(store, clock)
    service.take_part(
        Participant(
            "inventory",
            sagas=[ORDER_SAGA],
            actions=Inventory(settings.success_rate, settings.seed).actions(),
            barred=barred,
            contracts=SHOP,
            store=store,
            clock=clock,
        )
    )
    return service
