"""The shipping service, put together by hand: whoever runs it brings the adapters."""

from sagakit.hosting import Adapters
from sagakit.ports import Clock, Log, Store
from sagakit.runtime.parking import PARKED
from sagakit.runtime.participant import PARTS, Participant, heard_topics
from sagakit.runtime.service import KIT_TABLES, Service
from sagakit.runtime.settings import read
from shipping_service.actions import SHIPMENTS, Shipping, barred
from shipping_service.app import routes
from shipping_service.settings import ShippingSettings
from shop_contracts.catalogue import SHOP
from shop_contracts.definitions import read_definition
from shop_contracts.order_saga import ORDER_SAGA

TABLES = (SHIPMENTS, PARTS, PARKED, *KIT_TABLES)
STORES = {"shipping": TABLES}
"""The tables of each store that the service has, by its name."""
GROUPS = {"shipping": heard_topics("shipping", ORDER_SAGA)}
"""The topics that each consumer group of the service listens to, by its name."""
SETTINGS = ShippingSettings


def build(settings: ShippingSettings, store: Store, log: Log, clock: Clock) -> Service:
    """Return the service over a store with `TABLES`."""
    service = Service.of("shipping", settings, settings.port, store=store, log=log, contracts=SHOP, clock=clock)
    service.routes += routes(store)
    participant = Participant(
        "shipping",
        sagas=[ORDER_SAGA],
        actions=Shipping(settings.success_rate, settings.seed).actions(),
        barred=barred,
        contracts=SHOP,
        store=store,
        clock=clock,
    )
    service.take_part(participant, service.follow(participant, [ORDER_SAGA], read_definition))
    return service


async def host(its: Adapters) -> Service:
    """Return the service with the settings and over the adapters of a process."""
    settings = read(ShippingSettings, its.environment)
    return build(settings, await its.store("shipping", TABLES), its.log, its.clock)
