"""All of a system's real loops in one thread, in virtual time, and everything that can go wrong drawn from one seed.

Here belong the clock, the scheduler, and a store and a log that fail on purpose. What a particular system consists of,
and what must be true of it in the end, does not: a shop brings its own wiring and its own checks.
"""

from sagakit.testing.simulation.clock import VirtualClock
from sagakit.testing.simulation.faults import NO_FAULTS, Faults
from sagakit.testing.simulation.host import Host
from sagakit.testing.simulation.process import Crash, Process, Steps
from sagakit.testing.simulation.violation import Violation
from sagakit.testing.simulation.world import World

__all__ = ["NO_FAULTS", "Crash", "Faults", "Host", "Process", "Steps", "Violation", "VirtualClock", "World"]
