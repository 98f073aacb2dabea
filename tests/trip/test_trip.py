"""Another team's saga, made and proved with nothing but the kit."""

import pytest
from tests.trip.definition import TRIP
from tests.trip.messages import CONTRACTS, Trip
from tests.trip.participants import DESKS, Agency, Desk

from sagakit.core.decide import Conflict
from sagakit.core.facts import Phase, Verb
from sagakit.core.messages import Mode
from sagakit.ports import Reader
from sagakit.testing.matrix import Story, stories
from sagakit.testing.part_scenario import PartScenario
from sagakit.testing.rehearsal import Rehearsal

ADA = Trip("Ada", "Lisbon", 800)
modes = pytest.mark.parametrize("mode", Mode)


@pytest.mark.parametrize("story", stories(TRIP), ids=str)
def test_the_trip_lives_through(story: Story) -> None:
    story.check()


def test_a_flight_is_cancelled_when_the_room_is_not_to_be_had() -> None:
    booked = PartScenario(TRIP, "airline").hears("TripAsked").then_does("BookFlight").succeeds()
    booked.then_says("FlightBooked").hears("RoomUnavailable").then_does("CancelFlight")


async def rehearse(trip: Trip, mode: Mode) -> tuple[Rehearsal, Phase, str | None]:
    rehearsal = Rehearsal(TRIP, Agency(), CONTRACTS, [desk.role() for desk in DESKS])
    await rehearsal.start("trip-1", trip, mode)
    await rehearsal.run()
    state = await rehearsal.state("trip-1")
    return rehearsal, state.phase, state.reason


async def standing(rehearsal: Rehearsal) -> list[str]:
    return [desk.name for desk in DESKS if await stands(rehearsal, desk)]


async def stands(rehearsal: Rehearsal, desk: Desk) -> bool:
    async def look(reader: Reader) -> bool:
        return any(booking.stands for booking in (await reader.load(desk.bookings, ["trip-1"])).values())

    return await rehearsal.stores[desk.name].view(look)


@modes
async def test_a_trip_is_booked_paid_and_sent(mode: Mode) -> None:
    rehearsal, phase, _ = await rehearse(ADA, mode)
    assert phase is Phase.COMPLETED
    assert await standing(rehearsal) == ["airline", "hotel", "till", "post"]
    assert isinstance(await rehearsal.wish("trip-1", Verb.CANCEL), Conflict)


@modes
@pytest.mark.parametrize(
    ("trip", "reason"),
    [
        (Trip("Ada", "Atlantis", 800), "nothing to Atlantis"),
        (Trip("Ada", "Nowhere", 800), "nothing to Nowhere"),
        (Trip("Ada", "Lisbon", 20), "it costs 500"),
    ],
)
async def test_a_trip_that_cannot_be_leaves_nothing_booked(trip: Trip, reason: str, mode: Mode) -> None:
    rehearsal, phase, reported = await rehearse(trip, mode)
    assert (phase, reported) == (Phase.COMPENSATED, reason)
    assert await standing(rehearsal) == []
