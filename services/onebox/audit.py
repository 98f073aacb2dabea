"""The audit's judgement: do payment, stock and shipment agree with how each saga ended? Values in, values out, no IO.

It knows nothing of how the services work, only what a customer and an accountant may expect. Sagas that run are counted
and not judged; those that a person ended by hand are listed apart, with whatever differs.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from onebox.answers import Answer, Line, Movements, Order, Payment, Reservation, Shipment, Stock


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Everything the services said, by order id and by product.

    `by_hand` are the orders in which a person decided instead of a participant. `younger` were placed while the books
    were read. `moving` are products whose stock changed meanwhile. `ledger` is None where the inventory shows none.
    """

    orders: Mapping[str, Order] = field(default_factory=dict)
    payments: Mapping[str, Payment] = field(default_factory=dict)
    reservations: Mapping[str, Reservation] = field(default_factory=dict)
    shipments: Mapping[str, Shipment] = field(default_factory=dict)
    stock: Mapping[str, Stock] = field(default_factory=dict)
    ledger: Mapping[str, Movements] | None = None
    by_hand: frozenset[str] = frozenset()
    younger: frozenset[str] = frozenset()
    moving: frozenset[str] = frozenset()


class Finding(Answer, frozen=True, kw_only=True):
    """One order or product and everything about it that does not agree; `ended` is how, for an order."""

    id: str
    ended: str = ""
    what: tuple[str, ...] = ()


class Verdict(Answer, frozen=True, kw_only=True):
    """What the audit says. `apart` were killed or resolved by hand: a person answers for them.

    `items_compared` counts the confirmed orders whose lines were held against their reservations.
    """

    clean: bool
    confirmed: int
    cancelled: int
    running: int
    items_compared: int
    apart: tuple[Finding, ...]
    disagreements: tuple[Finding, ...]
    without_order: tuple[Finding, ...]
    stock: tuple[Finding, ...]
    products: int
    moving: tuple[str, ...]


def judge(books: Books) -> Verdict:
    """Return what agrees and, by name, what does not."""
    counts = Counter(order.status for order in books.orders.values())
    apart: list[Finding] = []
    wrong: list[Finding] = []
    for order in books.orders.values():
        what = tuple(_differences(order, books))
        killed = order.cancellation_reason == "KILLED"
        if killed or (order.id in books.by_hand and _has_ended(order)):
            apart.append(Finding(id=order.id, ended="killed" if killed else f"{order.status}, by hand", what=what))
        elif what:
            wrong.append(Finding(id=order.id, ended=order.status, what=what))
    strays = tuple(_without_order(books))
    stock = tuple(_stock_findings(books))
    return Verdict(
        clean=not (wrong or strays or stock),
        confirmed=counts["confirmed"],
        cancelled=counts["cancelled"],
        running=counts.total() - counts["confirmed"] - counts["cancelled"],
        items_compared=sum(1 for o in books.orders.values() if o.status == "confirmed" and o.items is not None),
        apart=tuple(apart),
        disagreements=tuple(wrong),
        without_order=strays,
        stock=stock,
        products=len(books.stock),
        moving=tuple(sorted(books.moving)),
    )


def _has_ended(order: Order) -> bool:
    return order.status in ("confirmed", "cancelled")


def _differences(order: Order, books: Books) -> Iterator[str]:
    """Yield each way in which an ended order and its effects disagree."""
    payment = books.payments.get(order.id)
    reservation = books.reservations.get(order.id)
    shipment = books.shipments.get(order.id)
    if order.status == "confirmed":
        yield from _paid(order, payment)
        yield from _taken(order, reservation)
        if shipment is None or shipment.status != "scheduled":
            yield f"shipment is {_status(shipment)}, not scheduled"
    elif order.status == "cancelled":
        yield from _paid_back(order, payment)
        if reservation is not None and reservation.status not in ("refused", "released"):
            yield f"reservation is {reservation.status}: {_list(reservation.items)} not given back"
        if shipment is not None and shipment.status != "refused":
            yield f"shipment is {shipment.status}: {shipment.tracking_number or shipment.shipment_id}"


def _paid(order: Order, payment: Payment | None) -> Iterator[str]:
    if payment is None or payment.status != "captured":
        yield f"payment is {_status(payment)}, not captured"
    if payment is not None and not _same_money(order, payment):
        yield f"payment of {_money(payment.amount, payment.currency)} for a total of {_total(order)}"
    if payment is not None and payment.refunds:
        yield f"{_money(_given_back(payment), payment.currency)} was given back"


