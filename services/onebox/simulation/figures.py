"""What the analytics must say once nothing moves any more, counted from the log in the plainest way there is."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from analytics_service.orders import JoinedOrder, missing
from analytics_service.summing import ALL, merged
from onebox.simulation.books import Books
from sagakit.core.contracts import UnreadableError, decode_object
from sagakit.runtime.wire import parse


def figures(books: Books) -> Iterator[str]:
    """The views say of every order what the log says, and their sums are those of its events, each counted once."""
    rows: dict[str, JoinedOrder] = books.rows("analytics", "joined_orders")
    for order_id, row in books.rows("order", "orders").items():
        joined = rows.get(order_id)
        if joined is None or joined.outcome != row.status:
            yield f"{books.names[order_id]} is {row.status}, and the analytics joined {joined}"
        elif missing(joined):
            yield f"{books.names[order_id]} lacks {', '.join(missing(joined))} in the analytics"
    expected, found = _expected(books), merged(books.rows("analytics", "totals").values()).get(ALL, {})
    for name, number in expected.items():
        if found.get(name, 0) != number:
            yield f"the log has {name} {number}, and the analytics say {found.get(name, 0)}"


def _expected(books: Books) -> Counter[str]:
    """Return the sums of the first event of each type and order."""
    seen: set[tuple[str, str]] = set()
    sums: Counter[str] = Counter()
    for record in books.records():
        try:
            message = parse(record)
        except UnreadableError:
            continue
        if message.saga_id not in books.names or (message.saga_id, message.type) in seen:
            continue
        seen.add((message.saga_id, message.type))
        data = decode_object(message.data)
        match message.type:
            case "OrderCreated":
                sums["orders"] += 1
                sums["value:USD"] += int(Decimal(data["total"]) * 100)
            case "OrderConfirmed":
                sums["confirmed"] += 1
            case "OrderCancelled":
                sums["cancelled"] += 1
            case "PaymentFailed":
                sums["declined"] += 1
            case "PaymentCompleted":
                sums["captured:USD"] += int(Decimal(data["amount"]) * 100)
            case "PaymentRefunded":
                sums["refunded:USD"] += int(Decimal(data["amount"]) * 100)
            case _:
                pass
    return sums
