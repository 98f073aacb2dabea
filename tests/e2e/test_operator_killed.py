"""Operators are killed, alone and together, while sagas are in every phase: nothing is lost or done twice."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.e2e.cluster import until
from tests.e2e.release import Release
from tests.e2e.sagas import Namespace, order_saga
from tests.e2e.witness import witness

FAIL_OVER_SECONDS_MAX = 30.0
RESTART_SECONDS_MAX = 15.0
ABORT_SECONDS_MAX = 2.0
LONG = 600
"""A deadline, in seconds, that no test waits for."""

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("platform")]


def everyone(release: Release) -> list[str]:
    return release.pod_names("operator")


def only_the_leader(release: Release) -> list[str]:
    return [release.wait_for_leader()]


@pytest.mark.parametrize("victims", [only_the_leader, everyone], ids=lambda victims: victims.__name__)
def test_a_new_leader_carries_on_with_sagas_in_every_phase(
    release: Release, room: Namespace, impatient: dict[str, object], victims: Callable[[Release], list[str]]
) -> None:
    word = victims.__name__.replace("_", "-")
    names = [f"{phase}-{word}" for phase in ("pending", "running", "held", "cancelled", "deleted", "stuck")]
    pending, running, held, cancelled, deleted, stuck = names
    forgotten = f"forgotten-{word}"
    with release.with_settings("payment", PAYMENT_UNKNOWN_RATE="1.0"):
        room.begin(stuck, **impatient)
        room.wait_for_phase(stuck, "NeedsIntervention")
    with release.without("inventory"):
        room.apply(
            order_saga(pending, suspend=True, timeoutSeconds=LONG),
            *(order_saga(name, timeoutSeconds=LONG) for name in (running, held, cancelled, deleted)),
        )
        for name in (running, held, cancelled, deleted):
            room.wait_for_step(name, "payment", "Succeeded")
        room.change(held, suspend=True)
        room.change(cancelled, cancel=True)
        room.delete(deleted)
        room.wait_for(held, lambda its: bool(its.status.get("suspended")), what="to be suspended")
        for name in (cancelled, deleted):
            room.wait_for_phase(name, "Compensating")
        room.begin(forgotten, price="20000.00", ttlSecondsAfterFinished=20)
        room.wait_for_phase(forgotten, "Compensated")
        before = {name: room.saga(name).phase for name in names}
        leader = release.wait_for_leader()
        began = time.monotonic()
        release.kill(*victims(release))
        release.wait_for_leader(other_than=leader)
        room.apply(order_saga(f"after-{word}", suspend=True))
        room.wait_for_phase(f"after-{word}", "Pending")
        assert time.monotonic() - began < FAIL_OVER_SECONDS_MAX + RESTART_SECONDS_MAX
        assert {name: room.saga(name).phase for name in names} == before
    room.wait_for_phase(running, "Completed")
    room.wait_for_phase(cancelled, "Compensated")
    room.wait_gone(deleted)
    room.wait_gone(forgotten)
    for name in (pending, held):
        room.change(name, suspend=False)
    room.change(stuck, retryToken="now")
    for name in (pending, held, stuck):
        room.wait_for_phase(name, "Completed")
    for name in (pending, running, held, cancelled, stuck):
        room.demand_told_once(name)


def test_the_other_replica_leads_soon_and_an_order_is_placed_once(release: Release, room: Namespace) -> None:
    release.wait_until_ready("operator")
    names = [f"burst-{number}" for number in range(20)]
    leader = release.wait_for_leader()
    with ThreadPoolExecutor(1) as pool:
        applying = pool.submit(room.apply, *(order_saga(name, timeoutSeconds=LONG) for name in names))
        until(
            lambda: any(its.phase for its in room.sagas() if its.name.startswith("burst-")), 20, "a saga of the burst"
        )
        release.kill(leader)
        seconds = until(lambda: release.leader() not in ("", leader), FAIL_OVER_SECONDS_MAX, "another operator leads")
        applying.result()
    for name in names:
        room.wait_for_phase(name, "Completed")
        room.demand_told_once(name)
    assert seconds < FAIL_OVER_SECONDS_MAX


def test_an_object_is_released_by_the_next_operator_when_the_first_dies_before_that(
    release: Release, room: Namespace
) -> None:
    with release.without("inventory"):
        room.begin("released", timeoutSeconds=LONG)
        room.wait_for_step("released", "payment", "Succeeded")
        room.delete("released")
        room.wait_for_phase("released", "Compensating")
        before = release.close("operator")
    try:
        path = f"/sagas/{room.saga('released').saga_id}"
        until(lambda: release.asked("order", path)["phase"] == "Compensated", 60, "the saga ends without an operator")
        assert room.find("released") is not None, "only an operator releases"
    finally:
        release.scale("operator", before)
    room.wait_gone("released")


def test_with_two_operators_nothing_is_told_or_done_twice(release: Release, room: Namespace) -> None:
    release.wait_until_ready("operator")
    names = [f"both-{number}" for number in range(10)]
    leader = release.wait_for_leader()
    (idle,) = {*release.pod_names("operator")} - {leader}
    written = release.metric(idle, "saga_operator_api_writes_total", resource="ordersagas")
    room.apply(*(order_saga(name, price="20000.00" if name.endswith("3") else "10.00") for name in names))
    for name in names:
        room.wait_for(name, lambda its: its.ended, what="an end")
        room.demand_told_once(name)
    leading = [pod for pod in release.pod_names("operator") if release.metric(pod, "saga_operator_is_leader") == 1]
    assert leading == [leader]
    assert release.metric(idle, "saga_operator_api_writes_total", resource="ordersagas") == written


def test_a_deadline_that_passed_without_an_operator_is_enforced_at_its_return(
    release: Release, room: Namespace
) -> None:
    with release.without("payment"), witness(release) as heard:
        room.begin("nobody-watched", timeoutSeconds=60)
        its = room.wait_for_placed("nobody-watched")
        with release.without("order"):
            with release.without("operator"):
                until(lambda: time.time() > its.deadline.timestamp() + 1, 70, "the deadline passes")
                assert heard.of(its.saga_id) == []
            until(lambda: heard.of(its.saga_id), 60, "somebody asks the saga to abort")
            assert {abort.source for abort in heard.of(its.saga_id)} == {"operator"}
    ended = room.wait_for_phase("nobody-watched", "Compensated")
    assert (ended.reason, ended.truths["TimedOut"]) == ("DEADLINE_PASSED", "True")
    room.demand_told_once("nobody-watched")


def test_a_deadline_is_enforced_while_the_order_service_is_away(release: Release, room: Namespace) -> None:
    with release.without("payment"), witness(release) as heard:
        room.begin("no-order-service", timeoutSeconds=40)
        its = room.wait_for_placed("no-order-service")
        with release.without("order"):
            assert time.time() < its.deadline.timestamp(), "the order service was away too late"
            until(lambda: heard.of(its.saga_id), 90, "somebody asks the saga to abort")
            first = min(heard.of(its.saga_id), key=lambda abort: abort.at)  # a request that is made twice is one
            assert first.source == "operator"
            assert 0 <= (first.at - its.deadline).total_seconds() < ABORT_SECONDS_MAX
    ended = room.wait_for_phase("no-order-service", "Compensated")
    assert (ended.reason, ended.truths["TimedOut"]) == ("DEADLINE_PASSED", "True")
    room.demand_told_once("no-order-service")


def test_an_order_is_placed_when_the_order_service_is_back(release: Release, room: Namespace) -> None:
    with release.without("order"):
        its = room.begin("placed-later", timeoutSeconds=LONG)
        its = room.wait_for("placed-later", lambda its: its.reason == "Retrying", what="reason Retrying")
        assert "order service" in its.status["message"]
    room.wait_for_phase("placed-later", "Completed")


def test_an_order_that_could_not_be_placed_before_its_deadline_never_is(release: Release, room: Namespace) -> None:
    with release.without("order"):
        room.begin("never-placed", timeoutSeconds=5)
        its = room.wait_for_phase("never-placed", "Compensated")
        assert (its.reason, its.truths["TimedOut"]) == ("DEADLINE_PASSED", "True")
    path = f"/orders/{its.saga_id}"
    until(lambda: release.ask("order", path).status_code == 404, 30, "the order service answers that there is none")
