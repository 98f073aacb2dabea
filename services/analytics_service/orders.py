"""One row per order: everything that the event topics said of it, whichever came first. No IO.

The row is also the guard against counting twice: an event of a type that the row has heard already changes nothing.
"""

import enum

import msgspec


class Arrival(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How an event came: what was closed then, when the log took it, and its offset.

    Windows that ended at or before `closed_ms` were closed when it came. Times are milliseconds since 1970.
    """

    closed_ms: int
    logged_ms: int
    offset: int


class Line(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """So many of a product, at a price each."""

    product_id: str
    quantity: int
    price_minor: int


class Outcome(enum.StrEnum):
    """How an order ended."""

    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


class JoinedOrder(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An order × its payment × its reservation × its shipment.

    A time is None while the event did not come. `paid` and `refunded` are amounts in major units as they were said,
    and in minor units once the order's currency is known. `first_ms` is the time of its first event, and
    `waiting_since_ms` the same until nothing is missing.
    """

    order_id: str
    partition: int
    mode: str = ""
    user_id: str | None = None
    currency: str | None = None
    total_minor: int | None = None
    lines: tuple[Line, ...] = ()
    created_ms: int | None = None
    created: Arrival | None = None
    paid_ms: int | None = None
    paid_arrival: Arrival | None = None
    paid: str | None = None
    paid_minor: int | None = None
    payment_id: str | None = None
    declined_ms: int | None = None
    declined_arrival: Arrival | None = None
    declined_code: str | None = None
    refunded_ms: int | None = None
    refunded_arrival: Arrival | None = None
    refunded: str | None = None
    refunded_minor: int | None = None
    refund_method: str | None = None
    reserved_ms: int | None = None
    reservation_id: str | None = None
    out_of_stock_ms: int | None = None
    out_of_stock_reason: str | None = None
    released_ms: int | None = None
    consumed_ms: int | None = None
    shipped_ms: int | None = None
    shipment_id: str | None = None
    carrier: str | None = None
    tracking_number: str | None = None
    unshipped_ms: int | None = None
    unshipped_reason: str | None = None
    aborted_ms: int | None = None
    aborted_arrival: Arrival | None = None
    aborted_code: str | None = None
    ended_ms: int | None = None
    ended_arrival: Arrival | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    flags: tuple[str, ...] = ()
    first_ms: int | None = None
    waiting_since_ms: int | None = None


def missing(row: JoinedOrder) -> list[str]:
    """Return the types of the events without which this order is not complete; empty when it is.

    Of a cancelled order each effect needs its undo; a killed one stays as it was left.
    """
    lacks: list[str] = []
    if row.created_ms is None:
        lacks.append("OrderCreated")
    if row.outcome is None:
        lacks.append("OrderConfirmed or OrderCancelled")
    elif row.outcome is Outcome.CONFIRMED:
        lacks += [
            event
            for event, at in (
                ("PaymentCompleted", row.paid_ms),
                ("InventoryReserved", row.reserved_ms),
                ("ShipmentScheduled", row.shipped_ms),
                ("ReservationConsumed", row.consumed_ms),
            )
            if at is None
        ]
    elif row.reason != "KILLED":
        if row.paid_ms is not None and row.refunded_ms is None:
            lacks.append("PaymentRefunded")
        if row.reserved_ms is not None and row.released_ms is None:
            lacks.append("InventoryReleased")
    return lacks


def is_complete(row: JoinedOrder) -> bool:
    """Tell whether nothing is missing; `missing` says the same with names."""
    if row.created_ms is None or row.outcome is None:
        return False
    if row.outcome is Outcome.CONFIRMED:
        return None not in (row.paid_ms, row.reserved_ms, row.shipped_ms, row.consumed_ms)
    if row.reason == "KILLED":
        return True
    return (row.paid_ms is None or row.refunded_ms is not None) and (
        row.reserved_ms is None or row.released_ms is not None
    )


def joined(row: JoinedOrder, arrival: Arrival) -> Arrival:
    """Return how an event came, seen from where it and its order were both there: late if either was."""
    assert row.created is not None, "the caller knows the order"
    if row.created.closed_ms <= arrival.closed_ms:
        return arrival
    return Arrival(row.created.closed_ms, arrival.logged_ms, arrival.offset)
