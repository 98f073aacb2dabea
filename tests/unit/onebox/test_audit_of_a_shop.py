"""The audit reads a shop that runs, finds nothing to say, and names every row that somebody wrote past the services."""

import json

import pytest
from msgspec.structs import replace
from tests.unit.onebox.conftest import Sagactl
from tests.unit.onebox.live_shop import LiveShop

from inventory_service.actions import LEDGER, RESERVATIONS, STOCK
from inventory_service.domain import LedgerEntry, Movement
from payment_service.actions import PAYMENTS
from sagakit.ports import Table
from sagakit.runtime.clock import SystemClock
from shipping_service.actions import SHIPMENTS
from shop_contracts.messages import Line

pytestmark = pytest.mark.usefixtures("pens")


@pytest.fixture
def confirmed(sagactl: Sagactl) -> str:
    return sagactl("submit", "--item", "pen:2:9.99", "--wait", "-o", "name").out.strip()


def test_a_shop_in_which_nobody_cheated_is_clean(sagactl: Sagactl, confirmed: str) -> None:
    sagactl("submit", "--item", "pen:100000:1", "--wait")
    answer = sagactl("audit")
    assert answer.code == 0, answer.out
    assert "✔ the books balance" in answer.out
    told = json.loads(sagactl("audit", "-o", "json").out)
    assert told["clean"]
    assert told["confirmed"] == told["itemsCompared"] >= 1
    assert told["cancelled"] >= 1


@pytest.mark.parametrize(
    ("store", "table", "change", "said"),
    [
        ("payment", PAYMENTS, {"amount_minor": 1997}, "payment of 19.97 USD for a total of 19.98 USD"),
        ("payment", PAYMENTS, {"status": "voided"}, "payment is voided, not captured"),
        ("inventory", RESERVATIONS, {"status": "released"}, "reservation is released, not consumed"),
        (
            "inventory",
            RESERVATIONS,
            {"items": (Line(product_id="pen", quantity=1),)},
            "reservation has 1 × pen, the order 2 × pen",
        ),
        ("shipping", SHIPMENTS, {"status": "refused"}, "shipment is refused, not scheduled"),
    ],
    ids=["less money", "no money", "stock kept", "other lines", "no parcel"],
)
def test_a_row_that_somebody_changed_is_named_with_its_order(
    sagactl: Sagactl,
    shop: LiveShop,
    confirmed: str,
    store: str,
    table: Table,  # type: ignore[type-arg]
    change: dict[str, object],
    said: str,
) -> None:
    honest = shop.load(store, table, confirmed)
    shop.save(store, table, replace(honest, **change))
    answer = sagactl("audit")
    shop.save(store, table, honest)
    assert answer.code == 1
    assert f"  {confirmed} (confirmed): {said}" in answer.out
    assert "error: the books do not balance" in answer.err
    assert sagactl("audit").code == 0


def test_stock_that_somebody_took_is_named(sagactl: Sagactl, shop: LiveShop, confirmed: str) -> None:
    honest = shop.load("inventory", STOCK, "pen")
    shop.save("inventory", STOCK, replace(honest, on_hand=honest.on_hand - 1))
    answer = sagactl("audit")
    shop.save("inventory", STOCK, honest)
    assert answer.code == 1
    assert f"pen: {honest.on_hand - 1} on hand, but the ledger amounts to {honest.on_hand}" in answer.out


def test_stock_set_aside_for_nobody_is_named(sagactl: Sagactl, shop: LiveShop, confirmed: str) -> None:
    honest = shop.load("inventory", STOCK, "pen")
    shop.save("inventory", STOCK, replace(honest, reserved=1))
    answer = sagactl("audit")
    shop.save("inventory", STOCK, honest)
    assert answer.code == 1
    assert "pen: 1 reserved, but the reservations amount to 0; 1 reserved, but the ledger amounts to 0" in answer.out


def test_a_movement_that_no_order_asked_for_is_named(sagactl: Sagactl, shop: LiveShop, confirmed: str) -> None:
    now = SystemClock().now()
    entry = LedgerEntry("9-consume-nobody", Movement.CONSUME, "nobody", now, (("pen", -1, 0),))
    shop.save("inventory", LEDGER, entry)
    answer = sagactl("audit")
    shop.save("inventory", LEDGER, replace(entry, lines=(("pen", 0, 0),)))
    assert answer.code == 1
    assert "consumed by reservations, but the ledger says" in answer.out


def test_a_payment_that_nobody_ordered_is_named(sagactl: Sagactl, shop: LiveShop, confirmed: str) -> None:
    stray = replace(shop.load("payment", PAYMENTS, confirmed), order_id="order-nobody-placed")
    shop.save("payment", PAYMENTS, stray)
    answer = sagactl("audit", "-o", "json")
    assert answer.code == 1
    (finding,) = json.loads(answer.out)["withoutOrder"]
    assert finding["id"] == "order-nobody-placed"
