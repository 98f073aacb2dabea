"""The stock: what is on hand, what of it is set aside for whom, and a ledger of every movement. No IO.

A reservation is all or nothing; what is set aside never exceeds what is on hand.
"""

import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec
from msgspec.structs import replace

from shop_contracts.messages import Available, Line


class ReservedError(Exception):
    """Less cannot be on hand than is set aside. Count again, or wait until orders have ended."""


class Stock(msgspec.Struct, frozen=True):
    """One product. `reserved` is a part of `on_hand`."""

    product_id: str
    on_hand: int = 0
    reserved: int = 0

    @property
    def available(self) -> int:
        """What can still be set aside."""
        return self.on_hand - self.reserved


class ReservationStatus(enum.StrEnum):
    """Where a reservation stands."""

    RESERVED = "reserved"
    REFUSED = "refused"
    RELEASED = "released"
    CONSUMED = "consumed"


class Reservation(msgspec.Struct, frozen=True):
    """What is set aside for one order; its unique row is the effect."""

    order_id: str
    reservation_id: str
    status: ReservationStatus
    items: tuple[Line, ...]
    at: datetime
    reason: str | None = None


class Movement(enum.StrEnum):
    """Why stock moved."""

    SET = "set"
    RESERVE = "reserve"
    RELEASE = "release"
    CONSUME = "consume"


class LedgerEntry(msgspec.Struct, frozen=True):
    """One movement: by how much on-hand and reserved changed, per product."""

    entry_id: str
    movement: Movement
    cause: str
    at: datetime
    lines: tuple[tuple[str, int, int], ...]


def summed(items: Iterable[Line]) -> tuple[Line, ...]:
    """Return the lines with those of one product added up."""
    total: Counter[str] = Counter()
    for item in items:
        total[item.product_id] += item.quantity
    return tuple(Line(product_id=product, quantity=quantity) for product, quantity in total.items())


def short(stock: Mapping[str, Stock], lines: Iterable[Line]) -> list[Available]:
    """Return the products of which there is not enough, with what there is."""
    missing = []
    for line in lines:
        available = stock[line.product_id].available if line.product_id in stock else 0
        if available < line.quantity:
            missing.append(Available(product_id=line.product_id, available_quantity=available))
    return missing


def moved(stock: Mapping[str, Stock], lines: Iterable[Line], *, on_hand: int, reserved: int) -> dict[str, Stock]:
    """Return the products after each line's quantity, times the signs, was added."""
    after = {}
    for line in lines:
        was = stock[line.product_id]
        now = replace(
            was,
            on_hand=was.on_hand + on_hand * line.quantity,
            reserved=was.reserved + reserved * line.quantity,
        )
        assert 0 <= now.reserved <= now.on_hand, f"{line.product_id}: {now.reserved} reserved of {now.on_hand}"
        after[line.product_id] = now
    return after


def counted(stock: Stock, on_hand: int, at: datetime) -> tuple[Stock, LedgerEntry]:
    """Return the product with what was counted on the shelf, and the movement that this is.

    Raises:
        ReservedError: when less was counted than is set aside.
    """
    if on_hand < stock.reserved:
        raise ReservedError(f"{stock.product_id}: {stock.reserved} are reserved, so {on_hand} cannot be on hand")
    change = ((stock.product_id, on_hand - stock.on_hand, 0),)
    return replace(stock, on_hand=on_hand), _entry(Movement.SET, stock.product_id, at, change)


def entry(
    movement: Movement, cause: str, lines: Iterable[Line], at: datetime, *, on_hand: int, reserved: int
) -> LedgerEntry:
    """Return the ledger entry of a movement caused by an order."""
    changes = tuple((line.product_id, on_hand * line.quantity, reserved * line.quantity) for line in lines)
    return _entry(movement, cause, at, changes)


def _entry(movement: Movement, cause: str, at: datetime, changes: tuple[tuple[str, int, int], ...]) -> LedgerEntry:
    """Return an entry whose id begins with the time, so that entries lie in order."""
    return LedgerEntry(f"{at.timestamp():017.6f}-{movement}-{cause}", movement, cause, at, changes)
