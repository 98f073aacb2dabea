"""An order as a person writes it, and what a schema cannot say of it."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from saga_operator.resources.shape import LINES_MAX, QUANTITY_MAX, MalformedError, Shape, Text, listed, whole
from saga_operator.resources.words import RefundPolicy
from shop_contracts.money import AMOUNT_MINOR_MAX, DEFAULT_CURRENCY, MoneyError, to_major, to_minor

_DECIMAL = whole(r"[0-9]{1,15}(\.[0-9]{1,4})?")


class OrderLine(Shape, frozen=True, kw_only=True):
    """One line of an order."""

    product_id: Annotated[Text, Meta(description="The product, 1 to 100 printable characters. For example: prod-1")]
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX, description="How many pieces. For example: 2")]
    price: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=20,
            pattern=_DECIMAL,
            description="The price of one piece in major units, a decimal in quotes, with no more decimals than the "
            'currency has. For example: "19.99"',
        ),
    ]


class Order(Shape, frozen=True, kw_only=True):
    """An order to place."""

    user_id: Annotated[Text, Meta(description="Who orders, 1 to 100 printable characters. For example: user-1")]
    items: Annotated[
        tuple[OrderLine, ...],
        Meta(
            min_length=1, max_length=LINES_MAX, description="The lines, 1 to 100.", extra_json_schema=listed("atomic")
        ),
    ]
    currency: Annotated[
        str, Meta(min_length=3, max_length=3, pattern=whole("[A-Z]{3}"), description="ISO 4217. For example: EUR")
    ] = DEFAULT_CURRENCY
    refund_policy: Annotated[
        RefundPolicy, Meta(description="How money goes back when the order is compensated: Refund or StoreCredit.")
    ] = RefundPolicy.REFUND


def check_order(order: Order) -> None:
    """Check what a schema cannot say: printable texts, a currency that exists, and its number of decimals."""
    _check_text(order.user_id, "spec.order.userId")
    total_minor = 0
    for number, line in enumerate(order.items):
        place = f"spec.order.items[{number}]"
        _check_text(line.product_id, f"{place}.productId")
        try:
            total_minor += to_minor(Decimal(line.price), order.currency) * line.quantity
        except MoneyError as error:
            raise MalformedError(f"{place}.price: {error}") from error
    if total_minor > AMOUNT_MINOR_MAX:
        raise MalformedError(f"spec.order.items: the total of {to_major(total_minor, order.currency)} is beyond bounds")


def _check_text(text: str, place: str) -> None:
    if not text.isprintable():
        raise MalformedError(f"{place}: {text!r} has characters that cannot be printed")
