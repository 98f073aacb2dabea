"""Of several instances one holds the lease; who is silent loses it, who comes back under its name has it at once."""

from datetime import timedelta

from tests.unit.http.services import HandClock

from sagakit.adapters.memory import MemoryState, MemoryStore
from sagakit.runtime.lease import LEASE_SECONDS, LEASES, Lease


class Instances:
    """Instances of one service over one database."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.state = MemoryState()

    def instance(self, name: str) -> Lease:
        return Lease("order relay", name, MemoryStore([LEASES], self.state), self.clock)

    def pass_by(self, leases: float) -> None:
        self.clock.moment += timedelta(seconds=LEASE_SECONDS * leases)


async def test_one_instance_holds_the_lease_and_keeps_it_while_it_asks() -> None:
    world = Instances()
    first, second = world.instance("a"), world.instance("b")
    assert await first.held()
    for _ in range(20):
        world.pass_by(0.4)
        assert (await first.held(), await second.held()) == (True, False)


async def test_a_silent_holder_is_succeeded_when_its_time_is_over_and_knows_it() -> None:
    world = Instances()
    first, second = world.instance("a"), world.instance("b")
    assert await first.held()
    world.pass_by(0.9)
    assert not await second.held()
    world.pass_by(0.2)
    assert await second.held()
    assert not await first.held()


async def test_an_instance_that_comes_back_under_its_name_has_the_lease_at_once_and_the_one_before_has_lost_it() -> (
    None
):
    world = Instances()
    before, other = world.instance("a"), world.instance("b")
    assert await before.held()
    after = world.instance("a")
    assert await after.held()
    world.pass_by(0.5)
    assert (await before.held(), await after.held(), await other.held()) == (False, True, False)


async def test_who_stops_leaves_the_lease_to_another_at_once() -> None:
    world = Instances()
    first, second = world.instance("a"), world.instance("b")
    assert await first.held()
    assert not await second.held()
    await first.release()
    world.pass_by(0.15)
    assert await second.held()
    await first.release()
    world.pass_by(0.3)
    assert await second.held()


async def test_a_holder_whose_clock_was_an_hour_ahead_is_succeeded_as_soon_as_any_other() -> None:
    world = Instances()
    first, second = world.instance("a"), world.instance("b")
    world.pass_by(720)
    assert await first.held()
    world.pass_by(-720)
    waited = 0.0
    while not await second.held():
        assert waited < 1.2
        world.pass_by(0.11)
        waited += 0.11
    assert waited >= 1


async def test_a_holder_whose_clock_is_an_hour_ahead_keeps_the_lease_while_it_renews_it() -> None:
    world = Instances()
    first, second = world.instance("a"), world.instance("b")
    for _ in range(20):
        world.pass_by(720)
        assert await first.held()
        world.pass_by(-720)
        assert not await second.held()
        world.pass_by(0.4)


async def test_a_holder_whose_clock_is_set_back_looks_whether_it_still_holds_the_lease() -> None:
    world = Instances()
    before = world.instance("a")
    assert await before.held()
    assert await world.instance("a").held()
    world.pass_by(-720)
    assert not await before.held()


async def test_a_second_instance_whose_clock_is_set_back_succeeds_a_silent_holder_all_the_same() -> None:
    world = Instances()
    first, second = world.instance("a"), world.instance("b")
    assert await first.held()
    assert not await second.held()
    world.pass_by(-720)
    assert not await second.held()
    for _ in range(9):
        world.pass_by(0.11)
        assert not await second.held()
    world.pass_by(0.11)
    assert await second.held()
