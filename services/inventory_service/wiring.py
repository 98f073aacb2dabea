"""The inventory service, put together by hand: whoever runs it brings the adapters."""

from inventory_service.actions import LEDGER, RESERVATIONS, STOCK, Inventory, barred
from inventory_service.app import routes
from inventory_service.settings import InventorySettings
from sagakit.hosting import Adapters
from sagakit.ports import Clock, Log, Store
from sagakit.runtime.parking import PARKED
from sagakit.runtime.participant import PARTS, Participant, heard_topics
from sagakit.runtime.service import KIT_TABLES, Service
from sagakit.runtime.settings import read
from shop_contracts.catalogue import SHOP
from shop_contracts.definitions import read_definition
from shop_contracts.order_saga import ORDER_SAGA

TABLES = (STOCK, RESERVATIONS, LEDGER, PARTS, PARKED, *KIT_TABLES)
STORES = {"inventory": TABLES}
"""The tables of each store that the service has, by its name."""
GROUPS = {"inventory": heard_topics("inventory", ORDER_SAGA)}
"""The topics that each consumer group of the service listens to, by its name."""
SETTINGS = InventorySettings


def build(settings: InventorySettings, store: Store, log: Log, clock: Clock) -> Service:
    """Return the service over a store with `TABLES`."""
    service = Service.of("inventory", settings, settings.port, store=store, log=log, contracts=SHOP, clock=clock)
    service.routes += routes(store, clock)
    participant = Participant(
        "inventory",
        sagas=[ORDER_SAGA],
        actions=Inventory(settings.success_rate, settings.seed).actions(),
        barred=barred,
        contracts=SHOP,
        store=store,
        clock=clock,
    )
    service.take_part(participant, service.follow(participant, [ORDER_SAGA], read_definition))
    return service


async def host(its: Adapters) -> Service:
    """Return the service with the settings and over the adapters of a process."""
    settings = read(InventorySettings, its.environment)
    return build(settings, await its.store("inventory", TABLES), its.log, its.clock)
