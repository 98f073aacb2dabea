"""What the inventory does for each command, in sets: one look at the stock, one write."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from inventory_service.domain import (
    LedgerEntry,
    Movement,
    Reservation,
    ReservationStatus,
    Stock,
    entry,
    moved,
    short,
    summed,
)
from sagakit.core.facts import AbortCode
from sagakit.core.messages import name_based_id
from sagakit.ports import Table, Transaction
from sagakit.runtime.actions import Ask, Done, LocalAction, Refused, Reply
from shop_contracts.luck import lucky
from shop_contracts.messages import (
    ConsumeReservation,
    InventoryFailed,
    InventoryReleased,
    InventoryReserved,
    Line,
    ReleaseInventory,
    ReservationConsumed,
    ReserveInventory,
)

STOCK = Table("stock", Stock, "product_id")
RESERVATIONS = Table("reservations", Reservation, "order_id")
LEDGER = Table("stock_ledger", LedgerEntry, "entry_id")


@dataclass(frozen=True, slots=True)
class Inventory:
    """The actions of the inventory, with the luck of the demo."""

    success_rate: float = 1.0
    seed: int = 0

    def actions(
        self,
    ) -> tuple[LocalAction[ReserveInventory] | LocalAction[ReleaseInventory] | LocalAction[ConsumeReservation], ...]:
        """Return one action per command."""
        return (
            LocalAction("ReserveInventory", ReserveInventory, self.reserve),
            LocalAction("ReleaseInventory", ReleaseInventory, self.release),
            LocalAction("ConsumeReservation", ConsumeReservation, self.consume),
        )

    async def reserve(self, transaction: Transaction, asks: Sequence[Ask[ReserveInventory]]) -> list[Reply]:
        """Set everything aside, or nothing; orders are served in the order they came."""
        book = await _Book.open(transaction, asks)
        lines = {ask.saga_id: summed(ask.data.items) for ask in asks}
        await book.look_up(line.product_id for those in lines.values() for line in those)
        replies = [self._reserve_one(book, ask, lines[ask.saga_id]) for ask in asks]
        await book.close()
        return replies

    def _reserve_one(self, book: "_Book", ask: Ask[ReserveInventory], lines: tuple[Line, ...]) -> Reply:
        if ask.saga_id in book.reservations:
            return _told(book.reservations[ask.saga_id])
        reservation_id = name_based_id(ask.saga_id, "reservation")
        missing = short(book.stock, lines)
        reason = "OUT_OF_STOCK" if missing else None
        if reason is None and ask.by_hand is None and not lucky(self.success_rate, self.seed, "inventory", ask.saga_id):
            reason = "WAREHOUSE_REFUSED"
        if reason is not None:
            book.put(Reservation(ask.saga_id, reservation_id, ReservationStatus.REFUSED, lines, ask.now, reason))
            return Refused(InventoryFailed(order_id=ask.saga_id, reason=reason, items=missing))
        reserved = Reservation(ask.saga_id, reservation_id, ReservationStatus.RESERVED, lines, ask.now)
        book.put(reserved)
        book.move(Movement.RESERVE, ask.saga_id, lines, ask.now, on_hand=0, reserved=1)
        return _told(reserved)

    async def release(self, transaction: Transaction, asks: Sequence[Ask[ReleaseInventory]]) -> list[Reply]:
        """Free what was set aside; of what never was, nothing is freed."""
        book = await _Book.open(transaction, asks)
        await book.look_up_reserved()
        replies: list[Reply] = []
        for ask in asks:
            found = book.reservations.get(ask.saga_id)
            if found is not None and found.status is ReservationStatus.RESERVED:
                book.put(replace(found, status=ReservationStatus.RELEASED, at=ask.now))
                book.move(Movement.RELEASE, ask.saga_id, found.items, ask.now, on_hand=0, reserved=-1)
            reservation_id = found.reservation_id if found and found.status is not ReservationStatus.REFUSED else None
            replies.append(Done(InventoryReleased(order_id=ask.saga_id, reservation_id=reservation_id)))
        await book.close()
        return replies

    async def consume(self, transaction: Transaction, asks: Sequence[Ask[ConsumeReservation]]) -> list[Reply]:
        """Take what was set aside off the stock."""
        book = await _Book.open(transaction, asks)
        await book.look_up_reserved()
        replies: list[Reply] = []
        for ask in asks:
            found = book.reservations[ask.saga_id]
            if found.status is ReservationStatus.RESERVED:
                book.put(replace(found, status=ReservationStatus.CONSUMED, at=ask.now))
                book.move(Movement.CONSUME, ask.saga_id, found.items, ask.now, on_hand=-1, reserved=-1)
            replies.append(Done(ReservationConsumed(order_id=ask.saga_id, reservation_id=found.reservation_id)))
        await book.close()
        return replies


def _told(reservation: Reservation) -> Reply:
    """Return what is said of a reservation each time: it is made once, and its row is the effect."""
    order_id, reason = reservation.order_id, reservation.reason
    if reason is not None:
        return Refused(InventoryFailed(order_id=order_id, reason=reason))
    reservation_id, items = reservation.reservation_id, list(reservation.items)
    return Done(InventoryReserved(order_id=order_id, reservation_id=reservation_id, items=items))


def barred(saga_id: str, step: str, code: AbortCode) -> InventoryFailed:
    """Say that nothing will be set aside for this order any more."""
    del step  # the stock step comes after the pivot and is never barred
    return InventoryFailed(order_id=saga_id, reason=code, barred=True)


class _Book:
    """The stock and the reservations as one transaction sees and changes them."""

    def __init__(self, transaction: Transaction) -> None:
        self.stock: dict[str, Stock] = {}
        self.reservations: dict[str, Reservation] = {}
        self._tx = transaction
        self._moved: set[str] = set()
        self._put: dict[str, Reservation] = {}
        self._entries: list[LedgerEntry] = []

    @classmethod
    async def open(cls, transaction: Transaction, asks: Sequence[Ask[Any]]) -> "_Book":
        book = cls(transaction)
        book.reservations = await transaction.load(RESERVATIONS, [ask.saga_id for ask in asks])
        return book

    async def look_up(self, products: Iterable[str]) -> None:
        self.stock = await self._tx.load(STOCK, set(products))

    async def look_up_reserved(self) -> None:
        await self.look_up(line.product_id for found in self.reservations.values() for line in found.items)

    def put(self, reservation: Reservation) -> None:
        self.reservations[reservation.order_id] = reservation
        self._put[reservation.order_id] = reservation

    def move(
        self, movement: Movement, cause: str, lines: tuple[Line, ...], at: datetime, *, on_hand: int, reserved: int
    ) -> None:
        after = moved(self.stock, lines, on_hand=on_hand, reserved=reserved)
        self.stock |= after
        self._moved |= after.keys()
        self._entries.append(entry(movement, cause, lines, at, on_hand=on_hand, reserved=reserved))

    async def close(self) -> None:
        await self._tx.save(STOCK, [self.stock[product] for product in self._moved])
        await self._tx.save(RESERVATIONS, self._put.values())
        await self._tx.save(LEDGER, self._entries)
