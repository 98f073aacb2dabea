"""Which messages each topic of the shop carries. What comes on another is not believed, for others may write there."""

from sagakit.core.control_contracts import DEAD_LETTER, LETTER_DISCARDED, LETTER_REDRIVEN, SAGA_DEFINED
from sagakit.core.part import CONTROLS, REPAIRS, STUCK
from shop_contracts.order_saga import ORDER, ORDER_SAGA

LISTENERS = ("analytics",)
"""Services that take no part in a saga and read every event, so that they can find one they cannot read."""


def topics() -> dict[str, list[str]]:
    """Return the message types of every topic, from the definition of the order saga."""
    found: dict[str, list[str]] = {ORDER.events_topic: [ORDER_SAGA.started, ORDER_SAGA.completed, ORDER_SAGA.cancelled]}
    found[ORDER.commands_topic] = ["CreateOrder"]
    for step in ORDER_SAGA.steps:
        participant = ORDER_SAGA.participant(step.participant)
        events = [event for event in (step.success, step.failure, step.compensated) if event]
        commands = [command for command in (step.command, step.compensation) if command]
        found.setdefault(participant.events_topic, [STUCK]).extend(events)
        found.setdefault(participant.commands_topic, list(REPAIRS)).extend(commands)
    found["sagas.events"] = sorted(CONTROLS)
    found["sagas.definitions"] = [SAGA_DEFINED]
    found["users"] = ["UserProfileUpdated"]
    found["analytics.events"] = ["HighValueOrderDetected"]
    for service in (ORDER.name, *(participant.name for participant in ORDER_SAGA.participants), *LISTENERS):
        found[f"{service}.dlq"] = [DEAD_LETTER, LETTER_REDRIVEN, LETTER_DISCARDED]
    return found
