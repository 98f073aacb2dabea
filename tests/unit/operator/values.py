"""Resources and what is known of their sagas, as values for the specs of the operator's pure parts."""

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace
from tests.unit.operator.operators import KEY, manifest

from saga_operator.reconcile import Known, Presence, saga_id_of
from saga_operator.resources import FINALIZER, STARTED_AT, OrderSaga, Status, parse
from sagakit.core.facts import AbortAsked, AbortCode, Phase, StepStatus
from sagakit.core.messages import Mode
from sagakit.core.state import SagaState, StepState
from sagakit.testing.voice import T0
from shop_contracts.order_saga import ORDER_SAGA

SECOND = timedelta(seconds=1)
DEADLINE = T0 + 30 * SECOND
DONE = StepState(StepStatus.SUCCEEDED, answered_at=T0)
REFUSED = StepState(StepStatus.REFUSED, answered_at=T0, reason="the card was declined", code="CARD_DECLINED")
UNDONE = StepState(StepStatus.COMPENSATED, answered_at=T0, undone_at=T0)
STUCK = StepState(StepStatus.BEGUN, attempts=8, stuck="it does not work", stuck_at=T0)
ABORT = AbortAsked(at=DEADLINE, code=AbortCode.DEADLINE_PASSED, reason="the saga's deadline passed", requested_by="x")
STEPS: dict[Phase, dict[str, StepState]] = {
    Phase.PENDING: {},
    Phase.RUNNING: {"payment": DONE},
    Phase.COMPENSATING: {"payment": DONE, "inventory": REFUSED},
    Phase.NEEDS_INTERVENTION: {"payment": DONE, "inventory": STUCK},
    Phase.COMPLETED: {step.name: DONE for step in ORDER_SAGA.steps},
    Phase.COMPENSATED: {"payment": UNDONE, "inventory": REFUSED},
    Phase.KILLED: {"payment": DONE},
}
"""Where the steps stand in each phase of a story of the order saga."""


def resource(
    *,
    begun: bool = True,
    deleted: bool = False,
    generation: int = 1,
    status: Status | None = None,
    finalizer: bool | None = None,
    **spec: Any,  # noqa: ANN401 - whatever a spec has
) -> OrderSaga:
    """Return an OrderSaga as it is read: with its start written down and held, unless it is not begun."""
    body = manifest(**spec)
    adopts = "sagaRef" in spec
    held = finalizer if finalizer is not None else (begun or adopts) and spec.get("deletionPolicy") != "Orphan"
    body["metadata"] |= {
        "uid": "uid-1",
        "generation": generation,
        "resourceVersion": "7",
        "creationTimestamp": T0.isoformat(),
        "finalizers": [FINALIZER] if held else [],
        "annotations": {STARTED_AT: T0.isoformat()} if begun and not adopts else {},
    }
    if deleted:
        body["metadata"]["deletionTimestamp"] = T0.isoformat()
    return parse(body | {"status": status.to_body() if status else {}})


def known_of(its: OrderSaga, presence: Presence = Presence.PRESENT, **changes: Any) -> Known:  # noqa: ANN401
    """Return what is known when nothing more is."""
    return Known(saga_id_of(its), presence, **changes)


def state_in(phase: Phase, **changes: Any) -> SagaState:  # noqa: ANN401 - the attributes of a state
    """Return a saga in that phase."""
    state = SagaState(
        saga_id="saga-1",
        phase=phase,
        definition=ORDER_SAGA.ref,
        mode=Mode.CHOREOGRAPHY,
        correlation_id="saga-1",
        started_at=T0,
        deadline=DEADLINE,
        ended_at=T0 + 2 * SECOND if phase.terminal else None,
        steps=STEPS[phase],
        reason="CARD_DECLINED" if phase in (Phase.COMPENSATING, Phase.COMPENSATED) else None,
    )
    return replace(state, **changes)


def running(its: OrderSaga, phase: Phase, now: datetime = T0, **changes: Any) -> Known:  # noqa: ANN401
    """Return what is known of a saga in that phase, looked at right now."""
    return known_of(its, state=state_in(phase, **changes), definition=ORDER_SAGA, looked_at=now)


__all__ = ["ABORT", "DEADLINE", "DONE", "KEY", "SECOND", "T0", "known_of", "resource", "running", "state_in"]
