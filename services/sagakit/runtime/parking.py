"""Messages whose cause is not here yet: parked durably, replayed when it comes, dead letters after an hour."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

import msgspec

from sagakit.core.definition import Saga
from sagakit.core.messages import Message
from sagakit.ports import Query, Table, Transaction

PARKED_SECONDS_MAX = 3600
FEW = 100
RELEASED_MAX = 1000
"""How many messages that wait for the same are taken out in one transaction."""


class ParkedMessage(msgspec.Struct, frozen=True):
    """One message that waits: for its saga's beginning, or for a definition this service does not know yet."""

    message_id: str
    saga_id: str
    waits_for: str
    parked_at: datetime
    give_up_at: datetime
    topic: str
    message: Message


PARKED = Table(
    "parked", ParkedMessage, "message_id", (("saga_id", "parked_at"), ("waits_for", "parked_at"), ("give_up_at",))
)


def parked(message: Message, topic: str, waits_for: str, now: datetime) -> ParkedMessage:
    """Return the message as it is parked."""
    give_up_at = now + timedelta(seconds=PARKED_SECONDS_MAX)
    return ParkedMessage(message.id, message.saga_id, waits_for, now, give_up_at, topic, message)


def said_on(saga: Saga, message: Message) -> str:
    """Return the topic on which the source of an event says it; nothing, when nobody of that name takes part."""
    parties = (saga.initiator, *saga.participants)
    return next((party.events_topic for party in parties if party.name == message.source), "")


async def release_started(transaction: Transaction, saga_ids: Collection[str]) -> list[Message]:
    """Take out the messages parked for these sagas, which begin now; nearly always there are none.

    A few parked strangers must not cost every new saga a query: while there are few, they are looked at one by one.
    """
    some = await transaction.select(PARKED, Query(by="give_up_at", limit=FEW))
    if len(some) == FEW:
        return await release(transaction, "saga_id", saga_ids)
    wanted = dict.fromkeys(entry.saga_id for entry in some if entry.saga_id in saga_ids)
    return await release(transaction, "saga_id", wanted) if wanted else []


async def release(transaction: Transaction, by: str, values: Iterable[str]) -> list[Message]:
    """Take out the messages parked with these values of `saga_id` or `waits_for`, the oldest first per value."""
    freed: list[ParkedMessage] = []
    for value in values:
        freed += await transaction.select(PARKED, Query(where={by: value}, by="parked_at", limit=RELEASED_MAX))
    await transaction.delete(PARKED, [entry.message_id for entry in freed])
    return [entry.message for entry in freed]
