"""The shop's events and commands, in their newest version. Data only; amounts are decimals in major units."""

import enum
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from sagakit.core.facts import ByHand

OrderId = Annotated[str, Meta(min_length=1, max_length=50, description="The order, which is also the saga.")]
Amount = Annotated[Decimal, Meta(description="Major units of the currency, exact.")]
Quantity = Annotated[int, Meta(ge=1, le=1_000_000)]


class RefundMethod(enum.StrEnum):
    """How money goes back to the customer."""

    REFUND = "refund"
    STORE_CREDIT = "store-credit"


class Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Names in camelCase; what a consumer does not know it ignores; defaults are left out."""


class Item(Shape, frozen=True, kw_only=True):
    """One line of an order."""

    product_id: str
    quantity: Quantity
    price: Amount


class Line(Shape, frozen=True, kw_only=True):
    """So many of a product."""

    product_id: str
    quantity: int


class Available(Shape, frozen=True, kw_only=True):
    """So many of a product could be had."""

    product_id: str
    available_quantity: int


class OrderCreated(Shape, frozen=True, kw_only=True):
    """A customer placed an order. Version 2 added the currency and the refund policy."""

    order_id: OrderId
    user_id: str
    items: list[Item]
    total: Amount
    currency: str
    refund_policy: RefundMethod = RefundMethod.REFUND


class OrderConfirmed(Shape, frozen=True, kw_only=True):
    """Everything the order needs has happened."""

    order_id: OrderId
    confirmed_at: datetime


class OrderCancelled(Shape, frozen=True, kw_only=True):
    """The order will not happen, and what had happened is taken back."""

    order_id: OrderId
    reason: str
    cancelled_at: datetime


class PaymentCompleted(Shape, frozen=True, kw_only=True):
    """The customer's money is captured."""

    order_id: OrderId
    payment_id: str
    amount: Amount
    transaction_id: str
    resolved_by: ByHand | None = None


class PaymentFailed(Shape, frozen=True, kw_only=True):
    """No money was, or will be, captured."""

    order_id: OrderId
    reason: str
    error_code: str
    barred: bool = False


class PaymentRefunded(Shape, frozen=True, kw_only=True):
    """The money went back; of a payment that never was, nothing went back and there is no refund id."""

    order_id: OrderId
    payment_id: str | None
    amount: Amount
    refund_id: str | None
    method: RefundMethod
    resolved_by: ByHand | None = None


class InventoryReserved(Shape, frozen=True, kw_only=True):
    """Every line of the order is set aside."""

    order_id: OrderId
    reservation_id: str
    items: list[Line]
    resolved_by: ByHand | None = None


class InventoryFailed(Shape, frozen=True, kw_only=True):
    """Nothing of the order is set aside; `items` are those that were short."""

    order_id: OrderId
    reason: str
    items: list[Available] = []
    barred: bool = False


class InventoryReleased(Shape, frozen=True, kw_only=True):
    """What was set aside is free again; of a reservation that never was, there is no id."""

    order_id: OrderId
    reservation_id: str | None
    resolved_by: ByHand | None = None


class ReservationConsumed(Shape, frozen=True, kw_only=True):
    """What was set aside has left the house."""

    order_id: OrderId
    reservation_id: str
    resolved_by: ByHand | None = None


class ShipmentScheduled(Shape, frozen=True, kw_only=True):
    """A carrier takes the parcel; from here on the order only goes forward."""

    order_id: OrderId
    shipment_id: str
    carrier: str
    tracking_number: str
    resolved_by: ByHand | None = None


class ShipmentFailed(Shape, frozen=True, kw_only=True):
    """No parcel was, or will be, sent."""

    order_id: OrderId
    reason: str
    barred: bool = False


class ChargePayment(Shape, frozen=True, kw_only=True):
    """Capture the order's total."""

    order_id: OrderId
    user_id: str
    total: Amount
    currency: str


class RefundPayment(Shape, frozen=True, kw_only=True):
    """Give the order's money back, by the order's policy."""

    order_id: OrderId
    user_id: str
    total: Amount
    currency: str
    refund_policy: RefundMethod = RefundMethod.REFUND


class ReserveInventory(Shape, frozen=True, kw_only=True):
    """Set every line of the order aside, or none."""

    order_id: OrderId
    items: list[Line]


class ReleaseInventory(Shape, frozen=True, kw_only=True):
    """Free what was set aside for the order."""

    order_id: OrderId


class ConsumeReservation(Shape, frozen=True, kw_only=True):
    """Take what was set aside off the stock."""

    order_id: OrderId


class ScheduleShipment(Shape, frozen=True, kw_only=True):
    """Send the parcel."""

    order_id: OrderId
    user_id: str
    items: list[Line]


class CreateOrder(Shape, frozen=True, kw_only=True):
    """Place an order by message; does what POST /orders does. `order_id` is the saga id of the message."""

    user_id: str
    items: list[Item]
    currency: str = "USD"
    mode: str = "choreography"
    timeout_seconds: int | None = None
    correlation_id: str | None = None
    refund_policy: RefundMethod = RefundMethod.REFUND
    definition: str | None = None
    deadline: datetime | None = None


class UserProfileUpdated(Shape, frozen=True, kw_only=True):
    """Who a user is, whole; what is left out is not known. Keyed by the user: the saga id is the user's id."""

    user_id: str
    name: str | None = None
    segment: str | None = None
    country: str | None = None


class HighValueOrderDetected(Shape, frozen=True, kw_only=True):
    """An order above the threshold of its currency was placed; the profile is what was known of the user then."""

    order_id: OrderId
    user_id: str
    total: Amount
    currency: str
    threshold: Amount
    placed_at: datetime
    profile: UserProfileUpdated | None = None
