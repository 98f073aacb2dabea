"""One process of the whole shop over SQLite files, with a clock in a hurry: it places orders and works until all ends.

It is started anew after each SIGKILL, over the same files. The loops are those that the services' own wiring makes.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path

from msgspec.structs import replace
from tests.crash.books import rows

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
from order_service.domain import OrderLine, OrderRequest, keyed_order_id
from order_service.intake import Intake
from order_service.settings import OrderSettings
from order_service.verbs import Verbs
from payment_service.provider import BANK_TABLES
from payment_service.settings import PaymentSettings
from sagakit.adapters.sqlite import SqliteLog, SqliteStore
from sagakit.core.facts import Verb
from sagakit.core.messages import Mode
from sagakit.ports import Record
from sagakit.runtime.batches import BATCHES, Batch, begin
from sagakit.runtime.consumer import Consumer
from sagakit.runtime.failpoints import arm_from_environment
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

SPEED = 20
EPOCH_SECONDS = 1_750_000_000
"""From here on the hasty clock runs; every process agrees."""
IDLE_SECONDS = 0.002
ON_HAND = 200
TABLES = {
    "order": order.TABLES,
    "payment": payment.TABLES,
    "bank": BANK_TABLES,
    "inventory": inventory.TABLES,
    "shipping": shipping.TABLES,
    "notification": notification.TABLES,
}
ENDS_IN_SECONDS_MAX = 20.0
ORDERS: Sequence[tuple[Mode, int, Verb | None]] = (
    (Mode.CHOREOGRAPHY, 300, None),
    (Mode.ORCHESTRATION, 300, None),
    (Mode.CHOREOGRAPHY, 300, None),
    (Mode.ORCHESTRATION, 300, Verb.CANCEL),
    (Mode.CHOREOGRAPHY, 1, None),
    (Mode.ORCHESTRATION, 6, Verb.SUSPEND),
)
"""The mode and the time limit of each order, and what is asked of it at once. The bank takes longer than one second."""


class HastyClock:
    """Twenty seconds in each second, across restarts; every third chance is a bad one, so that luck fails no test."""

    def __init__(self) -> None:
        self._draws = count()

    def now(self) -> datetime:
        return datetime.fromtimestamp(EPOCH_SECONDS + (time.time() - EPOCH_SECONDS) * SPEED, UTC)

    def chance(self) -> float:
        return 0.9 if next(self._draws) % 3 else 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / SPEED)


@dataclass(frozen=True, slots=True)
class Files:
    """The databases and the log of a directory, open."""

    clock: HastyClock
    log: SqliteLog
    stores: Mapping[str, SqliteStore]

    @classmethod
    def open(cls, directory: Path) -> "Files":
        clock = HastyClock()
        log = SqliteLog(directory / "log.db", 2, now=clock.now)
        return cls(clock, log, {name: SqliteStore(directory / f"{name}.db", tables) for name, tables in TABLES.items()})

    async def close(self) -> None:
        for store in self.stores.values():
            await store.close()
        await self.log.close()


def live(directory: str, number: int, environment: Mapping[str, str]) -> None:
    """Be process number so-and-so over these files: until the end of every order, or of ourselves."""
    os.environ.update(environment)
    arm_from_environment()
    asyncio.run(_live(Path(directory), number))


async def _live(directory: Path, number: int) -> None:
    files = Files.open(directory)
    stop = asyncio.Event()
    services = _services(files)
    tasks = [asyncio.create_task(loop.run(stop)) for loop in _loops(services)]
    await _stranger(files, number)
    await _shop(files, number)
    async with asyncio.timeout(ENDS_IN_SECONDS_MAX):
        while not await _ended(files, services):  # noqa: ASYNC110 - nobody rings when all is done
            await asyncio.sleep(0.01)
    stop.set()
    await asyncio.gather(*tasks)
    await files.close()


def _services(files: Files) -> Sequence[Service]:
    log, clock, stores = files.log, files.clock, files.stores
    settings = PaymentSettings(success_rate=0.9, unknown_rate=0.4, latency_seconds=1.5)
    bank = payment.open_bank(settings, stores["bank"], clock)
    return [
        order.build(OrderSettings(), stores["order"], log, clock),
        payment.build(settings, stores["payment"], log, clock, bank),
        inventory.build(InventorySettings(success_rate=0.9), stores["inventory"], log, clock),
        shipping.build(ShippingSettings(success_rate=0.7), stores["shipping"], log, clock),
        notification.build(NotificationSettings(), stores["notification"], log, clock),
    ]


def _loops(services: Sequence[Service]) -> Iterator[Loop]:
    async def idle() -> None:
        await asyncio.sleep(IDLE_SECONDS)

    for service in services:
        yield from (Loop(loop.steps, idle) for loop in service.runner.loops)


async def _shop(files: Files, number: int) -> None:
    """Fill the shelves when the shop is new; place orders, change minds, tidy up: all safe to do again."""
    store = files.stores["inventory"]
    if not await store.view(lambda reader: reader.load(STOCK, ["prod-1"])):
        await store.transact(lambda transaction: transaction.save(STOCK, [Stock("prod-1", ON_HAND)]))
    tracker = order_tracker()
    desk = OrderDesk(tracker)
    intake = Intake(desk, files.stores["order"], files.clock, TimeOrderedIds(files.clock))
    verbs = Verbs(tracker, files.stores["order"], files.clock)
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
    await _sweep(files, number)


async def _stranger(files: Files, number: int) -> None:
    """Leave a message of a saga that never begins in two parking lots, and let it be too late for it."""
    out = stranger("payments.events", f"stranger-{number}")
    now = files.clock.now()
    message = parse(Record(out.topic, 0, 0, out.key, out.headers, out.value, now))
    waiting = replace(parked(message, out.topic, message.saga_id, now), give_up_at=now)
    for name in ("order", "inventory"):
        await files.stores[name].transact(lambda transaction: transaction.save(PARKED, [waiting]))


async def _ask(verbs: Verbs, order_id: str, verb: Verb) -> None:
    try:
        await verbs.ask(order_id, verb, "ops", "a change of mind")
    except ProblemError:
        return


async def _sweep(files: Files, number: int) -> None:
    batch = Batch(
        batch_id=f"batch-{number}",
        verb=Verb.RETRY,
        reason="tidied up",
        actor="ops",
        rate_per_second=20,
        created_at=files.clock.now(),
        wanted=SagaFilter(),
    )
    await files.stores["order"].transact(lambda transaction: begin(transaction, batch, None))


async def _ended(files: Files, services: Sequence[Service]) -> bool:
    """Tell whether nobody waits for anything: no saga, no message, no call, no job."""
    stores = files.stores
    sagas = await rows(stores["order"], SAGAS)
    jobs = await rows(stores["order"], BATCHES)
    if any(not saga.phase.terminal for saga in sagas.values()) or any(job.next_at for job in jobs.values()):
        return False
    if any([await store.outbox_depth() for store in stores.values()]):
        return False
    for name in ("order", "inventory"):
        if await rows(stores[name], PARKED):
            return False
    if any(part.due for part in (await rows(stores["payment"], PARTS)).values()):
        return False
    return not [gap async for gap in unread(files, services)]


async def unread(files: Files, services: Sequence[Service]) -> AsyncIterator[str]:
    """Say what some consumer has not handled."""
    for consumer in (one for service in services for one in service.consumers if isinstance(one, Consumer)):
        group = consumer._group
        done = await consumer._store.view(lambda reader, group=group: reader.progress(group))  # type: ignore[misc]
        for place, end in (await files.log.ends(consumer._handler.topics)).items():
            if done.get(place, 0) != end:
                yield f"{group} has handled {place} up to {done.get(place, 0)} of {end}"
