"""The messages of an order, from its facts: what was said, asked and answered, under the names of the wire."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from order_service.saga_shapes import details_of
from sagakit.core.definition import Saga
from sagakit.core.facts import (
    AbortAsked,
    AnyFact,
    SagaCompensated,
    SagaCompleted,
    SagaKilled,
    SagaResumed,
    SagaStarted,
    SagaSuspended,
    StepAsked,
    StepCompensated,
    StepFailed,
    StepStuck,
    StepSucceeded,
    VerbAsked,
)
from sagakit.core.part import ABORT, KILLED, REPAIRS, RESUMED, STUCK, SUSPENDED
from sagakit.runtime.http.routes import Shape


class OrderEvent(Shape, frozen=True, kw_only=True):
    """One message: its place among the order's facts, its type, and what it said."""

    version: int
    at: datetime
    type: str
    step: str | None = None
    data: dict[str, Any]


class OrderEvents(Shape, frozen=True, kw_only=True):
    """Everything that happened to an order, the oldest first."""

    order_id: str
    events: list[OrderEvent]


def events_of(saga: Saga, order_id: str, facts: Sequence[AnyFact]) -> OrderEvents:
    """Return the facts of an order as messages."""
    events = [
        OrderEvent(
            version=version,
            at=fact.at,
            type=type_of(saga, fact),
            step=getattr(fact, "step", None),
            data=_data(fact),
        )
        for version, fact in enumerate(facts, 1)
    ]
    return OrderEvents(order_id=order_id, events=events)


def type_of(saga: Saga, fact: AnyFact) -> str:
    """Return the type of the message that made the fact, or that it made."""
    match fact:
        case StepSucceeded() | StepFailed() | StepCompensated() | StepAsked():
            return _step_type(saga, fact)
        case VerbAsked():
            return next(name for name, verb in REPAIRS.items() if verb is fact.verb)
        case _:
            return _SAGA_TYPES[type(fact)](saga)


def _step_type(saga: Saga, fact: StepSucceeded | StepFailed | StepCompensated | StepAsked) -> str:
    step = saga.step(fact.step)
    match fact:
        case StepSucceeded():
            return step.success
        case StepFailed():
            return step.failure or ""
        case StepCompensated():
            return step.compensated or ""
        case StepAsked():
            return (step.compensation if fact.compensating else step.command) or ""


_SAGA_TYPES: Mapping[type[AnyFact], Callable[[Saga], str]] = {
    SagaStarted: lambda saga: saga.started,
    SagaCompleted: lambda saga: saga.completed,
    SagaCompensated: lambda saga: saga.cancelled,
    AbortAsked: lambda _: ABORT,
    SagaSuspended: lambda _: SUSPENDED,
    SagaResumed: lambda _: RESUMED,
    SagaKilled: lambda _: KILLED,
    StepStuck: lambda _: STUCK,
}


def _data(fact: AnyFact) -> dict[str, Any]:
    """Return what the message said; of one that is not kept whole, what is on record."""
    said = fact.input if isinstance(fact, SagaStarted) else getattr(fact, "data", None)
    return details_of(fact) if said is None else _decode(said)


_decode = msgspec.json.Decoder(dict[str, Any]).decode
