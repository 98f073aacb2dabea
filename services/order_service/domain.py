"""Orders: what a customer may order, and what her order is as the start of a saga. No IO."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from sagakit.core.contracts import encode_data
from sagakit.core.definition import Saga
from sagakit.core.facts import Phase, SagaStarted
from sagakit.core.messages import Mode
from shop_contracts.messages import Item, OrderCreated, RefundMethod
from shop_contracts.money import AMOUNT_MINOR_MAX, DEFAULT_CURRENCY, MoneyError, exponent, to_major, to_minor
from shop_contracts.order_saga import ORDER_SAGA

LINES_MAX = 100
QUANTITY_MAX = 1_000_000
TIMEOUT_SECONDS_MAX = 604_800
NAME = re.compile(r"[A-Za-z0-9._-]{1,50}", re.ASCII)
REF = r"^[A-Za-z0-9._-]{1,100}/[1-9][0-9]{0,8}$"
TEXT_LENGTH_MAX = 100
Text = Annotated[str, Meta(min_length=1, max_length=TEXT_LENGTH_MAX, description="Printable, no space around it.")]
Status = Literal["pending", "confirmed", "cancelled"]
TOTAL_MINOR_MAX = AMOUNT_MINOR_MAX
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DEFINITIONS_NAMED_MAX = 20


class InvalidOrderError(Exception):
    """The order breaks a rule. `field` is where (a JSON pointer), `rule` what; correct it and place it again."""

    def __init__(self, field: str, rule: str) -> None:
        """Say both in one line."""
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class UnknownDefinitionError(InvalidOrderError):
    """The definition is not known here, or not yet. Choose one that is, or make it known and try again."""

    def __init__(self, ref: str, known: Iterable[str]) -> None:
        """Say which are known, as many as a person reads."""
        names = sorted(known)
        more = ", …" if len(names) > DEFINITIONS_NAMED_MAX else ""
        named = ", ".join(names[:DEFINITIONS_NAMED_MAX])
        super().__init__("/definition", f"there is no definition {ref}; known: {named}{more}")
        self.ref = ref


class OrderLine(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One line as a customer states it; `price` is per piece, in major units."""

    product_id: Text
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]
    price: Annotated[Decimal, Meta(description="From 0, with no more decimals than the currency has.")]


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An order as a customer places it."""

    user_id: Text
    items: Annotated[list[OrderLine], Meta(min_length=1, max_length=LINES_MAX)]
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$", description="ISO 4217.")] = DEFAULT_CURRENCY
    mode: Mode = Mode.CHOREOGRAPHY
    timeout_seconds: Annotated[int, Meta(ge=1, le=TIMEOUT_SECONDS_MAX)] | None = None
    correlation_id: Annotated[str, Meta(pattern=f"^{NAME.pattern}$")] | None = None
    refund_policy: RefundMethod = RefundMethod.REFUND
    definition: Annotated[str, Meta(pattern=REF, description="Name and version; order/1 by default.")] | None = None
    deadline: Annotated[datetime, Meta(tz=True, description="Instead of `timeoutSeconds`: RFC 3339.")] | None = None

    @property
    def definition_ref(self) -> str:
        """The definition that the order is to follow."""
        return self.definition or ORDER_SAGA.ref


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


class Opening(msgspec.Struct, frozen=True):
    """An order that keeps every rule: the fact its saga begins with, and its row in the read model."""

    fact: SagaStarted
    row: OrderView


def fingerprint(request: OrderRequest) -> str:
    """Return what two requests share exactly when they order the same, by whatever way they came."""
    r = request
    ordered = (r.user_id, r.items, r.currency, r.mode, r.timeout_seconds, r.correlation_id, r.refund_policy)
    if r.definition_ref == ORDER_SAGA.ref and r.deadline is None:
        return _digest(ordered)
    deadline = in_utc(r.deadline) if r.deadline is not None else None
    return _digest((*ordered, r.definition_ref, deadline))


def in_utc(moment: datetime) -> datetime:
    """Return the same moment in UTC."""
    return moment.astimezone(UTC)


def _digest(said: object) -> str:
    return sha256(encode_data(said)).hexdigest()[:32]


def opening(saga: Saga, order_id: str, request: OrderRequest, at: datetime, traceparent: str | None = None) -> Opening:
    """Return how the order begins.

    Raises:
        InvalidOrderError: with the field and the rule it breaks.
    """
    total_minor = check(request, at)
    created = OrderCreated(
        order_id=order_id,
        user_id=request.user_id,
        items=[Item(product_id=i.product_id, quantity=i.quantity, price=i.price) for i in request.items],
        total=to_major(total_minor, request.currency),
        currency=request.currency,
        refund_policy=request.refund_policy,
    )
    correlation_id = request.correlation_id or order_id
    seconds = request.timeout_seconds or saga.timeout_seconds
    fact = SagaStarted(
        at=at,
        definition=saga.ref,
        mode=request.mode,
        correlation_id=correlation_id,
        deadline=in_utc(request.deadline) if request.deadline is not None else at + timedelta(seconds=seconds),
        input=encode_data(created),
        traceparent=traceparent,
    )
    row = OrderView(
        order_id=order_id,
        user_id=request.user_id,
        status="pending",
        total_minor=total_minor,
        currency=request.currency,
        created_at=at,
        mode=request.mode,
        correlation_id=correlation_id,
        fingerprint=fingerprint(request),
        version=1,
    )
    return Opening(fact, row)


def check(request: OrderRequest, at: datetime) -> int:
    """Hold the order against every rule, and return its total in minor units.

    That its deadline has passed is no broken rule: it may have been placed in time, and be placed again.

    Raises:
        InvalidOrderError: with the field and the rule it breaks.
    """
    _text("/userId", request.user_id)
    if not 1 <= len(request.items) <= LINES_MAX:
        raise InvalidOrderError("/items", f"an order has 1 to {LINES_MAX} lines, not {len(request.items)}")
    try:
        exponent(request.currency)
    except MoneyError as error:
        raise InvalidOrderError("/currency", str(error)) from error
    seconds = request.timeout_seconds
    if seconds is not None and not 1 <= seconds <= TIMEOUT_SECONDS_MAX:
        raise InvalidOrderError("/timeoutSeconds", f"from 1 to {TIMEOUT_SECONDS_MAX} seconds, not {seconds}")
    if request.deadline is not None:
        _check_deadline(request.deadline, seconds, at)
    if request.correlation_id is not None and not NAME.fullmatch(request.correlation_id):
        raise InvalidOrderError("/correlationId", "1 to 50 characters of A-Z a-z 0-9 . _ -")
    total_minor = sum(_line(number, line, request.currency) for number, line in enumerate(request.items))
    if total_minor > TOTAL_MINOR_MAX:
        raise InvalidOrderError("/items", f"the total of {to_major(total_minor, request.currency)} is beyond bounds")
    return total_minor


def status_of(phase: Phase) -> Status:
    """Return what a customer sees: pending until the saga is terminal, then confirmed or cancelled."""
    if not phase.terminal:
        return "pending"
    return "confirmed" if phase is Phase.COMPLETED else "cancelled"


STATUSES: Sequence[Status] = get_args(Status)


def _line(number: int, line: OrderLine, currency: str) -> int:
    """Return what the line costs, in minor units."""
    _text(f"/items/{number}/productId", line.product_id)
    if not 1 <= line.quantity <= QUANTITY_MAX:
        raise InvalidOrderError(f"/items/{number}/quantity", f"from 1 to {QUANTITY_MAX}, not {line.quantity}")
    try:
        price_minor = to_minor(line.price, currency)
    except MoneyError as error:
        raise InvalidOrderError(f"/items/{number}/price", str(error)) from error
    if price_minor < 0:
        raise InvalidOrderError(f"/items/{number}/price", f"must not be negative: {line.price}")
    return price_minor * line.quantity


def _check_deadline(deadline: datetime, timeout_seconds: int | None, at: datetime) -> None:
    if timeout_seconds is not None:
        raise InvalidOrderError("/deadline", "either a deadline or timeoutSeconds, not both")
    if deadline < EPOCH:
        raise InvalidOrderError("/deadline", f"{deadline.isoformat()} has passed")
    if deadline > at + timedelta(seconds=TIMEOUT_SECONDS_MAX):
        raise InvalidOrderError("/deadline", f"at most {TIMEOUT_SECONDS_MAX} seconds ahead, not {deadline.isoformat()}")


def _text(field: str, value: str) -> None:
    if not 1 <= len(value) <= TEXT_LENGTH_MAX or not value.isprintable() or value[0] == " " or value[-1] == " ":
        raise InvalidOrderError(field, f"1 to {TEXT_LENGTH_MAX} printable characters without space around them")
