"""The largest status that the operator may write: every field given, every text too long."""

from datetime import UTC, datetime

from saga_operator.resources import (
    Compensation,
    Condition,
    History,
    SagaMode,
    Status,
    StepState,
    StepStatus,
    Transition,
    Truth,
)
from sagakit.core.facts import Phase

NOW = datetime(2026, 11, 26, 10, 0, 0, 123456, tzinfo=UTC)
CONDITIONS = ("Succeeded", "Finished", "Compensated", "TimedOut", "Validated", "Reconciling", "Stalled")
TEXTS = {
    "letters": "no " * 5_000,
    "four bytes each": "\U0001f4e6" * 5_000,
    "escaped in JSON": '"\\' * 5_000,
    "escaped by the API server": "<&>" * 5_000,
    "control characters": "\x00\x1b\n\t" * 5_000 + "end",
}


def largest_status(text: str, steps: int = 10) -> Status:
    return Status(
        observed_generation=2**53 - 1,
        phase=Phase.NEEDS_INTERVENTION,
        reason="R" * 500,
        message=text,
        step=text,
        saga_id="s" * 50,
        correlation_id="c" * 50,
        trace_id="f" * 32,
        definition=f"{'d' * 50}/{2**31 - 1}",
        mode=SagaMode.ORCHESTRATION,
        start_time=NOW,
        deadline=NOW,
        completion_time=NOW,
        suspended=True,
        cancel_refused=True,
        retries=100,
        observed_retry_token="t" * 63,
        history=History(service="order", path=f"/sagas/{'s' * 50}/history"),
        steps=tuple(_step(number, text) for number in range(steps)),
        conditions=tuple(
            Condition(
                type=name,
                status=Truth.UNKNOWN,
                reason="R" * 500,
                message=text,
                last_transition_time=NOW,
                observed_generation=2**53 - 1,
            )
            for name in CONDITIONS
        ),
        transitions=tuple(
            Transition(time=NOW, phase=Phase.NEEDS_INTERVENTION, reason=f"{'R' * 70}{number}") for number in range(40)
        ),
    )


def _step(number: int, text: str) -> StepStatus:
    return StepStatus(
        name=f"{'n' * 48}{number:02}",
        participant="p" * 50,
        state=StepState.COMPENSATING,
        attempts=2**31 - 1,
        start_time=NOW,
        completion_time=NOW,
        reason="R" * 500,
        message=text,
        stuck=True,
        compensation=Compensation(command="c" * 100, attempts=2**31 - 1, start_time=NOW, completion_time=NOW),
    )
