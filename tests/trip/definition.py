"""The trip: a flight and a room at the same time, then the money, then the documents."""

from sagakit.core.definition import Participant, Step, StepKind, saga

TRIP = saga(
    "trip",
    (  # a group: both at once, and it joins when both have answered
        Step(
            "flight",
            "airline",
            command="BookFlight",
            success="FlightBooked",
            failure="FlightUnavailable",
            compensation="CancelFlight",
            compensated="FlightCancelled",
        ),
        Step(
            "room",
            "hotel",
            command="BookRoom",
            success="RoomBooked",
            failure="RoomUnavailable",
            compensation="CancelRoom",
            compensated="RoomCancelled",
        ),
    ),
    Step("money", "till", command="PayTrip", success="TripPaid", failure="TripNotPaid", kind=StepKind.PIVOT),
    Step("documents", "post", command="SendDocuments", success="DocumentsSent", kind=StepKind.RETRIABLE),
    initiator=Participant("agency", "agency.events"),
    participants=[
        Participant("airline", "airline.events"),
        Participant("hotel", "hotel.events"),
        Participant("till", "till.events"),
        Participant("post", "post.events"),
    ],
    started="TripAsked",
    completed="TripReady",
    cancelled="TripCancelled",
    timeout_seconds=60,
)
