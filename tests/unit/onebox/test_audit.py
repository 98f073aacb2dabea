"""The audit names every way in which money, stock and parcels can disagree with how a saga ended."""

from collections.abc import Iterable
from decimal import Decimal

import pytest

from onebox.answers import Line, Movements, Order, Payment, Refund, Reservation, Shipment, Stock
from onebox.audit import Books, Verdict, judge

TWO_PENS = [Line(product_id="pen", quantity=2)]


def order(status: str = "confirmed", reason: str | None = None, items: list[Line] | None = TWO_PENS) -> Order:
    return Order(id="order-7", status=status, total=Decimal("12.00"), cancellation_reason=reason, items=items)


def payment(
    status: str = "captured", amount: str = "12.00", back: Iterable[str] = (), currency: str = "USD"
) -> Payment:
    refunds = [Refund(amount=Decimal(each)) for each in back]
    return Payment(order_id="order-7", status=status, amount=Decimal(amount), currency=currency, refunds=refunds)


def reservation(status: str = "consumed", items: list[Line] = TWO_PENS) -> Reservation:
    return Reservation(order_id="order-7", status=status, items=items)


def shipment(status: str = "scheduled") -> Shipment:
    return Shipment(order_id="order-7", status=status, tracking_number="NO42")


def pens(on_hand: int, reserved: int = 0) -> dict[str, Stock]:
    return {"pen": Stock(product_id="pen", on_hand=on_hand, reserved=reserved)}


def books(
    placed: Order | None, *effects: Payment | Reservation | Shipment, stock: dict[str, Stock] | None = None
) -> Books:
    return Books(
        orders={placed.id: placed} if placed else {},
        payments={e.order_id: e for e in effects if isinstance(e, Payment)},
        reservations={e.order_id: e for e in effects if isinstance(e, Reservation)},
        shipments={e.order_id: e for e in effects if isinstance(e, Shipment)},
        stock=pens(10, 2 if any(isinstance(e, Reservation) and e.status == "reserved" for e in effects) else 0)
        if stock is None
        else stock,
    )


def only_disagreement(verdict: Verdict) -> str:
    assert not verdict.clean
    assert not verdict.without_order
    (finding,) = verdict.disagreements
    assert finding.id == "order-7"
    (what,) = finding.what
    return what


def test_a_confirmed_order_that_is_paid_shipped_and_taken_off_the_stock_agrees() -> None:
    verdict = judge(books(order(), payment(), reservation(), shipment()))
    assert verdict.clean
    assert (verdict.confirmed, verdict.cancelled, verdict.running) == (1, 0, 0)


@pytest.mark.parametrize(
    ("effects", "what"),
    [
        ((reservation(), shipment()), "payment is missing, not captured"),
        ((payment("pending"), reservation(), shipment()), "payment is pending, not captured"),
        ((payment("unknown"), reservation(), shipment()), "payment is unknown, not captured"),
        ((payment("voided"), reservation(), shipment()), "payment is voided, not captured"),
        ((payment("declined"), reservation(), shipment()), "payment is declined, not captured"),
        ((payment(amount="11.99"), reservation(), shipment()), "payment of 11.99 USD for a total of 12.00 USD"),
        ((payment(currency="EUR"), reservation(), shipment()), "payment of 12.00 EUR for a total of 12.00 USD"),
        ((payment(back=["12.00"]), reservation(), shipment()), "12.00 USD was given back"),
        ((payment(), shipment()), "reservation is missing, not consumed"),
        ((payment(), reservation("reserved"), shipment()), "reservation is reserved, not consumed"),
        ((payment(), reservation("released"), shipment()), "reservation is released, not consumed"),
        (
            (payment(), reservation(items=[Line(product_id="pen", quantity=3)]), shipment()),
            "reservation has 3 × pen, the order 2 × pen",
        ),
        ((payment(), reservation()), "shipment is missing, not scheduled"),
        ((payment(), reservation(), shipment("refused")), "shipment is refused, not scheduled"),
    ],
)
def test_a_confirmed_order_disagrees_when(effects: tuple[Payment | Reservation | Shipment, ...], what: str) -> None:
    assert only_disagreement(judge(books(order(), *effects))) == what


@pytest.mark.parametrize(
    "effects",
    [
        (),
        (payment("declined"),),
        (payment("voided"),),
        (payment("refunded", back=["12.00"]), reservation("refused")),
        (payment("refunded", back=["12.00"]), reservation("released"), shipment("refused")),
        (payment("refunded", back=["5.00", "7.00"]), reservation("released")),
    ],
    ids=["nothing happened", "declined", "voided", "out of stock", "not shipped", "refunded in parts"],
)
def test_a_cancelled_order_agrees_when_everything_is_back(effects: tuple[Payment | Reservation, ...]) -> None:
    verdict = judge(books(order("cancelled", "WHATEVER"), *effects))
    assert verdict.clean
    assert verdict.cancelled == 1


