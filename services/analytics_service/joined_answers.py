"""How a joined order is shown."""

from datetime import datetime
from decimal import Decimal

from analytics_service.orders import JoinedOrder, missing
from analytics_service.series import moment
from analytics_service.shapes import (
    JoinedShown,
    LineShown,
    PaymentPart,
    ProfileShown,
    ReservationPart,
    ShipmentPart,
    UnmatchedShown,
)
from analytics_service.tables import Profile
from shop_contracts.money import MoneyError, to_major


def joined(row: JoinedOrder, profile: Profile | None) -> JoinedShown:
    """Return the whole row."""
    ended_after = None if row.ended_ms is None or row.created_ms is None else (row.ended_ms - row.created_ms) / 1000
    return JoinedShown(
        order_id=row.order_id,
        user_id=row.user_id,
        profile=profile_shown(profile),
        mode=row.mode or None,
        total=_amount(row.total_minor, row.currency),
        currency=row.currency,
        items=[
            LineShown(product_id=line.product_id, quantity=line.quantity, price=_amount(line.price_minor, row.currency))
            for line in row.lines
        ],
        status=status(row),
        reason=row.reason,
        created_at=_moment(row.created_ms),
        ended_at=_moment(row.ended_ms),
        duration_seconds=ended_after,
        payment=_payment(row),
        reservation=_reservation(row),
        shipment=_shipment(row),
        missing=missing(row),
        flags=[*row.flags],
    )


def unmatched_shown(row: JoinedOrder, now: datetime) -> UnmatchedShown:
    """Return what of an order is missing, and for how long."""
    since = moment(row.waiting_since_ms or 0)
    return UnmatchedShown(
        order_id=row.order_id,
        user_id=row.user_id,
        status=status(row),
        since=since,
        age_seconds=round((now - since).total_seconds(), 3),
        missing=missing(row),
    )


def status(row: JoinedOrder | None) -> str:
    """Return how an order stands, as a customer sees it; of one that was not heard of, that it is unknown."""
    if row is None or (row.created_ms is None and row.outcome is None):
        return "unknown"
    return row.outcome.value if row.outcome is not None else "pending"


def profile_shown(profile: Profile | None) -> ProfileShown | None:
    """Return what is known of a user."""
    if profile is None:
        return None
    return ProfileShown(name=profile.name, segment=profile.segment, country=profile.country)


def _payment(row: JoinedOrder) -> PaymentPart | None:
    if row.paid_ms is None and row.declined_ms is None and row.refunded_ms is None:
        return None
    return PaymentPart(
        paid_at=_moment(row.paid_ms),
        payment_id=row.payment_id,
        amount=_said(row.paid),
        failed_at=_moment(row.declined_ms),
        error_code=row.declined_code,
        refunded_at=_moment(row.refunded_ms),
        refunded_amount=_said(row.refunded),
        refund_method=row.refund_method,
    )


def _reservation(row: JoinedOrder) -> ReservationPart | None:
    if row.reserved_ms is None and row.out_of_stock_ms is None and row.released_ms is None and row.consumed_ms is None:
        return None
    return ReservationPart(
        reserved_at=_moment(row.reserved_ms),
        reservation_id=row.reservation_id,
        failed_at=_moment(row.out_of_stock_ms),
        reason=row.out_of_stock_reason,
        released_at=_moment(row.released_ms),
        consumed_at=_moment(row.consumed_ms),
    )


def _shipment(row: JoinedOrder) -> ShipmentPart | None:
    if row.shipped_ms is None and row.unshipped_ms is None:
        return None
    return ShipmentPart(
        scheduled_at=_moment(row.shipped_ms),
        shipment_id=row.shipment_id,
        carrier=row.carrier,
        tracking_number=row.tracking_number,
        failed_at=_moment(row.unshipped_ms),
        reason=row.unshipped_reason,
    )


def _moment(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else moment(at_ms)


def _said(amount: str | None) -> Decimal | None:
    """Return an amount as it was said; one that JSON cannot carry is none."""
    said = None if amount is None else Decimal(amount)
    return said if said is not None and said.is_finite() else None


def _amount(amount_minor: int | None, currency: str | None) -> Decimal | None:
    if amount_minor is None or currency is None:
        return None
    try:
        return to_major(amount_minor, currency)
    except MoneyError:
        return None
