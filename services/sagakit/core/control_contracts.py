"""The contracts of the messages that the kit itself speaks."""

from datetime import datetime

import msgspec

from sagakit.core.contracts import Contract
from sagakit.core.definition_data import DefinitionData
from sagakit.core.part import ABORT, KILLED, REPAIRS, RESUMED, STUCK, SUSPENDED, Abort, Repair

DEAD_LETTER = "DeadLetter"
SAGA_DEFINED = "SagaDefined"
LETTER_REDRIVEN, LETTER_DISCARDED = "DeadLetterRedriven", "DeadLetterDiscarded"


class Told(msgspec.Struct, frozen=True, rename="camel"):
    """What SagaSuspended, SagaResumed and SagaKilled say."""

    saga_id: str
    reason: str
    requested_by: str


class StuckData(msgspec.Struct, frozen=True, rename="camel"):
    """What StepStuck says."""

    saga_id: str
    step: str
    compensating: bool
    attempts: int
    error: str


class DeadLetterData(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a dead letter says: why it is dead, where it came from, and the whole of it.

    `value` and `headers` are for people, and are all there is where they tell the bytes; where they do not, the bytes
    are beside them. A record larger than any that can be handled is not kept whole, but `cut`.
    """

    reason: str
    error: str
    topic: str
    partition: int
    offset: int
    key: str | None
    headers: dict[str, str]
    value: str
    value_base64: str | None = None
    headers_base64: str | None = None
    cut: bool = False


class LetterDecision(msgspec.Struct, frozen=True, rename="camel"):
    """What DeadLetterRedriven and DeadLetterDiscarded say: of which burial, by whom and why; when, the envelope says.

    A parked message that is redriven and waits in vain once more is buried again under the same letter id.
    """

    letter_id: str
    buried_at: datetime
    actor: str
    reason: str


LETTER_CONTRACTS = tuple(Contract(kind, LetterDecision) for kind in (LETTER_REDRIVEN, LETTER_DISCARDED))
"""What people decide about dead letters; it stands on the same topic, and no service listens to it."""
CONTROL_CONTRACTS = (
    Contract(ABORT, Abort),
    *(Contract(kind, Told) for kind in (SUSPENDED, RESUMED, KILLED)),
    *(Contract(kind, Repair) for kind in REPAIRS),
    Contract(STUCK, StuckData),
    Contract(SAGA_DEFINED, DefinitionData),
    Contract(DEAD_LETTER, DeadLetterData),
    *LETTER_CONTRACTS,
)
