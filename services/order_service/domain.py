"""Orders: what a customer may order, and what her order is as the start of a saga. No IO."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256

import msgspec

from sagakit.core.contracts import encode_data
from sagakit.core.definition import Saga
from sagakit.core.facts import Phase, SagaStarted
from sagakit.core.messages import Mode, name_based_id
from shop_contracts.messages import Item, OrderCreated, RefundMethod
from shop_contracts.money import DEFAULT_CURRENCY, MoneyError, to_major, to_minor

LINES_MAX = 100
QUANTITY_MAX = 1_000_000
TIMEOUT_SECONDS_MAX = 604_800
NAME = re.compile(r"[A-Za-z0-9._-]{1,50}", re.ASCII)
TEXT_LENGTH_MAX = 100


@dataclass(frozen=True, slots=True)
class InvalidOrderError(Exception):
    """The order breaks a rule. `field` is where (a JSON pointer), `rule` what; correct it and place it again."""

    field: str
    rule: str

    def __str__(self) -> str:
        """Say both in one line."""
        return f"{self.field}: {self.rule}"


class OrderLine(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One line as a customer states it; `price` is per piece, in major units."""

    product_id: str
    quantity: int
    price: Decimal


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An order as a customer places it."""

    user_id: str
    items: list[OrderLine]
    currency: str = DEFAULT_CURRENCY
    mode: Mode = Mode.CHOREOGRAPHY
    timeout_seconds: int | None = None
    correlation_id: str | None = None
    refund_policy: RefundMethod = RefundMethod.REFUND


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order in the read model: what lists are made of. Projected from the saga's facts."""

    order_id: str
    user_id: str
    status: str
    total_minor: int
    currency: str
    created_at: datetime
    mode: Mode
    correlation_id: str
    fingerprint: str
    version: int
    cancellation_reason: str | None = None
    ended_at: datetime | None = None


def fingerprint(request: OrderRequest) -> str:
    """Return what two requests share exactly when they order the same."""
    return sha256(encode_data(request)).hexdigest()[:32]


def keyed_order_id(user_id: str, key: str) -> str:
    """Return the id of the order that this user places under this idempotency key."""
    return name_based_id("order", user_id, key)


def created(order_id: str, request: OrderRequest) -> OrderCreated:
    """Return the order as its first event says it.

    Raises:
        InvalidOrderError: with the field and the rule it breaks.
    """
    check(request)
    total_minor = 0
    for number, line in enumerate(request.items):
        try:
            total_minor += to_minor(line.price, request.currency) * line.quantity
            to_major(total_minor, request.currency)
        except MoneyError as error:
            raise InvalidOrderError(f"/items/{number}/price", str(error)) from error
    return OrderCreated(
        order_id=order_id,
        user_id=request.user_id,
        items=[Item(product_id=i.product_id, quantity=i.quantity, price=i.price) for i in request.items],
        total=to_major(total_minor, request.currency),
        currency=request.currency,
        refund_policy=request.refund_policy,
    )


def check(request: OrderRequest) -> None:
    """Hold the order against every rule that does not need its prices."""
    _text("/userId", request.user_id)
    if not 1 <= len(request.items) <= LINES_MAX:
        raise InvalidOrderError("/items", f"an order has 1 to {LINES_MAX} lines, not {len(request.items)}")
    _currency(request.currency)
    for number, line in enumerate(request.items):
        _text(f"/items/{number}/productId", line.product_id)
        if not 1 <= line.quantity <= QUANTITY_MAX:
            raise InvalidOrderError(f"/items/{number}/quantity", f"from 1 to {QUANTITY_MAX}, not {line.quantity}")
        if line.price < 0:
            raise InvalidOrderError(f"/items/{number}/price", f"must not be negative: {line.price}")
    if request.timeout_seconds is not None and not 1 <= request.timeout_seconds <= TIMEOUT_SECONDS_MAX:
        raise InvalidOrderError(
            "/timeoutSeconds", f"from 1 to {TIMEOUT_SECONDS_MAX} seconds, not {request.timeout_seconds}"
        )
    if request.correlation_id is not None and not NAME.fullmatch(request.correlation_id):
        raise InvalidOrderError("/correlationId", "1 to 50 characters of A-Z a-z 0-9 . _ -")


def started(saga: Saga, order_id: str, request: OrderRequest, at: datetime, traceparent: str | None) -> SagaStarted:
    """Return the fact with which the order's saga begins.

    Raises:
        InvalidOrderError: with the field and the rule it breaks.
    """
    seconds = request.timeout_seconds or saga.timeout_seconds
    return SagaStarted(
        at=at,
        definition=saga.ref,
        mode=request.mode,
        correlation_id=request.correlation_id or order_id,
        deadline=at + timedelta(seconds=seconds),
        input=encode_data(created(order_id, request)),
        traceparent=traceparent,
    )


def status_of(phase: Phase) -> str:
    """Return what a customer sees: pending until the saga is terminal, then confirmed or cancelled."""
    if not phase.terminal:
        return "pending"
    return "confirmed" if phase is Phase.COMPLETED else "cancelled"


STATUSES: Sequence[str] = ("pending", "confirmed", "cancelled")


def _text(field: str, value: str) -> None:
    if not 1 <= len(value) <= TEXT_LENGTH_MAX or not value.isprintable() or value != value.strip():
        raise InvalidOrderError(field, f"1 to {TEXT_LENGTH_MAX} printable characters without space around them")


def _currency(currency: str) -> None:
    try:
        to_minor(Decimal(0), currency)
    except MoneyError as error:
        raise InvalidOrderError("/currency", str(error)) from error
