"""What happens to a process, or to the log, that no call of theirs can know of."""

from typing import TYPE_CHECKING

from sagakit.ports import Draft
from sagakit.testing.simulation.process import Process

if TYPE_CHECKING:
    from sagakit.testing.simulation.world import World

PAUSE_SECONDS_MAX = 40.0
DOWN_SECONDS_MAX = 5.0
PROCESSES_PER_SERVICE_MAX = 3


def befall(world: "World") -> None:
    """Let something happen, if chance says so."""
    strikes, random = world.mishaps.strikes, world.random
    if strikes("crash"):
        world.crash(_somebody(world), random.random() * DOWN_SECONDS_MAX)
    if strikes("pause"):
        process = _somebody(world)
        process.asleep_until = world.clock.seconds + random.random() * PAUSE_SECONDS_MAX
        world.note(process.name, f"is paused until {process.asleep_until:.1f}")
    if strikes("rival"):
        host = world.hosts[_somebody(world).service]
        if len(host.processes) < PROCESSES_PER_SERVICE_MAX:
            world.note(world.spawn(host).name, "joins")
    if strikes("message_redelivered"):
        _redeliver_one(world)
    if strikes("garbage"):
        topics = sorted({topic for host in world.hosts.values() for p in host.processes for topic in p.listening})
        world.litter(random.choice(topics), random.choice(world.kinds_of_garbage))


def _somebody(world: "World") -> Process:
    return world.random.choice([process for host in world.hosts.values() for process in host.processes])


def _redeliver_one(world: "World") -> None:
    places = [kept for kept in world.log.state.places.values() if kept.records]
    if places:
        old = world.random.choice(world.random.choice(places).records)
        world.append([Draft(old.topic, old.key, old.headers, old.value)])
