"""What each event does to the row of its order, and what is counted because of it. No IO.

A saga counts in the window of its end, a refund in the window of the refund, a payment in its own. Where an amount
needs the order's currency, it waits on the row until the order is known, and counts then at the time it was said for.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from analytics_service.orders import Arrival, JoinedOrder, Line, Outcome, is_complete, joined
from analytics_service.series import (
    ABORTED,
    CANCELLED,
    CAPTURED,
    CAPTURES,
    CONFIRMED,
    DECLINED,
    ORDERS,
    REFUNDED,
    REFUNDS,
    VALUE,
    VALUED,
    of_currency,
)
from analytics_service.tally import Tally
from sagakit.core.part import Abort
from shop_contracts.messages import (
    InventoryFailed,
    InventoryReserved,
    OrderCancelled,
    OrderCreated,
    PaymentCompleted,
    PaymentFailed,
    PaymentRefunded,
    ShipmentFailed,
    ShipmentScheduled,
)
from shop_contracts.money import MoneyError, to_minor

AMOUNT_FLAG = "amount"
"""On the row of an order with an amount that its currency cannot express; such an amount is not counted."""
QUANTITY, SOLD = "quantity", "sold"
AMOUNTS_REMEMBERED = 10_000


class Event(msgspec.Struct, frozen=True, gc=False):
    """One message as it is folded. Times are milliseconds since 1970."""

    type: str
    data: Any
    mode: str
    at_ms: int
    arrival: Arrival
    flag: str | None = None


def fold(row: JoinedOrder, event: Event, tally: Tally) -> bool:
    """Put the event on the row, and what it adds into the tally; tell whether it was news.

    An event of a kind that the row has heard already changes nothing.
    """
    if not FOLDS[event.type](row, event, tally):
        return False
    if event.flag is not None:
        _flag(row, event.flag)
    if row.first_ms is None or event.at_ms < row.first_ms:
        row.first_ms = event.at_ms
    row.waiting_since_ms = None if is_complete(row) else row.first_ms
    return True


def _created(row: JoinedOrder, event: Event, tally: Tally) -> bool:
    if row.created_ms is not None:
        return False
    data: OrderCreated = event.data
    at_ms, closed_ms = event.at_ms, event.arrival.closed_ms
    row.created_ms = at_ms
    row.created = event.arrival
    row.user_id = data.user_id
    row.currency = data.currency
    row.mode = event.mode
    tally.add(ORDERS, at_ms, closed_ms)
    tally.mode(ORDERS, row.mode)
    user = tally.users[data.user_id]
    user[ORDERS] += 1
    value = of_currency(VALUE, data.currency)
    total = row.total_minor = minor(row, data.total)
    if total is not None:
        tally.money(VALUE, VALUED, data.currency, at_ms, closed_ms, total)
        user[value] += total
    row.lines = tuple([Line(item.product_id, item.quantity, minor(row, item.price) or 0) for item in data.items])
    for product_id in {line.product_id for line in row.lines}:
        tally.products[product_id][ORDERS] += 1
    for line in row.lines:
        product = tally.products[line.product_id]
        product[QUANTITY] += line.quantity
        product[value] += line.quantity * line.price_minor
    if row.paid_ms is not None:
        _count_paid(row, tally)
    if row.refunded_ms is not None:
        _count_refunded(row, tally)
    if row.outcome is not None:
        _count_end(row, tally)
    return True


def _paid(row: JoinedOrder, event: Event, tally: Tally) -> bool:
    if row.paid_ms is not None:
        return False
    data: PaymentCompleted = event.data
    row.paid_ms = event.at_ms
    row.paid_arrival = event.arrival
    row.paid = str(data.amount)
    row.payment_id = data.payment_id
    if row.created_ms is not None:
        _count_paid(row, tally)
    return True


def _refunded(row: JoinedOrder, event: Event, tally: Tally) -> bool:
    if row.refunded_ms is not None:
        return False
    data: PaymentRefunded = event.data
    row.refunded_ms = event.at_ms
    row.refunded_arrival = event.arrival
    row.refunded = str(data.amount)
    row.refund_method = data.method.value
    if row.created_ms is not None:
        _count_refunded(row, tally)
    return True


def _declined(row: JoinedOrder, event: Event, tally: Tally) -> bool:
    if row.declined_ms is not None:
        return False
    data: PaymentFailed = event.data
    row.declined_ms = event.at_ms
    row.declined_arrival = event.arrival
    row.declined_code = data.error_code
    tally.add(DECLINED, event.at_ms, event.arrival.closed_ms)
    return True


def _reserved(row: JoinedOrder, event: Event, tally: Tally) -> bool:
    del tally
    if row.reserved_ms is not None:
        return False
    data: InventoryReserved = event.data
    row.reserved_ms = event.at_ms
    row.reservation_id = data.reservation_id
    return True


def _out_of_stock(row: JoinedOrder, event: Event, tally: Tally) -> bool:
    del tally
    if row.out_of_stock_ms is not None:
        return False
    data: InventoryFailed = event.data
    row.out_of_stock_ms = event.at_ms
    row.out_of_stock_reason = data.reason
    return True


def _released(row: JoinedOrder, event: Event, tally: Tally) -> bool:
    del tally
    if row.released_ms is not None:
        return False
    row.released_ms = event.at_ms
    return True


def _consumed(row: JoinedOrder, event: Event, tally: Tally) -> bool:
    del tally
    if row.consumed_ms is not None:
        return False
    row.consumed_ms = event.at_ms
    return True


def _shipped(row: JoinedOrder, event: Event, tally: Tally) -> bool:
    del tally
    if row.shipped_ms is not None:
        return False
    data: ShipmentScheduled = event.data
    row.shipped_ms = event.at_ms
    row.shipment_id = data.shipment_id
    row.carrier = data.carrier
    row.tracking_number = data.tracking_number
    return True


def _unshipped(row: JoinedOrder, event: Event, tally: Tally) -> bool:
    del tally
    if row.unshipped_ms is not None:
        return False
    data: ShipmentFailed = event.data
    row.unshipped_ms = event.at_ms
    row.unshipped_reason = data.reason
    return True


def _aborted(row: JoinedOrder, event: Event, tally: Tally) -> bool:
    if row.aborted_ms is not None:
        return False
    data: Abort = event.data
    row.aborted_ms = event.at_ms
    row.aborted_arrival = event.arrival
    row.aborted_code = data.code.value
    tally.add(ABORTED, event.at_ms, event.arrival.closed_ms)
    return True


def _confirmed(row: JoinedOrder, event: Event, tally: Tally) -> bool:
    return _ended(row, event, tally, Outcome.CONFIRMED, None)


def _cancelled(row: JoinedOrder, event: Event, tally: Tally) -> bool:
    data: OrderCancelled = event.data
    return _ended(row, event, tally, Outcome.CANCELLED, data.reason)


def _ended(row: JoinedOrder, event: Event, tally: Tally, outcome: Outcome, reason: str | None) -> bool:
    if row.ended_ms is not None:
        return False
    row.ended_ms = event.at_ms
    row.ended_arrival = event.arrival
    row.outcome = outcome
    row.reason = reason
    row.mode = row.mode or event.mode
    series = CONFIRMED if outcome is Outcome.CONFIRMED else CANCELLED
    tally.add(series, event.at_ms, event.arrival.closed_ms)
    tally.mode(series, row.mode)
    if reason is not None:
        tally.reasons[reason] += 1
    if row.created_ms is not None:
        _count_end(row, tally)
    return True


def _count_end(row: JoinedOrder, tally: Tally) -> None:
    """Count what needs both the order and its end: how long it took, and for whom and what it ended so."""
    assert row.created_ms is not None, "the caller knows the order"
    assert row.ended_ms is not None, "the caller knows its end"
    assert row.ended_arrival is not None, "an end has come somehow"
    assert row.user_id is not None, "an order has a user"
    tally.duration(row.ended_ms, joined(row, row.ended_arrival).closed_ms, row.ended_ms - row.created_ms)
    series = CONFIRMED if row.outcome is Outcome.CONFIRMED else CANCELLED
    tally.users[row.user_id][series] += 1
    for product_id in {line.product_id for line in row.lines}:
        tally.products[product_id][series] += 1
    if row.outcome is Outcome.CONFIRMED:
        for line in row.lines:
            tally.products[line.product_id][SOLD] += line.quantity


def _count_paid(row: JoinedOrder, tally: Tally) -> None:
    assert row.paid_ms is not None, "the caller knows the payment"
    assert row.paid_arrival is not None, "a payment has come somehow"
    row.paid_minor = minor(row, Decimal(row.paid or 0))
    row.paid_arrival = joined(row, row.paid_arrival)
    _count_money(row, tally, CAPTURED, CAPTURES, row.paid_minor, row.paid_ms, row.paid_arrival.closed_ms)


def _count_refunded(row: JoinedOrder, tally: Tally) -> None:
    assert row.refunded_ms is not None, "the caller knows the refund"
    assert row.refunded_arrival is not None, "a refund has come somehow"
    row.refunded_minor = minor(row, Decimal(row.refunded or 0))
    row.refunded_arrival = joined(row, row.refunded_arrival)
    _count_money(row, tally, REFUNDED, REFUNDS, row.refunded_minor, row.refunded_ms, row.refunded_arrival.closed_ms)


def _count_money(
    row: JoinedOrder, tally: Tally, what: str, count: str, amount: int | None, at_ms: int, closed_ms: int
) -> None:
    """Count an amount at its own time, for its user, and by the lines for its products when it is the total."""
    assert row.currency is not None, "the caller knows the order"
    assert row.user_id is not None, "an order has a user"
    if not amount:
        return
    tally.money(what, count, row.currency, at_ms, closed_ms, amount)
    series = of_currency(what, row.currency)
    tally.users[row.user_id][series] += amount
    if amount == row.total_minor:
        for line in row.lines:
            tally.products[line.product_id][series] += line.quantity * line.price_minor


def minor(row: JoinedOrder, amount: Decimal) -> int | None:
    """Return the amount in minor units of the order's currency; None, and a flag, when that cannot express it."""
    try:
        found: int = _to_minor(amount, row.currency or "")
    except (MoneyError, TypeError):  # nobody can remember a signaling NaN: it has no hash
        _flag(row, AMOUNT_FLAG)
        return None
    return found


_to_minor = lru_cache(AMOUNTS_REMEMBERED)(to_minor)


def _flag(row: JoinedOrder, flag: str) -> None:
    if flag not in row.flags:
        row.flags = tuple(sorted((*row.flags, flag)))


FOLDS: Mapping[str, Callable[[JoinedOrder, Event, Tally], bool]] = {
    "OrderCreated": _created,
    "OrderConfirmed": _confirmed,
    "OrderCancelled": _cancelled,
    "PaymentCompleted": _paid,
    "PaymentFailed": _declined,
    "PaymentRefunded": _refunded,
    "InventoryReserved": _reserved,
    "InventoryFailed": _out_of_stock,
    "InventoryReleased": _released,
    "ReservationConsumed": _consumed,
    "ShipmentScheduled": _shipped,
    "ShipmentFailed": _unshipped,
    "AbortSaga": _aborted,
}
"""What each type of event does; it returns whether it was news. All others are passed over."""
