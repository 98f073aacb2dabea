"""What a participant does for each command: local actions inside the transaction, outside ones around it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from sagakit.core.contracts import encode_data
from sagakit.core.facts import AbortCode, ByHand
from sagakit.core.messages import name_based_id
from sagakit.core.part import Declined, Succeeded
from sagakit.ports import Transaction
from sagakit.runtime.telling import Ids, ids_of

C = TypeVar("C", bound=msgspec.Struct)


class Ask(msgspec.Struct, Generic[C], frozen=True, kw_only=True):
    """One thing asked of a participant.

    `happened` tells a compensation whether its action took effect. `by_hand` is set when a person decided: put that on
    record, and do nothing else. `since` is when what demanded it was said; after a restart that is not known any more.
    """

    saga_id: str
    step: str
    command: str
    data: C
    now: datetime
    tries: int = 0
    happened: bool = True
    by_hand: ByHand | None = None
    since: datetime | None = None
    correlation_id: str = ""
    traceparent: str | None = None

    @property
    def ids(self) -> Ids:
        """Whose this is, for the lines of the log."""
        return ids_of(self.saga_id, self.correlation_id or self.saga_id, self.traceparent)

    @property
    def idempotency_key(self) -> str:
        """The key of this effect, unique by (saga, step, action or compensation), towards the outside world too."""
        return name_based_id(self.saga_id, self.step, self.command)


class Done(msgspec.Struct, frozen=True):
    """It took effect; `event` is what to say of it."""

    event: msgspec.Struct


class Refused(msgspec.Struct, frozen=True):
    """A refusal of the business, no error; `event` says why. A compensation and a retriable step never refuse."""

    event: msgspec.Struct


class Unknown(msgspec.Struct, frozen=True):
    """It could not be found out, or could not be done now: asked again later, with the same idempotency key.

    `asked` is False when nobody was asked, because the other side is known to be away: that uses up no attempt.
    """

    error: str
    asked: bool = True


Reply = Done | Refused | Unknown


@dataclass(frozen=True, slots=True)
class LocalAction(Generic[C]):
    """Carried out within the transaction of the message: `act` answers every ask, in their order.

    It changes nothing for an ask that it answers with `Unknown`, and never acts twice for one idempotency key.
    """

    command: str
    asks: type[C]
    act: Callable[[Transaction, Sequence[Ask[C]]], Awaitable[Sequence[Reply]]]


@dataclass(frozen=True, slots=True)
class OutsideAction(Generic[C]):
    """Carried out in another system, in three parts, so that a crash anywhere leaves the outcome to be asked again.

    `intend` puts the intent on record (in the transaction of the message), `call` asks the other system outside of any
    transaction, `settle` puts its replies on record in the transaction that also says the event. `settle` returns the
    replies to say, and is all there is for an ask decided by hand (with the reply `Unknown`).
    """

    command: str
    asks: type[C]
    intend: Callable[[Transaction, Sequence[Ask[C]]], Awaitable[None]]
    call: Callable[[Sequence[Ask[C]]], Awaitable[Sequence[Reply]]]
    settle: Callable[[Transaction, Sequence[Ask[C]], Sequence[Reply]], Awaitable[Sequence[Reply]]]


AnyAction = LocalAction[Any] | OutsideAction[Any]
Barred = Callable[[str, str, AbortCode], msgspec.Struct]
"""(saga id, step, code) → the failure event of a step that will not act any more."""


def outcome_of(reply: Done | Refused) -> Succeeded | Declined:
    """Return the reply as the core takes it."""
    data = encode_data(reply.event)
    return Succeeded(data) if isinstance(reply, Done) else Declined(data)
