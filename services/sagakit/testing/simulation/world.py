"""The world: databases and a log that last, processes that do not, and a scheduler that draws who goes on next."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from functools import partial
from random import Random
from typing import Any, TypeVar, cast

from sagakit.adapters.memory import MemoryLog, MemoryLogState, MemoryStore
from sagakit.ports import Draft, LogUnavailableError, StoreUnavailableError, Table
from sagakit.runtime import failpoints
from sagakit.testing.simulation.clock import VirtualClock
from sagakit.testing.simulation.fate import DOWN_SECONDS_MAX, PAUSE_SECONDS_MAX, befall
from sagakit.testing.simulation.faults import NO_FAULTS, Faults
from sagakit.testing.simulation.garbage import GARBAGE, Garbage
from sagakit.testing.simulation.host import Host
from sagakit.testing.simulation.log import FaultyLog
from sagakit.testing.simulation.mishaps import Mishaps
from sagakit.testing.simulation.process import Actor, Crash, Process, Steps
from sagakit.testing.simulation.store import FaultyStore
from sagakit.testing.simulation.violation import Violation

T = TypeVar("T")

TURN_SECONDS = 0.01
LEAP_SHARE = 0.02
LEAP_SECONDS_MAX = 2.0
PICKS_PER_TURN = 4
LEASE_SECONDS = 5.0
FAVOURITE_RATE = 0.7
FAVOURITE_STRIKES = 2
CALM_SECONDS_MAX = 3600.0
IDLE_SECONDS = 20.0
"""So long nobody has anything to do before all is held to be done: longer than the lease of a dead one's partitions."""
CALM_LEAP_SECONDS = 0.1
CALM_LEAP_SECONDS_MAX = 6.0


