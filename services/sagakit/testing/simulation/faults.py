"""What can go wrong, and how often: one probability for each occasion."""

from dataclasses import dataclass, fields, replace
from random import Random
from typing import Self

QUIET_SHARE = 0.35
"""How many kinds of faults a world is spared: with all at once, some would hide others."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Probabilities. Those of stores and the log are per call, those of processes per turn of the scheduler."""

    store_unavailable: float = 0.01
    publish_fails_before: float = 0.03
    publish_fails_after: float = 0.05
    publish_in_part: float = 0.03
    message_doubled: float = 0.03
    message_redelivered: float = 0.004
    garbage: float = 0.001
    fetch_cut: float = 0.3
    partition_late: float = 0.08
    hesitation: float = 0.10
    stall: float = 0.004
    stall_with_batch: float = 0.02
    crash_at_failpoint: float = 0.01
    crash: float = 0.001
    pause: float = 0.002
    rival: float = 0.004
    outage: float = 0.10
    call_lost: float = 0.10
    answer_lost: float = 0.15
    call_lands_late: float = 0.05
    call_slow: float = 0.15

    def drawn(self, random: Random) -> Self:
        """Return these faults with some kinds left out and the others stronger or weaker (swarm testing)."""
        rates = {
            known.name: 0.0 if random.random() < QUIET_SHARE else getattr(self, known.name) * random.uniform(0.4, 2.0)
            for known in fields(self)
        }
        return replace(self, **rates)


NO_FAULTS = Faults(**{known.name: 0.0 for known in fields(Faults)})
