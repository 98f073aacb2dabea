"""Named places around every durable write at which a test may end the process, or a simulation crash the service.

In production `failpoint` does nothing and costs the look at an empty dictionary.
"""

import os
import signal
from collections.abc import Callable, Mapping
from itertools import count

VARIABLE = "SAGAPLANE_FAILPOINT"

ARMED: dict[str, Callable[[], None]] = {}
"""What happens at each armed place, by name. Armed by tests and by `arm_from_environment`."""

NAMES = (
    "group.before_join",
    "group.after_join",
    "consumer.before_commit",
    "consumer.within",
    "consumer.after_commit",
    "due.before_commit",
    "due.after_commit",
    "outside.before_call",
    "outside.after_call",
    "outside.after_commit",
    "bank.before_commit",
    "bank.after_commit",
    "relay.before_publish",
    "relay.after_publish",
    "relay.after_mark",
    "http.before_commit",
    "http.after_commit",
    "deadlines.before_commit",
    "deadlines.after_commit",
    "batches.before_commit",
    "batches.after_commit",
    "expiry.before_commit",
    "expiry.after_commit",
)
"""`within` is in the middle of a transaction, when all is written and nothing committed."""
LEASE_NAMES = (
    "lease.before_commit",
    "lease.after_commit",
)
"""Where instances of a service settle which of them publishes; whoever has one instance needs no such."""
BROKER_NAMES = (
    "group.before_topics",
    "group.after_topics",
)
"""Where a broker tells topics from others of their name; a log in a file has no such."""
LETTER_NAMES = (
    "letters.before_record",
    "letters.after_record",
    "letters.before_decision",
    "letters.after_decision",
)
"""Where a person redrives or discards a dead letter; no service passes here."""
VIEW_NAMES = (
    "views.before_first",
    "views.after_first",
    "idleness.before_commit",
    "idleness.after_commit",
    "rebuild.before_target",
    "rebuild.after_target",
    "rebuild.before_build_on",
    "rebuild.after_build_on",
    "rebuild.before_swap",
    "rebuild.after_swap",
)
"""Where views are kept and built anew, which no saga waits for."""


def failpoint(name: str) -> None:
    """Do what is armed here, if anything is."""
    if ARMED and (strike := ARMED.get(name)):
        strike()


def arm_from_environment(environment: Mapping[str, str] = os.environ) -> None:
    """Arm what `SAGAPLANE_FAILPOINT` says: `relay.after_publish:3` ends this process with SIGKILL at the third pass.

    Raises:
        ValueError: when there is no such place, or the number is none.
    """
    wish = environment.get(VARIABLE)
    if not wish:
        return
    name, _, number = wish.partition(":")
    passes = number or "1"
    known = (*NAMES, *LEASE_NAMES, *BROKER_NAMES, *LETTER_NAMES, *VIEW_NAMES)
    if name not in known or not passes.isdecimal() or int(passes) < 1:
        raise ValueError(f"{VARIABLE}={wish}: expected name:number, counted from 1, with one of {', '.join(known)}")
    ARMED[name] = kill_at(int(passes))


def kill_at(number: int) -> Callable[[], None]:
    """Return what ends this process, without any tidying up, when it is called for that time."""
    passes = count(1)

    def strike() -> None:
        if next(passes) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return strike
