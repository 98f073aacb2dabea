"""What must have been met somewhere in a run of many seeds: a rule that was never put to the test proves nothing."""

from collections import Counter
from collections.abc import Sequence

from onebox.simulation.books import Books
from sagakit.core.facts import (
    AbortAsked,
    AbortCode,
    AnyFact,
    Phase,
    SagaSuspended,
    StepCompensated,
    StepFailed,
    StepSucceeded,
    VerbAsked,
)
from sagakit.core.messages import Mode
from sagakit.core.state import SagaState
from sagakit.runtime.failpoints import NAMES

REQUIRED = (
    *(f"{phase} in {mode}" for phase in (Phase.COMPLETED, Phase.COMPENSATED, Phase.KILLED) for mode in Mode),
    "taken back",
    "timed out",
    "step timed out",
    "cancelled",
    "barred",
    "late success after abort",
    "pivot won against abort",
    "suspended",
    "fenced",
    "unknown outcome resolved",
    "retried",
    "stuck",
    "repaired by hand",
    "duplicate dropped",
    "parked and released",
    "garbage",
    "call_lands_late",
    "store_unavailable",
    "publish_fails_before",
    "publish_fails_after",
    "publish_in_part",
    "message_redelivered",
    "partition_late",
    "stall",
    "pause",
    "rival",
    *(f"crash {name}" for name in NAMES),
)


def events(books: Books) -> Counter[str]:
    """Return what can be told from the books afterwards."""
    seen = Counter[str]()
    for order_id, state in books.sagas.items():
        seen[f"{state.phase} in {state.mode}"] += 1
        seen.update(_in_facts(state, books.facts(order_id)))
    drafts = [(out.topic, out.key, out.headers) for out in books.world.published]
    seen["duplicate dropped"] = len(drafts) - len(set(drafts))
    return seen


def _in_facts(state: SagaState, facts: Sequence[AnyFact]) -> list[str]:
    kinds = {type(fact) for fact in facts}
    abort = next((place for place, fact in enumerate(facts) if isinstance(fact, AbortAsked)), len(facts))
    code = state.abort.code if state.abort is not None else None
    late = {fact.step for fact in facts[abort:] if isinstance(fact, StepSucceeded)}
    undone = {fact.step for fact in facts if isinstance(fact, StepCompensated)}
    found = {
        "taken back": bool(undone),
        "timed out": code is AbortCode.DEADLINE_PASSED,
        "step timed out": code is AbortCode.STEP_TIMED_OUT,
        "cancelled": code is AbortCode.CANCELLED and state.phase is Phase.COMPENSATED,
        "barred": any(isinstance(fact, StepFailed) and fact.barred for fact in facts),
        "late success after abort": bool(late & undone),
        "pivot won against abort": abort < len(facts) and state.phase is Phase.COMPLETED,
        "suspended": SagaSuspended in kinds,
        "repaired by hand": VerbAsked in kinds and state.phase is not Phase.KILLED,
    }
    return [name for name, holds in found.items() if holds]
