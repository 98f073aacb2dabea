"""What the services answer, as sagactl reads it: only the fields it uses, and every unknown one ignored.

They are types of their own, not those of the services: sagactl speaks to services of another version too, and the audit
looks from outside.
"""

from datetime import datetime
from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Names in camelCase; what is not known here is ignored."""


class Page(Answer, Generic[T], frozen=True, kw_only=True):
    """Some of a list, and the cursor of the next page, if there is one."""

    items: list[T]
    next_cursor: str | None = None


class Problem(Answer, frozen=True, kw_only=True):
    """Problem details (RFC 9457), as every service answers errors."""

    title: str = ""
    status: int = 0
    detail: str | None = None
    field: str | None = None
    rule: str | None = None
    reasons: list[str] = []


class Line(Answer, frozen=True, kw_only=True):
    """So many of a product."""

    product_id: str
    quantity: int


class Order(Answer, frozen=True, kw_only=True):
    """An order in a list. `items` is None where the list does not tell them."""

    id: str
    status: str
    total: Decimal
    currency: str = "USD"
    user_id: str = ""
    mode: str = ""
    correlation_id: str = ""
    cancellation_reason: str | None = None
    created_at: datetime | None = None
    ended_at: datetime | None = None
    items: list[Line] | None = None


class Refund(Answer, frozen=True, kw_only=True):
    """Money that went back."""

    amount: Decimal
    refund_id: str = ""
    method: str = ""
    by_hand: str | None = None


class Payment(Answer, frozen=True, kw_only=True):
    """The money of one order."""

    order_id: str
    status: str
    amount: Decimal
    currency: str = "USD"
    payment_id: str = ""
    transaction_id: str | None = None
    reason: str | None = None
    refunds: list[Refund] = []


class Reservation(Answer, frozen=True, kw_only=True):
    """What is set aside for one order."""

    order_id: str
    status: str
    items: list[Line] = []
    reservation_id: str = ""
    reason: str | None = None


class Shipment(Answer, frozen=True, kw_only=True):
    """The parcel of one order."""

    order_id: str
    status: str
    shipment_id: str = ""
    carrier: str | None = None
    tracking_number: str | None = None
    reason: str | None = None


class Stock(Answer, frozen=True, kw_only=True):
    """One product. `reserved` is a part of `on_hand`."""

    product_id: str
    on_hand: int
    reserved: int
    available: int = 0


class Movements(Answer, frozen=True, kw_only=True):
    """What the ledger of one product amounts to: the sum of its movements, and how much of it left by orders."""

    product_id: str
    on_hand: int = 0
    reserved: int = 0
    consumed: int = 0
