"""What the analytics service answers, as sagactl reads it: only the fields it uses, and every unknown one ignored.

Amounts and the values of windows are exact decimals.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Names in camelCase; what is not known here is ignored."""


class Window(Figure, frozen=True, kw_only=True):
    """One window: what it holds now, what it held when it closed, and how many events came too late for that."""

    start: datetime
    end: datetime
    user_id: str | None = None
    now: Decimal | None = None
    at_close: Decimal | None = None
    late_count: int = 0
    final: bool = False


class Windows(Figure, frozen=True, kw_only=True):
    """The windows of one metric, the oldest first."""

    metric: str
    type: str
    unit: str
    currency: str | None = None
    time_zone: str = "UTC"
    watermark: datetime | None = None
    windows: list[Window] = []


class RecentWindows(Figure, frozen=True, kw_only=True):
    """What happened lately: the last hour by minutes, the last day by hours."""

    orders_per_minute: list[Window] = []
    revenue_per_hour: list[Window] = []
    success_rate_per_minute: list[Window] = []


class Durations(Figure, frozen=True, kw_only=True):
    """How long sagas took, from the order to its end."""

    count: int = 0
    p50_seconds: float | None = None
    p95_seconds: float | None = None
    p99_seconds: float | None = None


class OfMode(Figure, frozen=True, kw_only=True):
    """The orders of one mode of coordination."""

    mode: str
    orders: int
    confirmed: int
    cancelled: int
    success_rate: float | None = None


class Oddities(Figure, frozen=True, kw_only=True):
    """Events that looked strange."""

    late: int = 0
    duplicates: int = 0
    future: int = 0
    past: int = 0


class Figures(Figure, frozen=True, kw_only=True):
    """Everything at a glance."""

    total_orders: int
    confirmed_orders: int
    cancelled_orders: int
    pending_orders: int
    failed_payments: int = 0
    success_rate: float | None = None
    total_revenue: Decimal
    average_order_value: Decimal | None = None
    currency: str
    revenue_by_currency: dict[str, Decimal] = {}
    cancelled_by_reason: dict[str, int] = {}
    by_mode: list[OfMode] = []
    durations: Durations = Durations()
    windows: RecentWindows = RecentWindows()
    watermark: datetime | None = None
    lag_seconds: float = 0.0
    as_of: datetime
    version: int = 0
    events: int = 0
    oddities: Oddities = Oddities()


class JoinedLine(Figure, frozen=True, kw_only=True):
    """So many of a product, at a price each."""

    product_id: str
    quantity: int
    price: Decimal | None = None


class JoinedOrder(Figure, frozen=True, kw_only=True):
    """An order with its payment, reservation and shipment; these and the profile are passed on as they are told."""

    order_id: str
    status: str
    user_id: str | None = None
    profile: dict[str, Any] | None = None
    mode: str | None = None
    total: Decimal | None = None
    currency: str | None = None
    items: list[JoinedLine] = []
    reason: str | None = None
    created_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: float | None = None
    payment: dict[str, Any] | None = None
    reservation: dict[str, Any] | None = None
    shipment: dict[str, Any] | None = None
    missing: list[str] = []
    flags: list[str] = []


class Unmatched(Figure, frozen=True, kw_only=True):
    """An order of which something is missing."""

    order_id: str
    status: str
    user_id: str | None = None
    since: datetime
    age_seconds: float
    missing: list[str]


class HighValue(Figure, frozen=True, kw_only=True):
    """An order above the threshold."""

    order_id: str
    user_id: str
    total: Decimal
    currency: str
    placed_at: datetime
    status: str
    profile: dict[str, Any] | None = None
    flags: list[str] = []


class Product(Figure, frozen=True, kw_only=True):
    """In how many orders a product is, how many were ordered and sold, and what it brought."""

    product_id: str
    orders: int
    confirmed: int
    cancelled: int
    quantity: int
    sold: int
    value: dict[str, Decimal] = {}
    revenue: dict[str, Decimal] = {}


class Version(Figure, frozen=True, kw_only=True):
    """One version of the views."""

    version: int
    state: str
    created_at: datetime
    ended_at: datetime | None = None
    events_handled: int | None = None
    events_total: int = 0
    differences: list[str] = []


class Versions(Figure, frozen=True, kw_only=True):
    """All versions there are, the newest first."""

    versions: list[Version]
