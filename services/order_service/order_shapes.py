"""What a client sees of an order: a row of a list from the read model, the whole of it folded from its facts."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from order_service.domain import OrderView, Status, status_of
from sagakit.core.definition import Saga
from sagakit.core.facts import AnyFact, SagaStarted, StepCompensated, StepFailed, StepStatus, StepSucceeded
from sagakit.core.messages import Mode
from sagakit.core.state import SagaState
from sagakit.runtime.http.routes import Shape
from shop_contracts import messages as m
from shop_contracts.money import to_major

S = TypeVar("S", bound=msgspec.Struct)


class OrderRow(Shape, frozen=True, kw_only=True):
    """An order in a list."""

    id: str
    saga_id: str
    user_id: str
    status: Status
    total: Decimal
    currency: str
    cancellation_reason: str | None
    correlation_id: str
    mode: Mode
    created_at: datetime
    ended_at: datetime | None
    version: int


class ListedOrder(OrderRow, frozen=True, kw_only=True):
    """An order in a list, with what was ordered."""

    items: list[m.Item]


class Orders(Shape, frozen=True, kw_only=True):
    """One page of orders, the newest first."""

    orders: list[ListedOrder]
    next_cursor: str | None
    as_of: datetime


class Payment(Shape, frozen=True, kw_only=True):
    """What became of the money."""

    status: Literal["captured", "declined", "barred", "refunded"]
    payment_id: str | None = None
    amount: Decimal | None = None
    transaction_id: str | None = None
    reason: str | None = None
    error_code: str | None = None
    refund_id: str | None = None
    refund_method: m.RefundMethod | None = None


class Reservation(Shape, frozen=True, kw_only=True):
    """What became of the stock."""

    status: Literal["reserved", "refused", "barred", "released", "consumed"]
    reservation_id: str | None = None
    items: list[m.Line] = msgspec.field(default_factory=list)
    reason: str | None = None


class Shipment(Shape, frozen=True, kw_only=True):
    """What became of the parcel."""

    status: Literal["scheduled", "refused", "barred"]
    shipment_id: str | None = None
    carrier: str | None = None
    tracking_number: str | None = None
    reason: str | None = None


class OrderDetail(OrderRow, frozen=True, kw_only=True):
    """An order and everything that is known of it. `version` counts its facts, `asOf` is when they were read."""

    items: list[m.Item]
    refund_policy: m.RefundMethod
    payment: Payment | None
    reservation: Reservation | None
    shipment: Shipment | None
    deadline: Annotated[datetime, Meta(description="When it is asked to abort, if its pivot has not succeeded.")]
    as_of: datetime


def row_of(order: OrderView) -> OrderRow:
    """Return the order as it stands in the read model."""
    return OrderRow(**_row(order))


def listed(order: OrderView, items: list[m.Item]) -> ListedOrder:
    """Return the order as an entry of a list."""
    return ListedOrder(**_row(order), items=items)


def _row(order: OrderView) -> dict[str, Any]:
    return {
        "id": order.order_id,
        "saga_id": order.order_id,
        "user_id": order.user_id,
        "status": order.status,
        "total": to_major(order.total_minor, order.currency),
        "currency": order.currency,
        "cancellation_reason": order.cancellation_reason,
        "correlation_id": order.correlation_id,
        "mode": order.mode,
        "created_at": order.created_at,
        "ended_at": order.ended_at,
        "version": order.version,
    }


def detail_of(saga: Saga, state: SagaState, facts: Sequence[AnyFact], as_of: datetime) -> OrderDetail:
    """Return the whole order, from its saga's facts and their fold, however its definition calls the steps."""
    steps = {step.command: step.name for step in saga.steps}
    started = facts[0]
    assert isinstance(started, SagaStarted), "the first fact of a saga is its start"
    order = _decode(started.input, m.OrderCreated)
    ended = state.phase.terminal
    return OrderDetail(
        id=state.saga_id,
        saga_id=state.saga_id,
        user_id=order.user_id,
        status=status_of(state.phase),
        total=order.total,
        currency=order.currency,
        items=order.items,
        refund_policy=order.refund_policy,
        payment=_payment(state, facts, steps["ChargePayment"]),
        reservation=_reservation(state, facts, steps["ReserveInventory"], steps["ConsumeReservation"]),
        shipment=_shipment(state, facts, steps["ScheduleShipment"]),
        cancellation_reason=state.reason if ended else None,
        correlation_id=state.correlation_id,
        mode=state.mode,
        created_at=started.at,
        deadline=started.deadline,
        ended_at=state.ended_at,
        version=state.version,
        as_of=as_of,
    )


def _payment(state: SagaState, facts: Sequence[AnyFact], step: str) -> Payment | None:
    known = state.step(step)
    done = _said(facts, step, StepSucceeded, m.PaymentCompleted)
    if done is not None:
        back = _said(facts, step, StepCompensated, m.PaymentRefunded)
        return Payment(
            status="captured" if back is None else "refunded",
            payment_id=done.payment_id,
            amount=done.amount,
            transaction_id=done.transaction_id,
            refund_id=back.refund_id if back else None,
            refund_method=back.method if back else None,
        )
    if not known.status.failed:
        return None
    return Payment(status=_refused(known.status, "declined"), reason=known.reason, error_code=known.code)


def _reservation(state: SagaState, facts: Sequence[AnyFact], step: str, last: str) -> Reservation | None:
    known = state.step(step)
    done = _said(facts, step, StepSucceeded, m.InventoryReserved)
    if done is not None:
        consumed = state.step(last).status is StepStatus.SUCCEEDED
        released = known.status is StepStatus.COMPENSATED
        status: Literal["consumed", "released", "reserved"] = (
            "consumed" if consumed else "released" if released else "reserved"
        )
        return Reservation(status=status, reservation_id=done.reservation_id, items=done.items)
    return Reservation(status=_refused(known.status, "refused"), reason=known.reason) if known.status.failed else None


def _shipment(state: SagaState, facts: Sequence[AnyFact], step: str) -> Shipment | None:
    known = state.step(step)
    done = _said(facts, step, StepSucceeded, m.ShipmentScheduled)
    if done is not None:
        return Shipment(
            status="scheduled",
            shipment_id=done.shipment_id,
            carrier=done.carrier,
            tracking_number=done.tracking_number,
        )
    return Shipment(status=_refused(known.status, "refused"), reason=known.reason) if known.status.failed else None


W = TypeVar("W", bound=str)


def _refused(status: StepStatus, word: W) -> W | Literal["barred"]:
    return "barred" if status is StepStatus.BARRED else word


def _said(
    facts: Sequence[AnyFact],
    step: str,
    kind: type[StepSucceeded] | type[StepFailed] | type[StepCompensated],
    data: type[S],
) -> S | None:
    """Return what the step's answer of this kind said; None when there is none, or a person answered in its place."""
    for fact in facts:
        if isinstance(fact, kind) and fact.step == step:
            try:
                return _decode(fact.data, data)
            except msgspec.ValidationError:
                return None
    return None


def _decode(data: msgspec.Raw, into: type[S]) -> S:
    return msgspec.json.decode(data, type=into)
