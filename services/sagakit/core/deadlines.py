"""Absolute moments at which a saga is asked to abort; nothing here knows what time it is."""

from datetime import datetime, timedelta

from sagakit.core.definition import Saga
from sagakit.core.facts import AbortCode, StepStatus
from sagakit.core.state import SagaState, pivot_succeeded


def due_at(saga: Saga, state: SagaState) -> datetime | None:
    """Return when the saga is to be asked to abort next: its deadline or the time limit of a step, whichever is first.

    None when it cannot abort any more: it was asked before, has ended, or its pivot has won.
    """
    if state.abort is not None or state.deadline is None or state.ended_at is not None or pivot_succeeded(saga, state):
        return None
    if not saga.limits_steps:
        return state.deadline
    return min([state.deadline, *(moment for _, moment in _step_limits(saga, state))])


def due_now(saga: Saga, state: SagaState, now: datetime) -> tuple[AbortCode, str] | None:
    """Return why the saga is to be asked to abort now, if it is."""
    due = due_at(saga, state)
    if due is None or now < due or state.deadline is None:
        return None
    for name, moment in _step_limits(saga, state):
        if moment <= now and moment < state.deadline:
            return AbortCode.STEP_TIMED_OUT, f"step {name} did not answer within its time limit"
    return AbortCode.DEADLINE_PASSED, "the saga's deadline passed"


def _step_limits(saga: Saga, state: SagaState) -> list[tuple[str, datetime]]:
    """Return the time limits that run now. A step's time begins when the stage before it has wholly succeeded."""
    began: datetime | None = state.started_at
    for stage in saga.stages:
        steps = [(step, state.step(step.name)) for step in stage]
        if began is not None and not all(known.status is StepStatus.SUCCEEDED for _, known in steps):
            return [
                (step.name, began + timedelta(seconds=step.timeout_seconds))
                for step, known in steps
                if step.timeout_seconds is not None and known.answered_at is None
            ]
        answers = [known.answered_at for _, known in steps if known.answered_at is not None]
        began = max(answers, default=began)
    return []
