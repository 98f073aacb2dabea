"""The shop's figures as a person reads them. Values in, text out, no IO."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from onebox.description import aligned
from onebox.figures import Figures, JoinedOrder, Window
from onebox.moments import moment

WINDOWS_SHOWN = 10
NONE = "-"


def report(seen: Figures) -> str:
    """Return the figures as a text: totals, by mode, reasons, and the last windows in which anything happened."""
    return "\n".join(
        [
            *aligned(list(facts(seen))),
            *_table(("MODE", "ORDERS", "CONFIRMED", "CANCELLED", "SUCCESS"), _modes(seen)),
            *_table(("CANCELLED FOR", "ORDERS"), [(r, str(count)) for r, count in seen.cancelled_by_reason.items()]),
            *_table(("MINUTE", "ORDERS", "SUCCESS"), _minutes(seen)),
            *_table(("HOUR", f"REVENUE {seen.currency}"), _hours(seen)),
        ]
    )


def facts(seen: Figures) -> Iterator[tuple[str, str]]:
    """Yield each figure with its name."""
    orders = f"{seen.confirmed_orders} confirmed, {seen.cancelled_orders} cancelled, {seen.pending_orders} pending"
    yield "orders", f"{seen.total_orders}: {orders}"
    yield "success rate", percent(seen.success_rate)
    yield "failed payments", str(seen.failed_payments)
    yield "revenue", f"{seen.total_revenue} {seen.currency}"
    for currency, amount in seen.revenue_by_currency.items():
        if currency != seen.currency:
            yield "", f"{amount} {currency}"
    average = NONE if seen.average_order_value is None else f"{seen.average_order_value} {seen.currency}"
    yield "average order", average
    took = seen.durations
    percentiles = (("p50", took.p50_seconds), ("p95", took.p95_seconds), ("p99", took.p99_seconds))
    yield "saga duration", ", ".join(f"{name} {seconds(value)}" for name, value in percentiles)
    odd = seen.oddities
    told = f"{odd.late} late, {odd.duplicates} repeated, {odd.future} in the future, {odd.past} in the past"
    yield "events", f"{seen.events}, {seen.lag_seconds:.3f} s behind; {told}"


def lasting(windows: Sequence[Window]) -> list[Window]:
    """Return the last windows in which anything happened, the newest first."""
    return [window for window in reversed(windows) if window.now][:WINDOWS_SHOWN]


def percent(rate: float | Decimal | None) -> str:
    """Return a rate as people read it."""
    return NONE if rate is None else f"{float(rate):.1%}"


def seconds(value: float | None) -> str:
    """Return a length in seconds, to the millisecond."""
    return NONE if value is None else f"{value:.3f} s"


def amounts(by_currency: dict[str, Decimal]) -> str:
    """Return amounts in several currencies in one line."""
    return ", ".join(f"{amount} {currency}" for currency, amount in by_currency.items()) or NONE


def joined(order: JoinedOrder) -> str:
    """Return an order and what came with it as a text."""
    rows = [("user", ", ".join(filter(None, [order.user_id or "unknown", *known(order.profile)])))]
    if order.total is not None:
        rows.append(("total", f"{order.total} {order.currency}"))
    items = ", ".join(f"{line.quantity} × {line.product_id} at {line.price}" for line in order.items)
    rows.append(("items", items or "unknown"))
    rows.append(("placed", moment(order.created_at)))
    after = "" if order.duration_seconds is None else f", after {seconds(order.duration_seconds)}"
    rows.append(("ended", f"{moment(order.ended_at)}{after}"))
    for name, part in (("payment", order.payment), ("reservation", order.reservation), ("shipment", order.shipment)):
        rows.append((name, ", ".join(f"{key} {value}" for key, value in (part or {}).items() if value is not None)))
    rows.append(("missing", ", ".join(order.missing) or "nothing"))
    if order.flags:
        rows.append(("flags", ", ".join(order.flags)))
    reason = f" ({order.reason})" if order.reason else ""
    mode = f", {order.mode}" if order.mode else ""
    return "\n".join([f"{order.order_id}  {order.status}{reason}{mode}", *(f"  {line}" for line in aligned(rows))])


def known(profile: dict[str, Any] | None) -> list[str]:
    """Return what is known of a user."""
    return [str(value) for value in (profile or {}).values() if value is not None]


def _modes(seen: Figures) -> list[tuple[str, ...]]:
    return [(m.mode, str(m.orders), str(m.confirmed), str(m.cancelled), percent(m.success_rate)) for m in seen.by_mode]


def _minutes(seen: Figures) -> list[tuple[str, ...]]:
    rates = {window.start: window.now for window in seen.windows.success_rate_per_minute}
    rows = lasting(seen.windows.orders_per_minute)
    return [(minute(window), str(window.now), percent(rates.get(window.start))) for window in rows]


def _hours(seen: Figures) -> list[tuple[str, ...]]:
    return [(minute(window), str(window.now)) for window in lasting(seen.windows.revenue_per_hour)]


def minute(window: Window) -> str:
    """Return when a window begins, which is on a minute."""
    return moment(window.start)[:16] + "Z"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return ["", *aligned([head, *rows])] if rows else []
