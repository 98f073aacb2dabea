"""The stock: all of an order or nothing, never more than there is, and a ledger that explains every piece."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.shop.desk import NOON, ask

from inventory_service.actions import LEDGER, RESERVATIONS, STOCK, Inventory
from inventory_service.domain import Reservation, ReservationStatus, ReservedError, Stock, counted
from sagakit.adapters.memory import MemoryStore
from sagakit.ports import Query
from sagakit.runtime.actions import Ask, Done, LocalAction, Refused, Reply
from shop_contracts.messages import (
    ConsumeReservation,
    InventoryFailed,
    InventoryReleased,
    InventoryReserved,
    Line,
    ReleaseInventory,
    ReserveInventory,
)


class Desk:
    def __init__(self, inventory: Inventory | None = None) -> None:
        self.store = MemoryStore([STOCK, RESERVATIONS, LEDGER])
        self.actions: dict[str, LocalAction[Any]] = {a.command: a for a in (inventory or Inventory()).actions()}

    async def shelve(self, **on_hand: int) -> None:
        for number, (product, quantity) in enumerate(on_hand.items()):
            stock, movement = counted(Stock(product), quantity, NOON - timedelta(hours=1, seconds=number))
            await self.store.transact(lambda tx, s=stock: tx.save(STOCK, [s]))  # type: ignore[misc]
            await self.store.transact(lambda tx, m=movement: tx.save(LEDGER, [m]))  # type: ignore[misc]

    async def carry_out(self, *asked: Ask[Any]) -> Sequence[Reply]:
        action = self.actions[asked[0].command]
        return await self.store.transact(lambda tx: action.act(tx, asked))

    async def stock(self, product: str) -> tuple[int, int]:
        found = (await self.store.view(lambda reader: reader.load(STOCK, [product])))[product]
        return found.on_hand, found.reserved

    async def reservation(self, order_id: str = "order-1") -> Reservation:
        return (await self.store.view(lambda reader: reader.load(RESERVATIONS, [order_id])))[order_id]

    async def explained(self) -> dict[str, tuple[int, int]]:
        entries = await self.store.view(lambda reader: reader.select(LEDGER, Query(limit=1000)))
        on_hand: Counter[str] = Counter()
        reserved: Counter[str] = Counter()
        for entry in entries:
            for product, hand, held in entry.lines:
                on_hand[product] += hand
                reserved[product] += held
        return {product: (on_hand[product], reserved[product]) for product in on_hand}


def reserve(order_id: str = "order-1", **quantities: int) -> Ask[ReserveInventory]:
    lines = [Line(product_id=product, quantity=quantity) for product, quantity in quantities.items()]
    return ask(ReserveInventory(order_id=order_id, items=lines), "inventory", order_id=order_id)


def release(order_id: str = "order-1") -> Ask[ReleaseInventory]:
    return ask(ReleaseInventory(order_id=order_id), "inventory", order_id=order_id)


def consume(order_id: str = "order-1") -> Ask[ConsumeReservation]:
    return ask(ConsumeReservation(order_id=order_id), "stock", order_id=order_id)


async def test_orders_of_one_batch_are_served_in_their_order_and_never_oversell() -> None:
    desk = Desk()
    await desk.shelve(pen=5, ink=1)
    first, second, third = await desk.carry_out(
        reserve("order-1", pen=3), reserve("order-2", pen=2, ink=2), reserve("order-3", pen=2)
    )
    assert isinstance(first, Done)
    assert isinstance(second, Refused)
    assert isinstance(second.event, InventoryFailed)
    assert [(item.product_id, item.available_quantity) for item in second.event.items] == [("ink", 1)]
    assert isinstance(third, Done)
    assert (await desk.stock("pen"), await desk.stock("ink")) == ((5, 5), (1, 0))
    assert await desk.explained() == {"pen": (5, 5), "ink": (1, 0)}


async def test_lines_of_one_product_are_summed() -> None:
    desk = Desk()
    await desk.shelve(pen=5)
    lines = [Line(product_id="pen", quantity=3), Line(product_id="pen", quantity=3)]
    (said,) = await desk.carry_out(ask(ReserveInventory(order_id="order-1", items=lines), "inventory"))
    assert isinstance(said, Refused)


async def test_what_is_set_aside_is_set_aside_once_and_said_alike_each_time() -> None:
    desk = Desk()
    await desk.shelve(pen=5)
    said = [await desk.carry_out(reserve(pen=3)) for _ in range(2)]
    assert said[0] == said[1]
    assert isinstance(said[0][0], Done)
    assert isinstance(said[0][0].event, InventoryReserved)
    assert await desk.stock("pen") == (5, 3)


async def test_a_refusal_stays_one_when_there_is_stock_later() -> None:
    desk = Desk()
    await desk.shelve(pen=1)
    (first,) = await desk.carry_out(reserve(pen=3))
    await desk.shelve(pen=9)
    (second,) = await desk.carry_out(reserve(pen=3))
    assert isinstance(first, Refused)
    assert isinstance(second, Refused)
    assert await desk.stock("pen") == (9, 0)


@pytest.mark.parametrize("end", [release, consume])
async def test_a_reservation_ends_once(end: Callable[[], Ask[Any]]) -> None:
    desk = Desk()
    await desk.shelve(pen=5)
    await desk.carry_out(reserve(pen=3))
    for _ in range(2):
        (said,) = await desk.carry_out(end())
        assert isinstance(said, Done)
    gone = 3 if end is consume else 0
    assert await desk.stock("pen") == (5 - gone, 0)
    assert (await desk.reservation()).status is (
        ReservationStatus.CONSUMED if end is consume else ReservationStatus.RELEASED
    )
    assert await desk.explained() == {"pen": (5 - gone, 0)}


async def test_of_what_never_was_set_aside_nothing_is_freed() -> None:
    desk = Desk()
    (said,) = await desk.carry_out(release())
    assert isinstance(said, Done)
    assert isinstance(said.event, InventoryReleased)
    assert said.event.reservation_id is None


def test_less_than_is_reserved_cannot_be_on_hand() -> None:
    with pytest.raises(ReservedError, match="pen: 3 are reserved, so 2 cannot be on hand"):
        counted(Stock("pen", on_hand=5, reserved=3), 2, NOON)
    stock, movement = counted(Stock("pen", on_hand=5, reserved=3), 3, NOON)
    assert (stock.on_hand, stock.available, movement.lines) == (3, 0, (("pen", -2, 0),))
