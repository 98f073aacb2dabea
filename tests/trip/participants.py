"""Who makes a trip happen: one table of bookings and a few local actions each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from tests.trip.definition import TRIP
from tests.trip.messages import Said, Trip

from sagakit.core.facts import AbortCode
from sagakit.core.state import SagaState
from sagakit.ports import Table, Transaction
from sagakit.runtime.actions import AnyAction, Ask, Done, LocalAction, Refused, Reply
from sagakit.testing.rehearsal import Role


class Booking(msgspec.Struct, frozen=True):
    """One trip in the books of one participant."""

    trip_id: str
    traveller: str
    stands: bool = True


@dataclass(frozen=True, slots=True)
class Desk:
    """A participant that writes things down. It knows one city to which nothing goes, and what its service costs."""

    name: str
    costs: int = 0
    closed_city: str = ""

    @property
    def bookings(self) -> Table[Booking]:
        """Its books."""
        return Table(f"{self.name}_bookings", Booking, "trip_id")

    async def book(self, transaction: Transaction, asks: Sequence[Ask[Trip]]) -> list[Reply]:
        """Write the bookings down, those that can be."""
        replies = [self._reply(ask) for ask in asks]
        booked = [ask for ask, reply in zip(asks, replies, strict=True) if isinstance(reply, Done)]
        await transaction.save(self.bookings, [Booking(ask.saga_id, ask.data.traveller) for ask in booked])
        return replies

    async def cancel(self, transaction: Transaction, asks: Sequence[Ask[Trip]]) -> list[Reply]:
        """Take the bookings back. It never refuses, also when there is nothing to take back."""
        found = await transaction.load(self.bookings, [ask.saga_id for ask in asks])
        await transaction.save(
            self.bookings, [msgspec.structs.replace(booking, stands=False) for booking in found.values()]
        )
        return [Done(Said(ask.saga_id, resolved_by=ask.by_hand)) for ask in asks]

    def _reply(self, ask: Ask[Trip]) -> Reply:
        if ask.by_hand is None and ask.data.city == self.closed_city:
            return Refused(Said(ask.saga_id, f"nothing to {ask.data.city}"))
        if ask.by_hand is None and ask.data.budget < self.costs:
            return Refused(Said(ask.saga_id, f"it costs {self.costs}"))
        return Done(Said(ask.saga_id, resolved_by=ask.by_hand))

    def role(self) -> Role:
        """What it brings along: an action for each of its commands."""
        own = [step for step in TRIP.steps if step.participant == self.name]
        actions: list[AnyAction] = [LocalAction(step.command, Trip, self.book) for step in own]
        actions += [LocalAction(step.compensation, Trip, self.cancel) for step in own if step.compensation]
        return Role(self.name, actions, barred, (self.bookings,))


def barred(trip_id: str, step: str, code: AbortCode) -> Said:
    """What is said of a step that will not act any more."""
    return Said(trip_id, f"{step}: {code}", barred=True)


AIRLINE, HOTEL = Desk("airline", closed_city="Atlantis"), Desk("hotel", closed_city="Nowhere")
TILL, POST = Desk("till", costs=500), Desk("post")
DESKS = (AIRLINE, HOTEL, TILL, POST)


class Agency:
    """The initiator's words."""

    def completed(self, state: SagaState, at: datetime) -> Said:
        """Everything is booked, paid and sent."""
        del at
        return Said(state.saga_id)

    def cancelled(self, state: SagaState, reason: str, at: datetime) -> Said:
        """The trip will not be."""
        del at
        return Said(state.saga_id, reason)

    def command(self, command: str, saga_input: msgspec.Raw) -> Trip:
        """Every command says what the trip is."""
        del command
        return msgspec.json.decode(saga_input, type=Trip)
