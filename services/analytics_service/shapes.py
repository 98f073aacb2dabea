"""What the analytics service answers, as structs: amounts are exact decimals in major units, times RFC 3339 in UTC."""

from datetime import datetime
from decimal import Decimal

import msgspec

from sagakit.runtime.http.routes import Shape

Value = int | float | Decimal | None


class WindowShown(Shape, frozen=True, kw_only=True):
    """One window. `now` counts everything that came, `atClose` what had when it closed; null is no answer.

    `lateCount` events are in `now` and came too late for `atClose`. A `final` window's `atClose` never changes again.
    """

    start: datetime
    end: datetime
    user_id: str | None = None
    now: Value
    at_close: Value
    late_count: int
    final: bool


class Windows(Shape, frozen=True, kw_only=True):
    """The windows of one metric that begin in the range asked for, the oldest first.

    The end of a window does not belong to it; that of a sliding or a session window does (`endInclusive`).
    """

    metric: str
    type: str
    unit: str
    currency: str | None
    size_seconds: float | None
    step_seconds: float | None
    gap_seconds: float | None
    time_zone: str
    from_: datetime = msgspec.field(name="from")
    to: datetime
    end_inclusive: bool
    allowed_lateness_seconds: float
    watermark: datetime | None
    windows: list[WindowShown]


class RecentWindows(Shape, frozen=True, kw_only=True):
    """What happened lately, in tumbling windows: the last hour by minutes, the last day by hours."""

    orders_per_minute: list[WindowShown]
    revenue_per_hour: list[WindowShown]
    success_rate_per_minute: list[WindowShown]


class DurationsShown(Shape, frozen=True, kw_only=True):
    """How long sagas took, from the order to its end; percentiles within 1 % of a true value."""

    count: int
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None


class ModeShown(Shape, frozen=True, kw_only=True):
    """The orders of one mode of coordination."""

    mode: str
    orders: int
    confirmed: int
    cancelled: int
    success_rate: float | None


class Oddities(Shape, frozen=True, kw_only=True):
    """Events that looked strange: late ones, repeated ones (counted once), and times that nobody believes."""

    late: int
    duplicates: int
    future: int
    past: int


class Summary(Shape, frozen=True, kw_only=True):
    """Everything at a glance. Amounts are in `currency`; other currencies stand in `revenueByCurrency`."""

    total_orders: int
    confirmed_orders: int
    cancelled_orders: int
    pending_orders: int
    failed_payments: int
    success_rate: float | None
    total_revenue: Decimal
    average_order_value: Decimal | None
    currency: str
    revenue_by_currency: dict[str, Decimal]
    cancelled_by_reason: dict[str, int]
    by_mode: list[ModeShown]
    durations: DurationsShown
    windows: RecentWindows
    watermark: datetime | None
    lag_seconds: float
    as_of: datetime
    version: int
    events: int
    oddities: Oddities


class ProfileShown(Shape, frozen=True, kw_only=True):
    """What is known of a user."""

    name: str | None
    segment: str | None
    country: str | None


class PaymentPart(Shape, frozen=True, kw_only=True):
    """What is known of an order's payment."""

    paid_at: datetime | None
    payment_id: str | None
    amount: Decimal | None
    failed_at: datetime | None
    error_code: str | None
    refunded_at: datetime | None
    refunded_amount: Decimal | None
    refund_method: str | None


class ReservationPart(Shape, frozen=True, kw_only=True):
    """What is known of an order's reservation."""

    reserved_at: datetime | None
    reservation_id: str | None
    failed_at: datetime | None
    reason: str | None
    released_at: datetime | None
    consumed_at: datetime | None


class ShipmentPart(Shape, frozen=True, kw_only=True):
    """What is known of an order's shipment."""

    scheduled_at: datetime | None
    shipment_id: str | None
    carrier: str | None
    tracking_number: str | None
    failed_at: datetime | None
    reason: str | None


class LineShown(Shape, frozen=True, kw_only=True):
    """So many of a product, at a price each."""

    product_id: str
    quantity: int
    price: Decimal | None


class JoinedShown(Shape, frozen=True, kw_only=True):
    """An order × its payment × its reservation × its shipment, each null while nothing of it came.

    `missing` are the events without which it is not complete; `flags` say what is strange about it (`future`, `past`:
    an event had a time that nobody believes; `amount`: one that its currency cannot express).
    """

    order_id: str
    user_id: str | None
    profile: ProfileShown | None
    mode: str | None
    total: Decimal | None
    currency: str | None
    items: list[LineShown]
    status: str
    reason: str | None
    created_at: datetime | None
    ended_at: datetime | None
    duration_seconds: float | None
    payment: PaymentPart | None
    reservation: ReservationPart | None
    shipment: ShipmentPart | None
    missing: list[str]
    flags: list[str]


class UnmatchedShown(Shape, frozen=True, kw_only=True):
    """An order of which something is missing, and for how long since its first event."""

    order_id: str
    user_id: str | None
    status: str
    since: datetime
    age_seconds: float
    missing: list[str]


class HighValueShown(Shape, frozen=True, kw_only=True):
    """An order above the threshold."""

    order_id: str
    user_id: str
    profile: ProfileShown | None
    total: Decimal
    currency: str
    placed_at: datetime
    status: str
    flags: list[str]


class ProductShown(Shape, frozen=True, kw_only=True):
    """A product: in how many orders, how many were ordered and sold (in confirmed orders), and what it brought."""

    product_id: str
    orders: int
    confirmed: int
    cancelled: int
    quantity: int
    sold: int
    value: dict[str, Decimal]
    revenue: dict[str, Decimal]


class UserShown(Shape, frozen=True, kw_only=True):
    """A user: profile and orders."""

    user_id: str
    profile: ProfileShown | None
    orders: int
    confirmed: int
    cancelled: int
    value: dict[str, Decimal]
    revenue: dict[str, Decimal]


class VersionShown(Shape, frozen=True, kw_only=True):
    """One version of the views: live, being built or compared, different, or retired and kept.

    How many events it has handled is known of the live one and of the one under way.
    """

    version: int
    state: str
    created_at: datetime
    ended_at: datetime | None
    events_handled: int | None
    events_total: int
    differences: list[str]


class Versions(Shape, frozen=True, kw_only=True):
    """All versions there are, the newest first."""

    versions: list[VersionShown]
