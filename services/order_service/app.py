"""What the order service answers: orders, their sagas, batch jobs over sagas, and the definitions."""

from order_service.batch_routes import BatchRoutes
from order_service.definition_routes import DefinitionRoutes
from order_service.desk import OrderDesk
from order_service.intake import Intake
from order_service.order_routes import OrderRoutes
from order_service.saga_routes import SagaRoutes
from order_service.verbs import Verbs
from sagakit.ports import Clock, Store
from sagakit.runtime.http.routes import Route
from sagakit.runtime.ids import TimeOrderedIds
from sagakit.runtime.tracker import Tracker


def routes(tracker: Tracker, desk: OrderDesk, store: Store, clock: Clock) -> list[Route]:
    """Return the routes over the service's store."""
    ids = TimeOrderedIds(clock)
    verbs = Verbs(tracker, store, clock)
    return [
        *OrderRoutes(Intake(desk, store, clock, ids), verbs, store, clock).routes(),
        *BatchRoutes(store, clock, ids).routes(),
        *SagaRoutes(tracker, verbs, store, clock).routes(),
        *DefinitionRoutes(tracker, store, clock).routes(),
    ]
