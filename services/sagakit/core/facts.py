"""What is on record of a saga: facts, appended and never changed, and the state that is their fold.

The fact log is the truth. A fact has a tag and a version of its own meaning (`FACTS_VERSION`); a golden file fails when
that meaning changes.
"""

import enum
from datetime import datetime

import msgspec

from sagakit.core.messages import EMPTY, Mode

FACTS_VERSION = 1


class Phase(enum.StrEnum):
    """Where a saga stands as a whole. Derived from its facts, never set."""

    PENDING = "Pending"
    RUNNING = "Running"
    COMPENSATING = "Compensating"
    NEEDS_INTERVENTION = "NeedsIntervention"
    COMPLETED = "Completed"
    COMPENSATED = "Compensated"
    KILLED = "Killed"

    @property
    def terminal(self) -> bool:
        """True when nothing will happen any more."""
        return self in TERMINAL


TERMINAL = frozenset({Phase.COMPLETED, Phase.COMPENSATED, Phase.KILLED})


class StepStatus(enum.StrEnum):
    """Where one step stands. `BEGUN` is in doubt: asked, no answer yet, so it may have happened."""

    IDLE = "idle"
    BEGUN = "begun"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    BARRED = "barred"
    UNDOING = "compensating"
    COMPENSATED = "compensated"

    @property
    def failed(self) -> bool:
        """True when the step will not act in this saga."""
        return self in (StepStatus.REFUSED, StepStatus.BARRED)

    @property
    def settled(self) -> bool:
        """True when nothing of the step remains to be taken back."""
        return self in (StepStatus.REFUSED, StepStatus.BARRED, StepStatus.COMPENSATED)

    @property
    def happened(self) -> bool:
        """True when the step succeeded once, whatever came after."""
        return self in (StepStatus.SUCCEEDED, StepStatus.UNDOING, StepStatus.COMPENSATED)


class AbortCode(enum.StrEnum):
    """Why a saga was asked to abort; also the reason in the failure event of a step that bars itself."""

    DEADLINE_PASSED = "DEADLINE_PASSED"
    STEP_TIMED_OUT = "STEP_TIMED_OUT"
    CANCELLED = "CANCELLED"


class Verb(enum.StrEnum):
    """What a person may ask of a saga."""

    RETRY = "retry"
    SKIP = "skip"
    MARK_DONE = "mark-done"
    CANCEL = "cancel"
    KILL = "kill"
    SUSPEND = "suspend"
    RESUME = "resume"


class ByHand(msgspec.Struct, frozen=True, kw_only=True):
    """Who decided instead of the participant, and why."""

    verb: Verb
    actor: str
    reason: str


class Fact(msgspec.Struct, frozen=True, kw_only=True, tag_field="fact", omit_defaults=True):
    """Something that happened to a saga, and when."""

    at: datetime


class SagaStarted(Fact, frozen=True, kw_only=True):
    """The saga began with this input (the data of its started event)."""

    definition: str
    mode: Mode
    correlation_id: str
    deadline: datetime
    input: msgspec.Raw = EMPTY
    traceparent: str | None = None


class StepAsked(Fact, frozen=True, kw_only=True):
    """The orchestrator sent the step's command, or that of its compensation."""

    step: str
    compensating: bool = False
    attempt: int = 0


class StepSucceeded(Fact, frozen=True, kw_only=True):
    """The step took effect."""

    step: str
    data: msgspec.Raw = EMPTY
    by_hand: ByHand | None = None


class StepFailed(Fact, frozen=True, kw_only=True):
    """The step refused for a reason of its business, or was barred and will not act any more."""

    step: str
    reason: str
    code: str | None = None
    barred: bool = False
    data: msgspec.Raw = EMPTY


class StepCompensated(Fact, frozen=True, kw_only=True):
    """What the step did is taken back, or never happened and is barred."""

    step: str
    data: msgspec.Raw = EMPTY
    by_hand: ByHand | None = None


class StepStuck(Fact, frozen=True, kw_only=True):
    """The participant gave up trying; a person must decide."""

    step: str
    compensating: bool
    attempts: int
    error: str


class AbortAsked(Fact, frozen=True, kw_only=True):
    """Every participant was asked to stop; who has not acted yet will not."""

    code: AbortCode
    reason: str
    requested_by: str


class VerbAsked(Fact, frozen=True, kw_only=True):
    """A person asked the step's participant to retry, skip, or take as done."""

    verb: Verb
    step: str
    actor: str
    reason: str
    attempt: int = 0


class SagaSuspended(Fact, frozen=True, kw_only=True):
    """Forward steps that have not begun are held."""

    actor: str
    reason: str


class SagaResumed(Fact, frozen=True, kw_only=True):
    """Forward steps go on."""

    actor: str
    reason: str


class SagaCompleted(Fact, frozen=True, kw_only=True):
    """Every step succeeded."""


class SagaCompensated(Fact, frozen=True, kw_only=True):
    """Everything that happened was taken back, or nothing had happened."""

    reason: str


class SagaKilled(Fact, frozen=True, kw_only=True):
    """A person ended the saga and left everything as it was."""

    actor: str
    reason: str


AnyFact = (
    SagaStarted
    | StepAsked
    | StepSucceeded
    | StepFailed
    | StepCompensated
    | StepStuck
    | AbortAsked
    | VerbAsked
    | SagaSuspended
    | SagaResumed
    | SagaCompleted
    | SagaCompensated
    | SagaKilled
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyFact] = msgspec.json.Decoder(AnyFact)


def encode_fact(fact: AnyFact) -> msgspec.Raw:
    """Return the fact as it is stored."""
    return msgspec.Raw(_encoder.encode(fact))


def decode_fact(body: msgspec.Raw) -> AnyFact:
    """Return the stored fact.

    Raises:
        msgspec.ValidationError: when the fact is of a later version than this code.
    """
    return _decoder.decode(body)
