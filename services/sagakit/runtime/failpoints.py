"""Named places around every durable write at which a test may end the process, or a simulation crash the service.

In production `failpoint` does nothing and costs a dictionary look-up in an empty dictionary.
"""

from collections.abc import Callable

ARMED: dict[str, Callable[[], None]] = {}
"""What happens at each armed place, by name. Armed by tests and by `arm_from_environment`."""

NAMES = (
    "consumer.before_commit",
    "consumer.after_commit",
    "outside.before_call",
    "outside.after_call",
    "outside.after_commit",
    "relay.before_publish",
    "relay.after_publish",
    "relay.after_mark",
    "http.before_commit",
    "http.after_commit",
    "deadlines.before_commit",
    "deadlines.after_commit",
    "batches.before_commit",
    "batches.after_commit",
)


def failpoint(name: str) -> None:
    """Do what is armed here, if anything is."""
    if ARMED and (strike := ARMED.get(name)):
        strike()