class World:
    """Everything of one seed. `turn` lets one loop go on; `calm` ends the faults and lets all work be finished."""

    def __init__(self, seed: int, faults: Faults, partitions: int = 4, garbage: Sequence[Garbage] = GARBAGE) -> None:
        """Begin empty. `garbage` is what nobody can read or handle."""
        self.seed = seed
        self.random = Random(seed)
        self.clock = VirtualClock(self.random)
        self.mishaps = Mishaps(self.random, self.clock, faults)
        self.log = MemoryLog(self.clock, MemoryLogState(partitions), lease_seconds=LEASE_SECONDS)
        self.published: list[Draft] = []
        self.kinds_of_garbage = garbage
        self.garbage: list[Draft] = []
        self.hosts: dict[str, Host] = {}
        self.actors: list[Actor] = []
        self.awaited: list[Actor] = []
        self.favourite = failpoints.NAMES[seed % len(failpoints.NAMES)]
        self._outside_mishaps = Mishaps(self.random, self.clock, NO_FAULTS)
        self._outside = Process("outside", "0", None, None, self.clock)

    @property
    def is_calm(self) -> bool:
        """Tell whether nothing goes wrong any more."""
        return self.mishaps.faults is NO_FAULTS

    @property
    def seen(self) -> Any:  # noqa: ANN401 - a Counter; spelled out where it is made
        """How often each interesting event happened."""
        return self.mishaps.seen

    def host(
        self,
        service: str,
        tables: Iterable[Table[Any]],
        wire: Callable[[Process], Sequence[Steps]],
        committed: Callable[[], None] = lambda: None,
    ) -> Host:
        """Bring up a service with one process. `committed` is called after each commit in its database."""
        self.hosts[service] = host = Host(service, MemoryStore(tables), wire, committed)
        self.spawn(host)
        return host

    def spawn(self, host: Host, asleep_until: float = 0.0) -> Process:
        """Start one more process of the service, at that moment."""
        store = FaultyStore(host.store, self.mishaps, host.committed, host.progress)
        log = FaultyLog(self.log, self.mishaps, self.published)
        process = Process(host.service, str(host.born), store, log, self.clock, asleep_until=asleep_until)
        process.born_at = self.clock.seconds
        host.born += 1
        host.processes.append(process)
        for steps in host.wire(process):
            process.actors.append(Actor(f"{process.name} {steps.name}", process, steps.step))
        self.actors += process.actors
        return process

    def crash(self, process: Process, down_seconds: float) -> None:
        """End the process as SIGKILL would, and start another one in its place after a while."""
        self.note(process.name, "is killed")
        process.die()
        host = self.hosts[process.service]
        host.processes.remove(process)
        self.actors = [actor for actor in self.actors if actor.process is not process]
        self.spawn(host, self.clock.seconds + down_seconds)

    def later(self, seconds: float, call: Callable[[], Awaitable[object]]) -> None:
        """Let something outside of every process happen after a while, whatever becomes of who began it."""

        async def once() -> bool:
            self.awaited.remove(actor)
            self.actors.remove(actor)
            await call()
            return True

        actor = Actor("late call", self._outside, once, wakes_at=self.clock.seconds + seconds)
        self.awaited.append(actor)
        self.actors.append(actor)

    def turn(self) -> None:
        """Let a little time pass, something go wrong perhaps, and one loop go on."""
        draw = self.random.random()
        leaps = draw < LEAP_SHARE
        self.clock.pass_by(self.random.random() * LEAP_SECONDS_MAX if leaps else 2 * draw * TURN_SECONDS)
        befall(self)
        now = self.clock.seconds
        for _ in range(PICKS_PER_TURN):
            actor = self.actors[int(self.random.random() * len(self.actors))]
            if actor.process.asleep_until <= now and actor.wakes_at <= now:
                self._advance(actor)
                return

    def calm(self, done: Callable[[], bool]) -> None:
        """Let nothing go wrong any more, and everybody work until all is done, but no more than an hour."""
        self.mishaps.calm()
        for process in [p for host in self.hosts.values() for p in host.processes]:
            process.asleep_until = min(process.asleep_until, self.clock.seconds + PAUSE_SECONDS_MAX)
        end, idle, leap = self.clock.seconds + CALM_SECONDS_MAX, 0.0, CALM_LEAP_SECONDS
        while idle < IDLE_SECONDS or not done():
            worked, waiting = self._round()
            leap = CALM_LEAP_SECONDS if worked else min(leap * 2, CALM_LEAP_SECONDS_MAX)
            self.clock.pass_by(leap)
            idle = 0.0 if worked or waiting else idle + leap
            if self.clock.seconds > end:
                return

    def unread(self) -> Iterator[str]:
        """Say what some group has not handled."""
        for host in self.hosts.values():
            for group, topics in host.processes[0].listens.items():
                for (topic, number), kept in self.log.state.places.items():
                    found = host.store.state.progress.get((group, topic, number), 0)
                    if topic in topics and found != kept.end:
                        yield f"{group} has handled {topic}-{number} up to {found} of {kept.end}"

    def note(self, who: str, what: str) -> None:
        """Write a line into the trace."""
        self.mishaps.note(who, what)

    def strike(self, name: str) -> None:
        """Crash the process that is at this failpoint, if chance says so; each seed has a favourite among them."""
        favoured = name == self.favourite and not self.is_calm and self.seen[f"crash {name}"] < FAVOURITE_STRIKES
        if self.mishaps.strikes("crash_at_failpoint") or (favoured and self.random.random() < FAVOURITE_RATE):
            self.seen[f"crash {name}"] += 1
            raise Crash(name)

    def armed(self) -> dict[str, Callable[[], None]]:
        """Return what to arm: every failpoint, for whoever comes by."""
        return {name: partial(self.strike, name) for name in failpoints.NAMES}

    def _advance(self, actor: Actor) -> bool:
        """Let the loop go on; tell whether it did or may do anything."""
        try:
            more = actor.advance()
        except Crash as crash:
            self.note(actor.name, f"crashes at {crash}")
            if actor.process is not self._outside:
                self.crash(actor.process, self.random.random() * DOWN_SECONDS_MAX)
            return True
        except (StoreUnavailableError, LogUnavailableError) as error:
            self.note(actor.name, f"fails: {error}")
            return True
        except Violation:
            raise
        except Exception as error:
            raise Violation("no_surprise", f"{actor.name} raised {type(error).__name__}: {error}") from error
        if more:
            self.note(actor.name, "worked")
        return more is not False

    def _round(self) -> tuple[bool, bool]:
        """Let everybody who can go on; tell whether anybody did, and whether anybody waits for a certain moment."""
        worked = waiting = False
        now = self.clock.seconds
        for actor in list(self.actors):
            if actor.process.asleep_until > now or actor.wakes_at > now:
                waiting = True
            elif actor.process.alive:
                worked |= self._advance(actor)
        return worked, waiting

    def litter(self, topic: str, kind: Garbage) -> None:
        """Append something that nobody can read or handle."""
        out = kind(topic, f"garbage-{len(self.garbage)}")
        self.garbage.append(out)
        self.append([out])

    def append(self, drafts: Sequence[Draft]) -> None:
        """Put records into the log, whoever says so."""
        run_now(FaultyLog(self.log, self._outside_mishaps, self.published).publish(drafts))


def run_now(call: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing."""
    try:
        call.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    raise AssertionError("it waited")