@pytest.mark.parametrize(
    ("effects", "what"),
    [
        ((payment("captured"),), "payment is captured: 12.00 USD not given back"),
        ((payment("pending"),), "payment is pending: 12.00 USD not given back"),
        ((payment("unknown"),), "payment is unknown: 12.00 USD not given back"),
        ((payment("refunded", back=["11.00"]),), "11.00 USD given back of 12.00 USD"),
        ((payment("refunded", back=["12.00", "12.00"]),), "24.00 USD given back of 12.00 USD"),
        ((payment("refunded"),), "0 USD given back of 12.00 USD"),
        ((payment("refunded", "9.00", ["9.00"]),), "payment of 9.00 USD for a total of 12.00 USD"),
        ((payment("declined", back=["12.00"]),), "payment is declined, yet 12.00 USD was given back"),
        ((reservation("reserved"),), "reservation is reserved: 2 × pen not given back"),
        ((reservation("consumed"),), "reservation is consumed: 2 × pen not given back"),
        ((shipment("scheduled"),), "shipment is scheduled: NO42"),
    ],
)
def test_a_cancelled_order_disagrees_when(effects: tuple[Payment | Reservation | Shipment, ...], what: str) -> None:
    assert only_disagreement(judge(books(order("cancelled", "WHATEVER"), *effects))) == what


def test_everything_that_disagrees_about_one_order_is_named_at_once() -> None:
    (finding,) = judge(books(order("cancelled"), payment(), reservation("reserved"), shipment())).disagreements
    assert len(finding.what) == 3


def test_an_order_whose_lines_the_list_does_not_tell_is_judged_by_the_rest() -> None:
    assert judge(books(order(items=None), payment(), reservation(), shipment())).clean


def test_two_lines_of_one_product_are_one_reservation_line() -> None:
    one_and_one = [Line(product_id="pen", quantity=1), Line(product_id="pen", quantity=1)]
    assert judge(books(order(items=one_and_one), payment(), reservation(), shipment())).clean


def test_a_running_order_is_counted_and_not_judged() -> None:
    verdict = judge(books(order("pending"), payment("captured"), reservation("reserved")))
    assert verdict.clean
    assert verdict.running == 1


def test_a_killed_order_stands_apart_with_what_it_left_behind() -> None:
    verdict = judge(books(order("cancelled", "KILLED"), payment(), reservation("reserved")))
    assert verdict.clean
    (finding,) = verdict.apart
    assert finding.ended == "killed"
    assert finding.what == (
        "payment is captured: 12.00 USD not given back",
        "reservation is reserved: 2 × pen not given back",
    )


def test_an_order_resolved_by_hand_stands_apart_also_when_it_agrees() -> None:
    by_hand = Books(
        orders={"order-7": order("cancelled", "WHATEVER")},
        payments={"order-7": payment("refunded", back=["12.00"])},
        by_hand=frozenset({"order-7"}),
    )
    (finding,) = judge(by_hand).apart
    assert (finding.ended, finding.what) == ("cancelled, by hand", ())


def test_a_payment_a_reservation_and_a_shipment_that_nobody_ordered_are_named() -> None:
    verdict = judge(books(None, payment(), reservation("consumed"), shipment()))
    assert not verdict.clean
    (finding,) = verdict.without_order
    assert finding.id == "order-7"
    assert finding.what == (
        "payment is captured, but there is no such order",
        "reservation is consumed, but there is no such order",
        "shipment is scheduled, but there is no such order",
    )


def test_an_order_placed_while_the_books_were_read_is_no_stray() -> None:
    assert judge(Books(payments={"order-7": payment()}, younger=frozenset({"order-7"}))).clean


def stock_differences(found: Books) -> tuple[str, ...]:
    (finding,) = judge(found).stock
    assert finding.id == "pen"
    return finding.what


def test_stock_set_aside_for_nobody_is_named() -> None:
    assert stock_differences(books(None, stock=pens(10, 2))) == ("2 reserved, but the reservations amount to 0",)


def test_a_reservation_that_the_stock_does_not_know_is_named() -> None:
    found = books(order("pending"), reservation("reserved"), stock=pens(10, 0))
    assert stock_differences(found) == ("0 reserved, but the reservations amount to 2",)


def test_a_reservation_of_a_product_that_is_not_there_is_named() -> None:
    found = books(order("pending"), reservation("reserved"), stock={})
    assert stock_differences(found) == ("it is reserved or was consumed, but there is no stock of it",)


def test_more_set_aside_than_there_is_is_named() -> None:
    found = books(order("pending"), reservation("reserved"), stock=pens(1, 2))
    assert stock_differences(found) == ("2 reserved of 1 on hand",)


def test_stock_and_ledger_that_disagree_are_named() -> None:
    ledger = {"pen": Movements(product_id="pen", on_hand=9, reserved=1, consumed=3)}
    assert stock_differences(Books(stock=pens(10, 0), ledger=ledger)) == (
        "10 on hand, but the ledger amounts to 9",
        "0 reserved, but the ledger amounts to 1",
        "0 consumed by reservations, but the ledger says 3",
    )


def test_stock_that_moved_while_it_was_read_is_not_judged_but_named() -> None:
    verdict = judge(Books(stock=pens(10, 2), moving=frozenset({"pen"})))
    assert verdict.clean
    assert verdict.moving == ("pen",)
