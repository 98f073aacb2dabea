"""Kafka and PostgreSQL are killed under load, and a participant stays away: every saga ends, and the books balance."""

import time
from collections import Counter

import pytest
from tests.e2e.cluster import until
from tests.e2e.release import Release
from tests.e2e.sagas import Namespace, order_saga

LONG = 600
COUNT = 20
BACK_SECONDS_MAX = 240.0

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("platform")]


def servers(release: Release, kind: str) -> list[str]:
    """Return the pods of the brokers, or of PostgreSQL."""
    label = {"kafka": f"strimzi.io/cluster={release.name}", "postgresql": release.selector("postgresql")}[kind]
    path = f"/api/v1/namespaces/{release.namespace}/pods"
    return [pod["metadata"]["name"] for pod in release.cluster.items(path, labelSelector=label)]


@pytest.mark.parametrize("kind", ["kafka", "postgresql"])
def test_a_server_that_is_killed_loses_no_saga(release: Release, room: Namespace, kind: str) -> None:
    names = [f"{kind}-{number}" for number in range(COUNT)]
    whole = [
        order_saga(
            name,
            mode=("Choreography", "Orchestration")[number % 2],
            product="prod-sold-out" if number % 5 == 4 else "prod-1",
            timeoutSeconds=LONG,
        )
        for number, name in enumerate(names)
    ]
    victims = servers(release, kind)
    assert victims, f"no pod of {kind}"
    room.apply(*whole[: COUNT // 2])
    until(lambda: any(its.phase for its in room.sagas() if its.name in names), 20, "the first saga has begun")
    release.kill(*victims)
    room.apply(*whole[COUNT // 2 :])
    for name in names:
        room.wait_for(name, lambda its: its.ended, BACK_SECONDS_MAX, "an end")
    phases = Counter(room.saga(name).phase for name in names)
    assert phases == {"Completed": COUNT - COUNT // 5, "Compensated": COUNT // 5}
    for name in names:
        room.demand_told_once(name)


def test_a_participant_that_stays_away_past_the_deadline_takes_back_what_was_done(
    release: Release, room: Namespace
) -> None:
    names = ("away-0", "away-1")
    with release.without("inventory"):
        room.apply(*(order_saga(name, timeoutSeconds=30) for name in names))
        for name in names:
            room.wait_for_phase(name, "Compensating", 90)
            assert room.saga(name).steps["payment"] == "Succeeded"
        assert all(time.time() >= room.saga(name).deadline.timestamp() for name in names)
    for name in names:
        its = room.wait_for_phase(name, "Compensated")
        assert (its.reason, its.truths["TimedOut"]) == ("DEADLINE_PASSED", "True")
        assert its.steps["inventory"] == "Barred"
        room.demand_told_once(name)
