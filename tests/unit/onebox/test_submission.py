"""Orders are sent in batches that the order service accepts, each under a key of its own."""

from decimal import Decimal

from onebox.output import encode
from onebox.submission import BATCH_BYTES_MAX, batches, keyed, parse_item, parse_orders, repeated


def test_a_line_is_product_quantity_and_price() -> None:
    assert parse_item("prod-1:2:9.99") == {"productId": "prod-1", "quantity": 2, "price": Decimal("9.99")}
    assert parse_item("a:b:1:0")["productId"] == "a:b"


def test_prices_stay_exact() -> None:
    (order,) = parse_orders(b'{"price": 0.1000000000000000055}', "-")
    assert encode(order) == b'{"price":0.1000000000000000055}'


def test_a_batch_has_a_thousand_orders_at_most() -> None:
    assert [len(batch) for batch in batches([{"n": number} for number in range(2_500)])] == [1000, 1000, 500]


def test_a_batch_is_no_longer_than_the_service_takes() -> None:
    orders = [{"text": "x" * 100_000} for _ in range(100)]
    found = list(batches(orders))
    assert len(found) > 1
    assert sum(map(len, found)) == 100
    assert all(len(encode({"orders": batch})) <= BATCH_BYTES_MAX + 100 for batch in found)


def test_every_order_has_a_key_so_that_sending_it_again_is_safe() -> None:
    assert [order["idempotencyKey"] for order in repeated({"a": 1}, 2, "k")] == ["k-1", "k-2"]
    assert repeated({"a": 1}, 1, "k") == [{"a": 1, "idempotencyKey": "k"}]
    own, given = keyed([{"a": 1}, {"a": 2, "idempotencyKey": "mine"}], "k")
    assert (own["idempotencyKey"], given["idempotencyKey"]) == ("k-1", "mine")