def _paid_back(order: Order, payment: Payment | None) -> Iterator[str]:
    """Yield where money of a cancelled order is not with the customer, or may not be."""
    if payment is None or payment.status in ("declined", "voided"):
        if payment is not None and payment.refunds:
            yield f"payment is {payment.status}, yet {_money(_given_back(payment), payment.currency)} was given back"
    elif payment.status == "refunded":
        if not _same_money(order, payment):
            yield f"payment of {_money(payment.amount, payment.currency)} for a total of {_total(order)}"
        if _given_back(payment) != payment.amount:
            back = _money(_given_back(payment), payment.currency)
            yield f"{back} given back of {_money(payment.amount, payment.currency)}"
    else:
        yield f"payment is {payment.status}: {_money(payment.amount, payment.currency)} not given back"


def _taken(order: Order, reservation: Reservation | None) -> Iterator[str]:
    if reservation is None or reservation.status != "consumed":
        yield f"reservation is {_status(reservation)}, not consumed"
    if reservation is not None and order.items is not None:
        ordered, reserved = _sum(order.items), _sum(reservation.items)
        if ordered != reserved:
            yield f"reservation has {_list(reservation.items)}, the order {_list(order.items)}"


def _without_order(books: Books) -> Iterator[Finding]:
    """Yield effects of orders that nobody placed."""
    known = books.orders.keys() | books.younger
    kinds: tuple[tuple[str, Mapping[str, Payment] | Mapping[str, Reservation] | Mapping[str, Shipment]], ...] = (
        ("payment", books.payments),
        ("reservation", books.reservations),
        ("shipment", books.shipments),
    )
    strays: dict[str, list[str]] = {}
    for kind, effects in kinds:
        for order_id in effects.keys() - known:
            strays.setdefault(order_id, []).append(f"{kind} is {effects[order_id].status}, but there is no such order")
    for order_id in sorted(strays):
        yield Finding(id=order_id, what=tuple(strays[order_id]))


def _stock_findings(books: Books) -> Iterator[Finding]:
    """Yield each product whose stock is not what reservations and ledger amount to."""
    reserved = _sum(line for r in books.reservations.values() if r.status == "reserved" for line in r.items)
    consumed = _sum(line for r in books.reservations.values() if r.status == "consumed" for line in r.items)
    products = books.stock.keys() | reserved.keys() | consumed.keys() | (books.ledger or {}).keys()
    for product in sorted(products - books.moving):
        stock = books.stock.get(product)
        moved = None if books.ledger is None else books.ledger.get(product, Movements(product_id=product))
        what = tuple(_stock_differences(stock, moved, reserved[product], consumed[product]))
        if what:
            yield Finding(id=product, what=what)


def _stock_differences(stock: Stock | None, moved: Movements | None, reserved: int, consumed: int) -> Iterator[str]:
    if stock is None:
        yield "it is reserved or was consumed, but there is no stock of it"
        return
    if not 0 <= stock.reserved <= stock.on_hand:
        yield f"{stock.reserved} reserved of {stock.on_hand} on hand"
    if stock.reserved != reserved:
        yield f"{stock.reserved} reserved, but the reservations amount to {reserved}"
    if moved is None:
        return
    if moved.on_hand != stock.on_hand:
        yield f"{stock.on_hand} on hand, but the ledger amounts to {moved.on_hand}"
    if moved.reserved != stock.reserved:
        yield f"{stock.reserved} reserved, but the ledger amounts to {moved.reserved}"
    if moved.consumed != consumed:
        yield f"{consumed} consumed by reservations, but the ledger says {moved.consumed}"


def _sum(lines: Iterable[Line]) -> Counter[str]:
    total: Counter[str] = Counter()
    for line in lines:
        total[line.product_id] += line.quantity
    return total


def _same_money(order: Order, payment: Payment) -> bool:
    return payment.amount == order.total and payment.currency == order.currency


def _given_back(payment: Payment) -> Decimal:
    return sum((refund.amount for refund in payment.refunds), Decimal(0))


def _status(effect: Payment | Reservation | Shipment | None) -> str:
    return effect.status if effect is not None else "missing"


def _total(order: Order) -> str:
    return _money(order.total, order.currency)


def _money(amount: Decimal, currency: str) -> str:
    return f"{amount} {currency}"


def _list(lines: Iterable[Line]) -> str:
    return ", ".join(f"{quantity} × {product}" for product, quantity in sorted(_sum(lines).items())) or "nothing"
