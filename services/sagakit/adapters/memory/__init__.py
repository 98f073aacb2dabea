"""A store and a log in memory: for tests, simulations, and a first look.

Here belongs what keeps every promise of the ports but durability. Nothing here waits, starts a thread, reads a clock of
its own or draws a number, so that a simulation that steps through it is the same every time.
"""

from sagakit.adapters.memory.log import MemoryLog, MemoryLogState
from sagakit.adapters.memory.store import MemoryStore
from sagakit.adapters.memory.transaction import MemoryState

__all__ = ["MemoryLog", "MemoryLogState", "MemoryState", "MemoryStore"]
