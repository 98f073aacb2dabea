"""One process of the whole shop, with a clock in a hurry: it places orders and works until all ends.

It is started anew after each SIGKILL, at the same place. The loops are those that the services' own wiring makes.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from decimal import Decimal

from msgspec.structs import replace
from tests.crash.books import rows
from tests.crash.place import Place, Premises

import inventory_service.wiring as inventory
import notification_service.wiring as notification
import order_service.wiring as order
import payment_service.wiring as payment
import shipping_service.wiring as shipping
from inventory_service.actions import STOCK
from inventory_service.domain import Stock
from inventory_service.settings import InventorySettings
from notification_service.settings import NotificationSettings
from onebox.simulation.poison import stranger
from order_service.desk import OrderDesk, order_tracker
from order_service.domain import OrderLine, OrderRequest
from order_service.intake import Intake
from order_service.settings import OrderSettings
from order_service.verbs import Verbs
from payment_service.settings import PaymentSettings
from sagakit.core.facts import Phase, Verb
from sagakit.core.messages import Mode
from sagakit.ports import Record
from sagakit.runtime.batches import BATCHES, Batch, begin
from sagakit.runtime.consumer import Consumer
from sagakit.runtime.failpoints import arm_from_environment
from sagakit.runtime.housekeeping import Housekeeping
from sagakit.runtime.http.problems import ProblemError
from sagakit.runtime.ids import TimeOrderedIds
from sagakit.runtime.loops import Loop
from sagakit.runtime.parking import PARKED, parked
from sagakit.runtime.participant import PARTS
from sagakit.runtime.sagas import SagaFilter
from sagakit.runtime.service import Service
from sagakit.runtime.tracker import SAGAS
from sagakit.runtime.wire import parse
from shipping_service.settings import ShippingSettings
from shop_contracts.identity import keyed_order_id

ON_HAND = 200
ENDS_IN_SECONDS_MAX = 40.0
SERVERS_END_IN_SECONDS_MAX = 90.0
"""Several such shops may work at the same servers on a small machine."""
ORDERS: Sequence[tuple[Mode, int, Verb | None]] = (
    (Mode.CHOREOGRAPHY, 300, None),
    (Mode.ORCHESTRATION, 300, None),
    (Mode.CHOREOGRAPHY, 300, None),
    (Mode.ORCHESTRATION, 300, Verb.CANCEL),
    (Mode.CHOREOGRAPHY, 1, None),
    (Mode.ORCHESTRATION, 6, Verb.SUSPEND),
)
"""The mode and the time limit of each order, and what is asked of it at once. The bank takes longer than one second."""


def live(place: Place, number: int, environment: Mapping[str, str]) -> None:
    """Be process number so-and-so at this place: until the end of every order, or of ourselves."""
    os.environ.update(environment)
    arm_from_environment()
    asyncio.run(_live(place, number))


async def _live(place: Place, number: int) -> None:
    shop = await place.open()
    stop = asyncio.Event()
    services = _services(shop)
    tasks = [asyncio.create_task(loop.run(stop)) for loop in _loops(services, shop.idle_seconds, stop)]
    await _stranger(shop, number)
    await _trade(shop, number)
    patience = ENDS_IN_SECONDS_MAX if place.is_in_files else SERVERS_END_IN_SECONDS_MAX
    late = time.monotonic() + patience
    while waiting := await _waiting(shop, services):
        await _help(shop)
        assert time.monotonic() < late, "; ".join(waiting)
        await asyncio.sleep(0.01)
    stop.set()
    await asyncio.gather(*tasks)
    await shop.close()


def _services(shop: Premises) -> Sequence[Service]:
    log, clock, stores = shop.log, shop.clock, shop.stores
    settings = PaymentSettings(success_rate=0.9, unknown_rate=0.4, latency_seconds=1.5)
    bank = payment.open_bank(settings, stores["bank"], clock)
    return [
        order.build(OrderSettings(), stores["order"], log, clock),
        payment.build(settings, stores["payment"], log, clock, bank),
        inventory.build(InventorySettings(success_rate=0.9), stores["inventory"], log, clock),
        shipping.build(ShippingSettings(success_rate=0.7), stores["shipping"], log, clock),
        notification.build(NotificationSettings(), stores["notification"], log, clock),
    ]


def _loops(services: Sequence[Service], idle_seconds: float, stop: asyncio.Event) -> Iterator[Loop]:
    async def idle() -> None:
        await asyncio.sleep(idle_seconds)

    async def once() -> None:
        await stop.wait()

    for service in services:
        for loop in service.runner.loops:
            yield Loop(loop.steps, once if isinstance(loop.steps, Housekeeping) else idle)


async def _trade(shop: Premises, number: int) -> None:
    """Fill the shelves when the shop is new; place orders, change minds, tidy up: all safe to do again."""
    store = shop.stores["inventory"]
    if not await store.view(lambda reader: reader.load(STOCK, ["prod-1"])):
        await store.transact(lambda transaction: transaction.save(STOCK, [Stock("prod-1", ON_HAND)]))
    tracker = order_tracker()
    desk = OrderDesk(tracker)
    intake = Intake(desk, shop.stores["order"], shop.clock, TimeOrderedIds(shop.clock))
    verbs = Verbs(tracker, shop.stores["order"], shop.clock)
    for place, (mode, timeout_seconds, verb) in enumerate(ORDERS):
        request = OrderRequest(
            user_id="ann",
            items=[OrderLine(product_id="prod-1", quantity=place + 1, price=Decimal("9.99"))],
            mode=mode,
            timeout_seconds=timeout_seconds,
        )
        key = f"{number}-{place}"
        await intake.place_one(request, key, None)
        if verb is not None:
            await _ask(verbs, keyed_order_id("ann", key), verb)
    await _sweep(shop, number)


async def _stranger(shop: Premises, number: int) -> None:
    """Leave a message of a saga that never begins in two parking lots, and let it be too late for it."""
    out = stranger("payments.events", f"stranger-{number}")
    now = shop.clock.now()
    message = parse(Record(out.topic, 0, 0, out.key, out.headers, out.value, now))
    waiting = replace(parked(message, out.topic, message.saga_id, now), give_up_at=now)
    for name in ("order", "inventory"):
        await shop.stores[name].transact(lambda transaction: transaction.save(PARKED, [waiting]))


async def _help(shop: Premises) -> None:
    """Be the person whom a saga waits for: a call that was silent too often is made again."""
    verbs = Verbs(order_tracker(), shop.stores["order"], shop.clock)
    for saga in (await rows(shop.stores["order"], SAGAS)).values():
        if saga.phase is Phase.NEEDS_INTERVENTION:
            await _ask(verbs, saga.saga_id, Verb.RETRY)


async def _ask(verbs: Verbs, order_id: str, verb: Verb) -> None:
    try:
        await verbs.ask(order_id, verb, "ops", "a change of mind")
    except ProblemError:
        return


async def _sweep(shop: Premises, number: int) -> None:
    batch = Batch(
        batch_id=f"batch-{number}",
        verb=Verb.RETRY,
        reason="tidied up",
        actor="ops",
        rate_per_second=20,
        created_at=shop.clock.now(),
        wanted=SagaFilter(),
    )
    await shop.stores["order"].transact(lambda transaction: begin(transaction, batch, None))


async def _waiting(shop: Premises, services: Sequence[Service]) -> list[str]:
    """Say who waits for something: a saga, a message, a call, a job."""
    stores = shop.stores
    sagas = await rows(stores["order"], SAGAS)
    jobs = await rows(stores["order"], BATCHES)
    found = [f"{saga.saga_id} is {saga.phase}, {saga.reason}" for saga in sagas.values() if not saga.phase.terminal]
    found += [f"{job.batch_id} goes on at {job.next_at}" for job in jobs.values() if job.next_at]
    if found:
        return found
    found += [
        f"{depth} messages wait in {name}" for name, store in stores.items() if (depth := await store.outbox_depth())
    ]
    for name in ("order", "inventory"):
        found += [f"{key} is parked in {name}" for key in await rows(stores[name], PARKED)]
    found += [f"{key} is due" for key, part in (await rows(stores["payment"], PARTS)).items() if part.due]
    return found or [gap async for gap in unread(shop, services)]


async def unread(shop: Premises, services: Sequence[Service]) -> AsyncIterator[str]:
    """Say what some consumer has not handled."""
    for consumer in (one for service in services for one in service.consumers if isinstance(one, Consumer)):
        group = consumer._group
        done = await consumer._store.view(lambda reader, group=group: reader.progress(group))  # type: ignore[misc]
        for place, end in (await shop.log.ends(consumer._handler.topics)).items():
            if done.get(place, 0) != end:
                yield f"{group} has handled {place} up to {done.get(place, 0)} of {end}"
