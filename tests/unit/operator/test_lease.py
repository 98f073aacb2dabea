"""Who leads: two candidates on one API server, stopped between any two requests, with answers that get lost."""

from collections.abc import Coroutine, Generator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.operator.memory_api import Fault, MemoryApi, MemoryCluster, refused
from tests.unit.operator.operators import at_once
from typing_extensions import override

from saga_operator.cluster import Body
from saga_operator.lease import DRAINING_SINCE, DRAINING_UNTIL, LEASE_SECONDS_MAX, RETRY_SECONDS, Leadership
from sagakit.testing.rehearsal import HandClock

NAMESPACE, LEASE = "sagaplane", "sagaplane-operator"
LEASE_SECONDS, RENEW_SECONDS = 15, 10.0
many = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Pause:
    """A moment at which the process may be stopped for any time."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class SlowApi(MemoryApi):
    """An API server between whose requests and answers time may pass."""

    slow = False

    @override
    async def get_namespaced_custom_object(self, *what: Any, **more: Any) -> Body:
        await self._pause()
        answer = await super().get_namespaced_custom_object(*what, **more)
        await self._pause()
        return answer

    @override
    async def create_namespaced_custom_object(self, *what: Any, **more: Any) -> Body:
        await self._pause()
        answer = await super().create_namespaced_custom_object(*what, **more)
        await self._pause()
        return answer

    @override
    async def replace_namespaced_custom_object(self, *what: Any, **more: Any) -> Body:
        await self._pause()
        answer = await super().replace_namespaced_custom_object(*what, **more)
        await self._pause()
        return answer

    async def _pause(self) -> None:
        if self.slow:
            await Pause()


class Election:
    """Two candidates, and one time for both."""

    def __init__(self, seed: int = 0, *, slow: bool = False) -> None:
        self.chance = Random(seed)
        self.seconds = 0.0
        self.api = SlowApi(HandClock())
        self.api.slow = slow
        self.changes: list[str] = []
        self.candidates = [self.candidate("one"), self.candidate("other")]
        self._tries: dict[Leadership, Coroutine[Any, Any, None]] = {}

    def candidate(self, identity: str) -> Leadership:
        made = Leadership(
            MemoryCluster(self.api),
            LEASE,
            NAMESPACE,
            identity,
            lease_seconds=LEASE_SECONDS,
            renew_seconds=RENEW_SECONDS,
            monotonic=lambda: self.seconds,
        )
        made.on_change = lambda: self.changes.append(f"{identity} {'leads' if made.leads else 'follows'}")
        return made

    def go_on(self, candidate: Leadership) -> None:
        """Let the candidate go on to its next request or answer."""
        if candidate not in self._tries:
            self._tries[candidate] = candidate.step()
        try:
            self._tries[candidate].send(None)
        except StopIteration:
            del self._tries[candidate]

    def end_tries(self) -> None:
        for trying in self._tries.values():
            trying.close()
        self._tries.clear()

    def rounds(self, number: int, *candidates: Leadership) -> None:
        """Let the candidates try in turn, as often as they do."""
        for _ in range(number):
            for candidate in candidates:
                at_once(candidate.step())
            self.seconds += RETRY_SECONDS

    @property
    def leaders(self) -> list[str]:
        return [candidate.identity for candidate in self.candidates if candidate.leads]

    @property
    def lease(self) -> Body:
        return self.api.objects["leases", NAMESPACE, LEASE]


@many
@given(seed=st.integers(0, 1_000_000), faults=st.sampled_from((0.0, 0.2)))
def test_two_operators_never_lead_at_once_however_they_are_stopped_and_whatever_is_lost(
    seed: int, faults: float
) -> None:
    election = Election(seed, slow=True)
    chance = election.chance

    def fate(_: str) -> Fault | None:
        if chance.random() >= faults:
            return None
        return Fault(chance.choice((TimeoutError(), refused(500), refused(429))), happened=chance.random() < 0.5)

    election.api.fate = fate
    for _ in range(200):
        if chance.random() < 0.7:
            election.go_on(chance.choice(election.candidates))
        else:
            election.seconds += chance.choice((0.1, 2.0, 4.0, 9.0, 16.0))
        assert len(election.leaders) <= 1
    election.end_tries()
    election.api.slow, faults = False, 0.0
    election.rounds(int((LEASE_SECONDS + 2 * RETRY_SECONDS) / RETRY_SECONDS) + 1, *election.candidates)
    election.seconds -= RETRY_SECONDS
    assert len(election.leaders) == 1


def test_the_first_leads_and_the_other_waits() -> None:
    election = Election()
    election.rounds(10, *election.candidates)
    assert election.leaders == ["one"]
    assert election.changes == ["one leads"]
    assert election.candidates[0].transitions == 0


def test_an_operator_that_gives_up_lets_the_other_lead_at_once() -> None:
    election = Election()
    one, other = election.candidates
    election.rounds(2, one, other)
    at_once(one.release())
    assert election.leaders == []
    at_once(other.step())
    assert election.leaders == ["other"]
    assert election.changes == ["one leads", "one follows", "other leads"]
    assert other.transitions == 1


def test_an_operator_that_does_not_lead_has_nothing_to_give_up() -> None:
    election = Election()
    one, other = election.candidates
    election.rounds(2, one, other)
    at_once(other.release())
    assert election.lease["spec"]["holderIdentity"] == "one"


def test_an_operator_that_died_is_followed_when_its_lease_has_ended_and_no_sooner() -> None:
    election = Election()
    one, other = election.candidates
    election.rounds(1, one, other)
    died = election.seconds
    while not other.leads:
        election.rounds(1, other)
        assert election.seconds - died < LEASE_SECONDS + 3 * RETRY_SECONDS
    assert election.seconds - died >= LEASE_SECONDS
    assert not one.leads


def test_a_leader_that_cannot_reach_the_api_server_ceases_to_lead_before_its_lease_ends() -> None:
    election = Election()
    one, _ = election.candidates
    election.rounds(1, one)
    election.api.fate = lambda _: Fault(TimeoutError())
    election.rounds(int(RENEW_SECONDS / RETRY_SECONDS), one)
    assert election.leaders == []
    assert election.seconds < LEASE_SECONDS


def test_a_renewal_whose_answer_was_lost_is_not_counted_and_the_next_one_is() -> None:
    election = Election()
    one, _ = election.candidates
    election.rounds(1, one)
    election.api.fate = lambda call: Fault(TimeoutError(), happened=True) if call.startswith("replace") else None
    election.rounds(3, one)
    assert election.leaders == ["one"]
    election.seconds += RETRY_SECONDS
    assert election.leaders == []
    election.api.fate = lambda _: None
    election.rounds(1, one)
    assert election.leaders == ["one"]


def test_a_lease_that_somebody_deletes_or_forbids_stops_no_operator() -> None:
    election = Election()
    one, _ = election.candidates
    election.rounds(1, one)
    for status in (404, 403, 422):
        error = refused(status)
        election.api.fate = lambda call, error=error: Fault(error) if call.startswith("replace") else None  # type: ignore[misc]
        election.rounds(1, one)
    election.api.fate = lambda _: None
    del election.api.objects["leases", NAMESPACE, LEASE]
    election.rounds(1, one)
    assert one.leads


def test_a_lease_that_somebody_annotates_again_and_again_ends_as_any_other() -> None:
    election = Election()
    one, other = election.candidates
    election.rounds(1, one)
    for number in range(int(2 * LEASE_SECONDS / RETRY_SECONDS)):
        at_once(MemoryCluster(election.api).annotate_lease(NAMESPACE, LEASE, {"note": str(number)}))
        election.rounds(1, other)
    assert election.leaders == ["other"]


def test_a_stranger_who_wrote_a_lease_for_years_leads_for_five_minutes_at_most() -> None:
    election = Election()
    one, _ = election.candidates
    election.rounds(1, one)
    election.lease["spec"] |= {"holderIdentity": "stranger", "leaseDurationSeconds": 2**31 - 1}
    election.rounds(int(LEASE_SECONDS_MAX / RETRY_SECONDS), one)
    assert election.leaders == []
    election.rounds(2, one)
    assert election.leaders == ["one"]


@pytest.mark.parametrize("mark", ["2999-01-01T00:00:00", "2999-01-01", "some day"])
def test_a_mark_that_is_no_moment_drains_nobody_and_stops_nobody(mark: str) -> None:
    election = Election()
    one, _ = election.candidates
    election.rounds(1, one)
    at_once(MemoryCluster(election.api).annotate_lease(NAMESPACE, LEASE, {DRAINING_UNTIL: mark, DRAINING_SINCE: mark}))
    election.rounds(1, one)
    assert one.leads
    assert not one.draining


def test_every_operator_sees_that_the_platform_is_being_taken_away_until_it_is_gone() -> None:
    election = Election()
    election.rounds(1, *election.candidates)
    until = datetime.now(UTC) + timedelta(minutes=2)
    at_once(MemoryCluster(election.api).annotate_lease(NAMESPACE, LEASE, {DRAINING_UNTIL: until.isoformat()}))
    assert not any(candidate.draining for candidate in election.candidates)
    election.rounds(2, *election.candidates)
    assert all(candidate.draining for candidate in election.candidates)
    assert election.leaders == ["one"], "whoever leads goes on leading"
    at_once(MemoryCluster(election.api).annotate_lease(NAMESPACE, LEASE, {DRAINING_UNTIL: "2026-01-01T00:00:00+00:00"}))
    election.rounds(1, *election.candidates)
    assert not any(candidate.draining for candidate in election.candidates)
    at_once(MemoryCluster(election.api).annotate_lease(NAMESPACE, LEASE, {DRAINING_UNTIL: "some day"}))
    election.rounds(1, *election.candidates)
    assert not any(candidate.draining for candidate in election.candidates)


def test_an_operator_that_started_after_the_platform_was_taken_away_begins_anew() -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    election = Election()
    election.rounds(1, *election.candidates)
    until = datetime.now(UTC) + timedelta(minutes=2)
    marks = {DRAINING_SINCE: before.isoformat(), DRAINING_UNTIL: until.isoformat()}
    at_once(MemoryCluster(election.api).annotate_lease(NAMESPACE, LEASE, marks))
    election.rounds(2, *election.candidates)
    assert not any(candidate.draining for candidate in election.candidates)
    marks[DRAINING_SINCE] = datetime.now(UTC).isoformat()
    at_once(MemoryCluster(election.api).annotate_lease(NAMESPACE, LEASE, marks))
    election.rounds(2, *election.candidates)
    assert all(candidate.draining for candidate in election.candidates)
