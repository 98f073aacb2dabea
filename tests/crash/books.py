"""What the files must say once every order has ended, whatever killed the processes on the way there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from inventory_service.actions import LEDGER, RESERVATIONS, STOCK
from inventory_service.domain import LedgerEntry, Reservation, Stock
from notification_service.domain import Notification
from notification_service.listener import NOTIFICATIONS
from order_service.desk import ORDERS
from order_service.domain import OrderView, status_of
from payment_service.actions import PAYMENTS
from payment_service.domain import Payment
from payment_service.provider import OPERATIONS, Operation
from sagakit.core.facts import AnyFact, Phase, decode_fact
from sagakit.core.messages import name_based_id
from sagakit.core.state import SagaState, fold
from sagakit.ports import Query, Store, Table
from sagakit.runtime.tracker import SAGAS
from shipping_service.actions import SHIPMENTS
from shipping_service.domain import Shipment
from shop_contracts.order_saga import ORDER_SAGA

R = TypeVar("R", bound=msgspec.Struct)

EFFECTS: Mapping[Phase, tuple[set[str], set[str], set[str]]] = {
    Phase.COMPLETED: ({"captured"}, {"consumed"}, {"scheduled"}),
    Phase.COMPENSATED: ({"", "declined", "refunded", "voided"}, {"", "refused", "released"}, {"", "refused"}),
}
"""How payment, reservation and shipment may stand when the saga has ended."""


@dataclass(frozen=True, slots=True)
class Books:
    """Every row of every service."""

    sagas: Mapping[str, SagaState]
    facts: Mapping[str, list[AnyFact]]
    orders: Mapping[str, OrderView]
    payments: Mapping[str, Payment]
    operations: Mapping[str, Operation]
    stock: Mapping[str, Stock]
    reservations: Mapping[str, Reservation]
    ledger: Mapping[str, LedgerEntry]
    shipments: Mapping[str, Shipment]
    notices: Mapping[str, Notification]


async def read(stores: Mapping[str, Store]) -> Books:
    """Return what is in the files."""
    sagas = await rows(stores["order"], SAGAS)
    facts = {
        saga_id: [decode_fact(stored.body) for stored in await _facts(stores["order"], saga_id)] for saga_id in sagas
    }
    return Books(
        sagas,
        facts,
        await rows(stores["order"], ORDERS),
        await rows(stores["payment"], PAYMENTS),
        await rows(stores["bank"], OPERATIONS),
        await rows(stores["inventory"], STOCK),
        await rows(stores["inventory"], RESERVATIONS),
        await rows(stores["inventory"], LEDGER),
        await rows(stores["shipping"], SHIPMENTS),
        await rows(stores["notification"], NOTIFICATIONS),
    )


async def rows(store: Store, table: Table[R]) -> dict[str, R]:
    """Return all records of a table, by key."""
    records = await store.view(lambda reader: reader.select(table, Query(limit=10_000)))
    return {getattr(record, table.key): record for record in records}


def broken(books: Books, on_hand: int) -> Iterator[str]:
    """Say what does not balance."""
    for order_id, saga in books.sagas.items():
        yield from (f"{order_id} ({saga.phase}, {saga.reason}): {wrong}" for wrong in _of_one(books, saga))
    gone = sum(line.quantity for r in books.reservations.values() if r.status == "consumed" for line in r.items)
    (product,) = books.stock.values()
    if (product.on_hand, product.reserved) != (on_hand - gone, 0):
        yield f"{product} is left of {on_hand}, and {gone} are gone"
    moved = [line for entry in books.ledger.values() for line in entry.lines]
    if (sum(line[1] for line in moved), sum(line[2] for line in moved)) != (-gone, 0):
        yield f"the ledger does not add up to {gone} gone and nothing reserved"
    if len(books.ledger) != sum({"reserved": 1, "refused": 0}.get(r.status, 2) for r in books.reservations.values()):
        yield "goods were moved more often than the reservations say"


def _of_one(books: Books, saga: SagaState) -> Iterator[str]:
    order_id, order = saga.saga_id, books.orders[saga.saga_id]
    stands: Sequence[Any] = [table.get(order_id) for table in (books.payments, books.reservations, books.shipments)]
    found = tuple(one.status if one is not None else "" for one in stands)
    if saga.phase not in EFFECTS:
        yield "has not ended"
    elif any(status not in allowed for status, allowed in zip(found, EFFECTS[saga.phase], strict=True)):
        yield f"payment, reservation and shipment are {found}"
    keys = [name_based_id(order_id, "payment", command) for command in ("ChargePayment", "RefundPayment")]
    operations = [books.operations[key] for key in keys if key in books.operations]
    moved = sum(operation.amount_minor for operation in operations if operation.approved)
    if moved != (order.total_minor if saga.phase is Phase.COMPLETED else 0):
        yield f"the bank moved {moved} of {order.total_minor}"
    again = fold(ORDER_SAGA, order_id, books.facts[order_id])
    if (again.steps, again.phase, again.version) != (saga.steps, saga.phase, saga.version):
        yield "its facts give something else"
    if (order.status, order.version) != (status_of(saga.phase), saga.version):
        yield f"its customer sees {order}"
    if order_id not in books.notices or books.notices[order_id].subject != order.status:
        yield f"its customer was told {books.notices.get(order_id)}"


async def _facts(store: Store, saga_id: str) -> Sequence[Any]:
    return await store.view(lambda reader: reader.read(saga_id))
