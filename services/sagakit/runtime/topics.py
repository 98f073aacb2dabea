"""The topics that the kit itself needs; a shop adds those of its participants."""

SAGAS_EVENTS = "sagas.events"
"""What is said to every participant of a saga: abort, suspended, resumed, killed."""
SAGAS_DEFINITIONS = "sagas.definitions"
"""Definitions as data, one key each (compacted)."""


def commands_topic(service: str) -> str:
    """Return the topic of the commands addressed to a service."""
    return f"{service}.commands"


def dead_letter_topic(service: str) -> str:
    """Return the topic of what a service could not read or handle."""
    return f"{service}.dlq"
