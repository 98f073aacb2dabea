"""Orders from flags or a file, as the order service takes them, in batches that it accepts. No IO."""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from onebox.errors import BadInput
from onebox.output import encode

BATCH_ORDERS_MAX = 1000
BATCH_BYTES_MAX = 4 * 1024 * 1024 - 1024
ITEM = re.compile(r"(?P<product>.+?):(?P<quantity>[0-9]+):(?P<price>[0-9.]+)")

OrderBody = dict[str, Any]


def parse_item(text: str) -> dict[str, Any]:
    """Return one line of an order, from product:quantity:price.

    Raises:
        BadInput: when the text is no such thing.
    """
    found = ITEM.fullmatch(text)
    try:
        if found is not None:
            price = Decimal(found["price"])
            return {"productId": found["product"], "quantity": int(found["quantity"]), "price": price}
    except InvalidOperation:
        pass
    raise BadInput(f"--item {text!r} is not product:quantity:price", "for example --item prod-1:2:9.99")


def parse_orders(text: bytes, name: str) -> list[OrderBody]:
    """Return the orders of a file: one object, a list, `{"orders": […]}`, or an object a line.

    Raises:
        BadInput: when it is none of these.
    """
    try:
        found = _decode(text)
    except msgspec.DecodeError as error:
        found = _lines(text, name, str(error))
    if isinstance(found, dict) and isinstance(found.get("orders"), list):
        found = found["orders"]
    orders = found if isinstance(found, list) else [found]
    for number, order in enumerate(orders, 1):
        if not isinstance(order, dict):
            raise BadInput(f"{name}: order {number} is not a JSON object", "an order has userId and items")
    if not orders:
        raise BadInput(f"{name} has no orders in it", "an order has userId and items")
    return orders


def repeated(order: OrderBody, count: int, key: str) -> list[OrderBody]:
    """Return the order so many times, each under a key of its own."""
    return [{**order, "idempotencyKey": key if count == 1 else f"{key}-{number}"} for number in range(1, count + 1)]


def keyed(orders: Sequence[OrderBody], key: str) -> list[OrderBody]:
    """Return the orders, those without a key under one of their own, so that sending them again is safe."""
    return [{"idempotencyKey": f"{key}-{number}", **order} for number, order in enumerate(orders, 1)]


def batches(orders: Sequence[OrderBody]) -> Iterator[list[OrderBody]]:
    """Yield the orders in batches that the order service accepts."""
    batch: list[OrderBody] = []
    size = 0
    for order in orders:
        length = len(encode(order)) + 1
        if batch and (len(batch) == BATCH_ORDERS_MAX or size + length > BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(order)
        size += length
    if batch:
        yield batch


def _lines(text: bytes, name: str, why: str) -> list[Any]:
    try:
        return [_decode(line) for line in text.splitlines() if line.strip()]
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadInput(f"{name} is not JSON: {why}", "give one order, a list of orders, or one order a line") from None


def _decode(text: bytes) -> Any:  # noqa: ANN401 - any JSON; numbers stay exact
    return msgspec.json.Decoder(float_hook=Decimal).decode(text)
