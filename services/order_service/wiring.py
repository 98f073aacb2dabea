"""The order service, put together by hand: whoever runs it brings the adapters."""

from functools import partial

from order_service.app import routes
from order_service.desk import ORDERS, CreateOrders, OrderDesk, hear_again, order_tracker
from order_service.settings import OrderSettings
from sagakit.hosting import Adapters
from sagakit.ports import Clock, Log, Store
from sagakit.runtime.batches import BATCHES, CHUNKS, FAILURES, Batches
from sagakit.runtime.deadlines import Deadlines
from sagakit.runtime.loops import Bell
from sagakit.runtime.parking import PARKED
from sagakit.runtime.rehearing import Rehearing
from sagakit.runtime.service import KIT_TABLES, Service
from sagakit.runtime.settings import read
from sagakit.runtime.tracker import CORRELATIONS, SAGAS
from shop_contracts.catalogue import SHOP
from shop_contracts.definitions import read_definition
from shop_contracts.order_saga import ORDER_SAGA

INTAKE = "order-intake"
TABLES = (SAGAS, CORRELATIONS, ORDERS, PARKED, BATCHES, CHUNKS, FAILURES, *KIT_TABLES)
STORES = {"order": TABLES}
"""The tables of each store that the service has, by its name."""
GROUPS = {"order": order_tracker().topics, INTAKE: CreateOrders.topics}
"""The topics that each consumer group of the service listens to, by its name."""
SETTINGS = OrderSettings
DEADLINES_WAIT_SECONDS = 0.2
"""How late a deadline is noticed when nothing is due before."""
BATCHES_WAIT_SECONDS = 0.1
REHEARING_WAIT_SECONDS = 0.1


def build(settings: OrderSettings, store: Store, log: Log, clock: Clock) -> Service:
    """Return the service over a store with `TABLES`."""
    service = Service(
        name="order",
        title="Sagaplane order service",
        port=settings.port,
        host=settings.host,
        instance=settings.instance,
        http_limits=settings.http_limits,
        store=store,
        log=log,
        contracts=SHOP,
        clock=clock,
    )
    tracker = order_tracker()
    desk = OrderDesk(tracker)
    service.routes += routes(tracker, desk, store, clock)
    definitions = service.follow(tracker, [ORDER_SAGA], read_definition)
    service.hear(tracker, definitions=definitions)
    intake = CreateOrders(desk)
    service.hear(intake, INTAKE)
    again = Rehearing("order", tracker.sagas.keys(), partial(hear_again, tracker, intake), store, clock)
    service.add(again, Bell(REHEARING_WAIT_SECONDS))
    service.add(Deadlines(tracker, store, clock), Bell(DEADLINES_WAIT_SECONDS))
    service.add(Batches(tracker, store, clock), Bell(BATCHES_WAIT_SECONDS))
    service.bury_strangers()
    return service


async def host(its: Adapters) -> Service:
    """Return the service with the settings and over the adapters of a process."""
    settings = read(OrderSettings, its.environment)
    return build(settings, await its.store("order", TABLES), its.log, its.clock)
