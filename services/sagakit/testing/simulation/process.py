"""A process of the simulated world: loops that are stepped one at a time, and that die together."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

from sagakit.testing.simulation.clock import Until


class Crash(BaseException):
    """The process ends here, as under SIGKILL: no handler may catch it, nothing is tidied up."""


class Steps(Protocol):
    """A loop as the sum of its steps; every loop of the kit is one."""

    @property
    def name(self) -> str:
        """What it is called in the trace."""

    async def step(self) -> bool:
        """Do one bounded piece of work; tell whether there may be more at once."""


@dataclass(slots=True, eq=False)
class Actor:
    """One loop of a process: the step under way, if it waits in the middle of one, and until when."""

    name: str
    process: "Process"
    begin: Callable[[], Coroutine[Until, None, bool]]
    running: Coroutine[Until, None, bool] | None = None
    wakes_at: float = 0.0

    def advance(self) -> bool | None:
        """Go on to the end of the step, or to where it waits (None)."""
        if self.running is None:
            self.running = self.begin()
        try:
            self.wakes_at = self.running.send(None).seconds
        except StopIteration as end:
            self.running = None
            return bool(end.value)
        except BaseException:
            self.running = None
            raise
        return None


@dataclass(slots=True, eq=False)
class Process:
    """One instance of a service. `asleep_until` is in the future while it is paused, or down.

    `listens` is what the wiring says of its consumers: the topics of each group.
    """

    service: str
    instance: str
    store: Any
    log: Any
    clock: Any
    actors: list[Actor] = field(default_factory=list)
    asleep_until: float = 0.0
    born_at: float = 0.0
    alive: bool = True
    listens: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Service and instance in one word."""
        return f"{self.service}-{self.instance}"

    @property
    def listening(self) -> frozenset[str]:
        """All topics that any of its consumers reads."""
        return frozenset().union(*self.listens.values())

    def die(self) -> None:
        """Lose everything that was only in memory."""
        self.alive = False
        for actor in self.actors:
            if actor.running is not None:
                actor.running.close()
                actor.running = None
