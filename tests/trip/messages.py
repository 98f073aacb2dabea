"""What is said about trips. Every command is made from what the trip began with, so one shape serves them all."""

import msgspec
from tests.trip.definition import TRIP

from sagakit.core.contracts import Contract, Contracts
from sagakit.core.control_contracts import CONTROL_CONTRACTS
from sagakit.core.facts import ByHand


class Trip(msgspec.Struct, frozen=True, rename="camel"):
    """Who goes where, and what she can pay."""

    traveller: str
    city: str
    budget: int


class Said(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The answer of a step. `barred` and `resolved_by` are for the kit: not any more, and decided by a person."""

    trip: str
    reason: str = ""
    barred: bool = False
    resolved_by: ByHand | None = None


COMMANDS = [command for step in TRIP.steps for command in (step.command, step.compensation) if command]
EVENTS = [event for step in TRIP.steps for event in step.events]
CONTRACTS = Contracts(
    [
        Contract(TRIP.started, Trip),
        *(Contract(command, Trip) for command in COMMANDS),
        *(Contract(event, Said) for event in (*EVENTS, TRIP.completed, TRIP.cancelled)),
        *CONTROL_CONTRACTS,
    ]
)
