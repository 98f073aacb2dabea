"""A service of the simulated world: what of it outlives every process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sagakit.adapters.memory import MemoryStore
from sagakit.testing.simulation.process import Process, Steps


@dataclass(slots=True, eq=False)
class Host:
    """One service: its database, how a process of it is wired, and the processes that live now."""

    service: str
    store: MemoryStore
    wire: Callable[[Process], Sequence[Steps]]
    committed: Callable[[], None]
    processes: list[Process] = field(default_factory=list)
    progress: dict[tuple[str, str, int], int] = field(default_factory=dict)
    born: int = 0
