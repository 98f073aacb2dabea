"""The shop's services as processes of the simulated world: the real loops, without HTTP."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from analytics_service.live import group_of
from analytics_service.views import Bounds, Views
from inventory_service.actions import LEDGER, RESERVATIONS, STOCK, Inventory
from inventory_service.actions import barred as inventory_barred
from notification_service.listener import NOTIFICATIONS, Listener
from onebox.simulation.people import Desk, Operator, People
from order_service.desk import ORDERS, CreateOrders, OrderDesk, order_tracker
from payment_service.actions import PAYMENTS, Payments
from payment_service.actions import barred as payment_barred
from payment_service.provider import PaymentProvider
from sagakit.core.definition import RetryPolicy
from sagakit.runtime.actions import AnyAction, Barred
from sagakit.runtime.batches import BATCHES, CHUNKS, FAILURES, Batches
from sagakit.runtime.consumer import Consumer, Handler
from sagakit.runtime.deadlines import Deadlines
from sagakit.runtime.expiry import ParkingExpiry
from sagakit.runtime.parking import PARKED
from sagakit.runtime.participant import PARTS, Participant, heard_topics
from sagakit.runtime.projection import AlignedLog, ProjectionConsumer
from sagakit.runtime.relay import Relay
from sagakit.runtime.tracker import CORRELATIONS, SAGAS
from sagakit.testing.simulation import Process, Steps, VirtualClock
from shipping_service.actions import SHIPMENTS, Shipping
from shipping_service.actions import barred as shipping_barred
from shop_contracts.catalogue import SHOP
from shop_contracts.order_saga import ORDER_SAGA

HURRIED = replace(
    ORDER_SAGA,
    version=2,
    stages=tuple(
        tuple(replace(s, timeout_seconds=25, retry=RetryPolicy(3, 0.2, 2.0)) for s in stage)
        for stage in ORDER_SAGA.stages
    ),
)
"""The order saga with time limits on its steps, and participants that give up soon: so that a person is needed."""
_payment, _inventory, *_others = ORDER_SAGA.stages
CAREFUL = replace(ORDER_SAGA, version=3, stages=(_inventory, _payment, *_others))
"""The order saga with its first two steps exchanged: participants have to hear others than before."""
DEFINITIONS = (ORDER_SAGA, HURRIED, CAREFUL)
LEARNING_SECONDS = {HURRIED.ref: 2.0, CAREFUL.ref: 5.0}

ORDER_TABLES = (SAGAS, CORRELATIONS, ORDERS, PARKED, BATCHES, CHUNKS, FAILURES)
PAYMENT_TABLES = (PAYMENTS, PARTS, PARKED)
INVENTORY_TABLES = (STOCK, RESERVATIONS, LEDGER, PARTS, PARKED)
SHIPPING_TABLES = (SHIPMENTS, PARTS, PARKED)
NOTIFICATION_TABLES = (NOTIFICATIONS,)


@dataclass(slots=True)
class Seldom:
    """A loop that looks only every so often, as its bell makes it do in a real process."""

    steps: Steps
    seconds: float
    clock: VirtualClock
    next_at: float = field(default=0.0)

    @property
    def name(self) -> str:
        """That of the loop."""
        return self.steps.name

    async def step(self) -> bool:
        """Step when it is time."""
        if self.clock.seconds < self.next_at:
            return False
        self.next_at = self.clock.seconds + self.seconds
        return await self.steps.step()


def order(process: Process, people: People) -> Sequence[Steps]:
    """Return the loops of the order service, and the desk at which people stand."""
    tracker = order_tracker(sagas=DEFINITIONS)
    desk = OrderDesk(tracker)
    intake = CreateOrders(desk)
    return [
        _consumer(process, tracker),
        _consumer(process, intake, "order-intake"),
        Relay("order", process.store, process.log),
        Seldom(Deadlines(tracker, process.store, process.clock), 0.2, process.clock),
        Seldom(Batches(tracker, process.store, process.clock), 0.1, process.clock),
        Seldom(ParkingExpiry("order", process.store, process.clock), 5.0, process.clock),
        Desk(people, tracker, desk, process),
    ]


def payment(process: Process, provider: PaymentProvider) -> Sequence[Steps]:
    """Return the loops of the payment service."""
    return _taking_part(process, "payment", Payments(provider).actions(), payment_barred)


def inventory(process: Process, success_rate: float, seed: int) -> Sequence[Steps]:
    """Return the loops of the inventory service."""
    return _taking_part(process, "inventory", Inventory(success_rate, seed).actions(), inventory_barred)


def shipping(process: Process, success_rate: float, seed: int) -> Sequence[Steps]:
    """Return the loops of the shipping service."""
    return _taking_part(process, "shipping", Shipping(success_rate, seed).actions(), shipping_barred)


def notification(process: Process) -> Sequence[Steps]:
    """Return the loops of the notification service."""
    return [_consumer(process, Listener()), Relay("notification", process.store, process.log)]


@dataclass(slots=True)
class Learning:
    """A participant that hears of new definitions only after a while, as one does that follows the log."""

    participant: Participant
    born_at: float
    clock: VirtualClock

    @property
    def name(self) -> str:
        """What it is called in the trace."""
        return f"{self.participant.name} learning"

    async def step(self) -> bool:
        """Learn, when it is time."""
        age = self.clock.seconds - self.born_at
        known = self.participant.shares
        due = [saga for saga in DEFINITIONS if saga.ref not in known and age >= LEARNING_SECONDS[saga.ref]]
        for saga in due:
            self.participant.learn(saga)
        return bool(due)


def analytics(process: Process) -> Sequence[Steps]:
    """Return the loops of the analytics service that keep the views."""
    views, group = Views(Bounds()), group_of(1)
    process.listens[group] = views.topics
    return [
        ProjectionConsumer(
            service=process.service,
            group=group,
            handler=views,
            store=process.store,
            log=AlignedLog(process.log),
            contracts=SHOP,
            clock=process.clock,
            instance=process.instance,
        ),
        Relay("analytics", process.store, process.log),
    ]


def operators(process: Process, people: People) -> Sequence[Steps]:
    """Return the people on call."""
    return [Seldom(Operator(people), 2.0, process.clock)]


def _taking_part(process: Process, name: str, actions: Iterable[AnyAction], barred: Barred) -> list[Steps]:
    participant = Participant(
        name,
        sagas=[ORDER_SAGA],
        actions=actions,
        barred=barred,
        contracts=SHOP,
        store=process.store,
        clock=process.clock,
    )
    return [
        _consumer(
            process,
            participant,
            first=participant.beginnings,
            definitions=participant.shares.keys(),
            topics=heard_topics(participant.name, *DEFINITIONS),
        ),
        Relay(participant.name, process.store, process.log),
        participant,
        Learning(participant, process.born_at, process.clock),
        Seldom(ParkingExpiry(participant.name, process.store, process.clock), 5.0, process.clock),
    ]


def _consumer(
    process: Process,
    handler: Handler,
    group: str | None = None,
    first: frozenset[str] = frozenset(),
    definitions: Collection[str] | None = None,
    topics: frozenset[str] = frozenset(),
) -> Consumer:
    """Return a consumer; in the end it has to have read its `topics` too, when it has learned to."""
    group = group or process.service
    process.listens[group] = handler.topics | topics
    return Consumer(
        service=process.service,
        group=group,
        handler=handler,
        store=process.store,
        log=process.log,
        contracts=SHOP,
        clock=process.clock,
        instance=process.instance,
        first=first,
        definitions=definitions,
    )
