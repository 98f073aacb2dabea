"""What the services answer, as sagactl reads it: only the fields it uses, and every unknown one ignored.

They are types of their own, not those of the services: sagactl speaks to services of another version too, and the audit
looks from outside.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Names in camelCase; what is not known here is ignored."""


class Problem(Answer, frozen=True, kw_only=True):
    """Problem details (RFC 9457), as every service answers errors."""

    title: str = ""
    status: int = 0
    detail: str | None = None
    field: str | None = None
    rule: str | None = None
    reasons: list[str] = []


class Line(Answer, frozen=True, kw_only=True):
    """So many of a product."""

    product_id: str
    quantity: int


class Order(Answer, frozen=True, kw_only=True):
    """An order in a list. `items` is None where the list does not tell them."""

    id: str
    status: str
    total: Decimal
    currency: str = "USD"
    user_id: str = ""
    mode: str = ""
    correlation_id: str = ""
    cancellation_reason: str | None = None
    created_at: datetime | None = None
    ended_at: datetime | None = None
    items: list[Line] | None = None


class OrderDetail(Order, frozen=True, kw_only=True):
    """An order with everything that is known of it; what became of its effects is passed on as the service tells it."""

    saga_id: str
    version: int = 0
    deadline: datetime | None = None
    payment: dict[str, Any] | None = None
    reservation: dict[str, Any] | None = None
    shipment: dict[str, Any] | None = None


class Refund(Answer, frozen=True, kw_only=True):
    """Money that went back."""

    amount: Decimal
    refund_id: str = ""
    method: str = ""
    by_hand: str | None = None


class Payment(Answer, frozen=True, kw_only=True):
    """The money of one order."""

    order_id: str
    status: str
    amount: Decimal
    currency: str = "USD"
    payment_id: str = ""
    transaction_id: str | None = None
    reason: str | None = None
    refunds: list[Refund] = []


class Reservation(Answer, frozen=True, kw_only=True):
    """What is set aside for one order."""

    order_id: str
    status: str
    items: list[Line] = []
    reservation_id: str = ""
    reason: str | None = None


class Shipment(Answer, frozen=True, kw_only=True):
    """The parcel of one order."""

    order_id: str
    status: str
    shipment_id: str = ""
    carrier: str | None = None
    tracking_number: str | None = None
    reason: str | None = None


class Stock(Answer, frozen=True, kw_only=True):
    """One product. `reserved` is a part of `on_hand`."""

    product_id: str
    on_hand: int
    reserved: int
    available: int = 0


class Movements(Answer, frozen=True, kw_only=True):
    """What the ledger of one product amounts to: the sum of its movements, and how much of it left by orders."""

    product_id: str
    on_hand: int = 0
    reserved: int = 0
    consumed: int = 0


class SagaLine(Answer, frozen=True, kw_only=True):
    """A saga in a list."""

    saga_id: str
    correlation_id: str
    definition: str
    mode: str
    phase: str
    suspended: bool = False
    reason: str | None = None
    started_at: datetime | None = None
    deadline: datetime | None = None
    ended_at: datetime | None = None
    version: int = 0

    @property
    def ended(self) -> bool:
        """True when nothing will happen any more."""
        return self.ended_at is not None


class Undoing(Answer, frozen=True, kw_only=True):
    """How the compensation of a step stands."""

    command: str
    attempts: int = 0
    asked_at: datetime | None = None
    done_at: datetime | None = None


class Step(Answer, frozen=True, kw_only=True):
    """How one step stands."""

    name: str
    participant: str
    kind: str
    command: str
    state: str
    in_doubt: bool = False
    attempts: int = 0
    asked_at: datetime | None = None
    answered_at: datetime | None = None
    reason: str | None = None
    code: str | None = None
    stuck: str | None = None
    by_hand: str | None = None
    compensation: Undoing | None = None


class WaitingFor(Answer, frozen=True, kw_only=True):
    """What a saga waits for, since when, until when, and which verbs help."""

    kind: str
    sentence: str
    steps: list[str] = []
    since: datetime | None = None
    until: datetime | None = None
    error: str | None = None
    verbs: list[str] = []


class Abort(Answer, frozen=True, kw_only=True):
    """That a saga was asked to stop."""

    at: datetime
    code: str
    reason: str
    requested_by: str


class Saga(SagaLine, frozen=True, kw_only=True):
    """A saga, whole."""

    steps: list[Step]
    abort: Abort | None = None
    cancel_refused: bool = False
    waiting_for: WaitingFor | None = None
    traceparent: str | None = None
    as_of: datetime


class Entry(Answer, frozen=True, kw_only=True):
    """One fact of a saga's history."""

    version: int
    at: datetime
    fact: str
    step: str | None = None
    details: dict[str, Any] = {}


class Event(Answer, frozen=True, kw_only=True):
    """One message of an order."""

    version: int
    at: datetime
    type: str
    step: str | None = None
    data: dict[str, Any] = {}


class Events(Answer, frozen=True, kw_only=True):
    """Every message of an order."""

    order_id: str
    events: list[Event]


class Difference(Answer, frozen=True, kw_only=True):
    """One field of which facts and store say different things."""

    record: str
    field: str
    rebuilt: Any = None
    stored: Any = None


class Replay(Answer, frozen=True, kw_only=True):
    """Whether what is stored of an order is what its facts amount to."""

    order_id: str
    facts: int
    equal: bool
    differences: list[Difference] = []


class VerbDone(Answer, frozen=True, kw_only=True):
    """What a verb did. Without `effect` the saga was already as it should be."""

    saga_id: str
    verb: str
    effect: bool
    phase: str
    version: int
    sentence: str


class DefinitionAnswer(Answer, frozen=True, kw_only=True):
    """A saga definition, as data."""

    ref: str
    definition: dict[str, Any]


class Placed(Answer, frozen=True, kw_only=True):
    """What became of one order of a batch: 201 placed, 200 placed before, or the problem with it."""

    index: int
    status: int
    order: Order | None = None
    problem: Problem | None = None


class PlacedMany(Answer, frozen=True, kw_only=True):
    """What became of each order of a batch."""

    results: list[Placed]


class BatchJob(Answer, frozen=True, kw_only=True):
    """One verb over many sagas. `filter` is passed on as the service tells it."""

    batch_id: str
    verb: str
    reason: str
    actor: str
    state: str
    rate_per_second: int
    total: int
    done: int
    without_effect: int = 0
    failed: int
    created_at: datetime
    ended_at: datetime | None = None
    step: str | None = None
    filter: dict[str, Any] = {}


class BatchFailure(Answer, frozen=True, kw_only=True):
    """A saga to which a batch's verb could not be done, and why."""

    saga_id: str
    reason: str


class BatchJobDetail(BatchJob, frozen=True, kw_only=True):
    """A batch job with its first failures."""

    failures: list[BatchFailure] = []
    next_failures_after: int | None = None


class DryRun(Answer, frozen=True, kw_only=True):
    """How many sagas a batch would be for, and some of them."""

    verb: str
    total: int
    sample: list[str] = []


class Movement(Answer, frozen=True, kw_only=True):
    """By how much one product moved."""

    product_id: str
    on_hand: int = 0
    reserved: int = 0


class LedgerEntry(Answer, frozen=True, kw_only=True):
    """One movement of stock: by how much each product moved."""

    movement: str
    lines: list[Movement] = []
