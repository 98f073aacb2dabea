"""Sagas at chosen moments, in the very shape in which the order service answers them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from onebox.answers import Entry, Saga
from order_service.saga_shapes import history_of, saga_detail
from sagakit.core import definition
from sagakit.core.facts import (
    AbortAsked,
    AbortCode,
    AnyFact,
    SagaCompensated,
    SagaCompleted,
    SagaResumed,
    SagaStarted,
    SagaSuspended,
    StepAsked,
    StepCompensated,
    StepFailed,
    StepStuck,
    StepSucceeded,
    Verb,
    VerbAsked,
)
from sagakit.core.messages import Mode
from sagakit.core.state import fold
from sagakit.runtime.http.routes import encode
from shop_contracts.order_saga import ORDER_SAGA

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(milliseconds: int) -> datetime:
    return NOON + timedelta(milliseconds=milliseconds)


def told(
    facts: Sequence[AnyFact], now: datetime, saga: definition.Saga = ORDER_SAGA, mode: Mode = Mode.CHOREOGRAPHY
) -> tuple[Saga, list[Entry]]:
    """Return the saga and its history as sagactl reads them, after these facts and its start at noon."""
    start = SagaStarted(at=NOON, definition=saga.ref, mode=mode, correlation_id="order-7", deadline=at(30_000))
    every = [start, *facts]
    detail = saga_detail(saga, fold(saga, "order-7", every), now)
    history = history_of(list(enumerate(every, 1)))
    return msgspec.json.decode(encode(detail), type=Saga), msgspec.json.decode(encode(history), type=list[Entry])


CONFIRMED = (
    StepSucceeded(at=at(120), step="payment"),
    StepSucceeded(at=at(180), step="inventory"),
    StepSucceeded(at=at(300), step="shipping"),
    StepSucceeded(at=at(360), step="stock"),
    SagaCompleted(at=at(361)),
)
OUT_OF_STOCK = (
    StepSucceeded(at=at(120), step="payment"),
    StepFailed(at=at(180), step="inventory", reason="OUT_OF_STOCK"),
    StepCompensated(at=at(260), step="payment"),
    SagaCompensated(at=at(261), reason="OUT_OF_STOCK"),
)
ASKED_OUT_OF_STOCK = (
    StepAsked(at=at(5), step="payment"),
    StepSucceeded(at=at(120), step="payment"),
    StepAsked(at=at(125), step="inventory"),
    StepFailed(at=at(180), step="inventory", reason="OUT_OF_STOCK"),
    StepAsked(at=at(190), step="payment", compensating=True),
    StepCompensated(at=at(260), step="payment"),
    SagaCompensated(at=at(261), reason="OUT_OF_STOCK"),
)
WAITING = (StepSucceeded(at=at(120), step="payment"),)
STUCK = (
    StepSucceeded(at=at(120), step="payment"),
    StepFailed(at=at(180), step="inventory", reason="OUT_OF_STOCK"),
    StepStuck(at=at(9_000), step="payment", compensating=True, attempts=8, error="the provider did not answer"),
)
REPAIRED = (
    *STUCK,
    VerbAsked(at=at(60_000), verb=Verb.RETRY, step="payment", actor="ada", reason="the provider is back", attempt=1),
    StepCompensated(at=at(60_500), step="payment"),
    SagaCompensated(at=at(60_501), reason="OUT_OF_STOCK"),
)
TOO_LATE = (
    StepSucceeded(at=at(120), step="payment"),
    SagaSuspended(at=at(150), actor="ada", reason="stocktaking"),
    SagaResumed(at=at(20_000), actor="ada", reason="counted"),
    AbortAsked(
        at=at(30_010), code=AbortCode.DEADLINE_PASSED, reason="the saga's deadline passed", requested_by="order"
    ),
    StepFailed(at=at(30_050), step="inventory", reason="DEADLINE_PASSED", code=AbortCode.DEADLINE_PASSED, barred=True),
    StepCompensated(at=at(30_150), step="payment"),
    SagaCompensated(at=at(30_151), reason="DEADLINE_PASSED"),
)
