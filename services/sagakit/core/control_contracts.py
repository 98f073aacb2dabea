"""The contracts of the messages that the kit itself speaks."""

import msgspec

from sagakit.core.contracts import Contract
from sagakit.core.part import ABORT, KILLED, REPAIRS, RESUMED, STUCK, SUSPENDED, Abort, Repair

DEAD_LETTER = "DeadLetter"


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


class DeadLetterData(msgspec.Struct, frozen=True, rename="camel"):
    """What a dead letter says: why it is dead, where it came from, and the whole of it."""

    reason: str
    error: str
    topic: str
    partition: int
    offset: int
    key: str | None
    headers: dict[str, str]
    value: str


CONTROL_CONTRACTS = (
    Contract(ABORT, Abort),
    *(Contract(kind, Told) for kind in (SUSPENDED, RESUMED, KILLED)),
    *(Contract(kind, Repair) for kind in REPAIRS),
    Contract(STUCK, StuckData),
    Contract(DEAD_LETTER, DeadLetterData),
)
