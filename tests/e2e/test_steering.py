"""What a person wishes of a running saga, told by the spec: cancel, suspend, retry, delete, adopt, and be forgotten."""

import time
from dataclasses import dataclass
from uuid import uuid4

import pytest
from tests.e2e.cluster import until
from tests.e2e.release import Release
from tests.e2e.sagas import Namespace, Saga, order_saga

LONG = 600

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("platform")]


@dataclass(frozen=True)
class Halfway:
    """Sagas that had paid while the inventory was away, and were steered then; afterwards it came back."""

    deleted: Saga
    orphan: Saga
    orphan_gone_seconds: float
    adopted: dict[str, str]


@pytest.fixture(scope="module")
def halfway(session_release: Release, room: Namespace) -> Halfway:
    release = session_release
    release.wait_until_ready()
    release.stock_up()
    modes = ("choreography", "orchestration")
    with release.without("inventory"):
        adopted = {mode: release.place(f"adopted-{uuid4().hex}", mode=mode) for mode in modes}
        room.apply(
            *(order_saga(name, timeoutSeconds=LONG) for name in ("cancelled", "held", "deleted")),
            order_saga("orphan", timeoutSeconds=LONG, deletionPolicy="Orphan"),
            *(order_saga(f"adopting-{mode}", sagaRef={"sagaId": adopted[mode]}) for mode in modes),
        )
        names = ("cancelled", "held", "deleted", "orphan", *(f"adopting-{mode}" for mode in modes))
        paid = {name: room.wait_for_step(name, "payment", "Succeeded") for name in names}
        room.change("held", suspend=True)
        room.change("cancelled", cancel=True, cancelReason="the customer rang")
        for mode in modes:
            room.change(f"adopting-{mode}", cancel=True)
            room.wait_for_phase(f"adopting-{mode}", "Compensating")
        room.delete("deleted")
        room.delete("orphan")
        gone_seconds = room.wait_gone("orphan", 20)
        room.wait_for_phase("deleted", "Compensating")
        room.wait_for_phase("cancelled", "Compensating")
        room.wait_for("held", lambda its: its.status.get("suspended") is True, what="to be suspended")
    return Halfway(paid["deleted"], paid["orphan"], gone_seconds, adopted)


def test_a_cancelled_saga_gives_the_money_back(release: Release, room: Namespace, halfway: Halfway) -> None:
    its = room.wait_for_phase("cancelled", "Compensated")
    assert its.truths["Succeeded"] == "False"
    assert its.truths["TimedOut"] == "False"
    assert release.asked("payment", f"/payments/{its.saga_id}")["status"] == "refunded"
    room.demand_told_once("cancelled")


def test_a_suspended_saga_begins_no_step_until_it_is_resumed(
    release: Release, room: Namespace, halfway: Halfway
) -> None:
    room.begin("beside-it")
    room.wait_for_phase("beside-it", "Completed")
    its = room.saga("held")
    assert its.phase == "Running"
    assert its.steps["shipping"] == "Idle"
    room.change("held", suspend=False)
    room.wait_for_phase("held", "Completed")
    room.demand_told_once("held")


def test_deleting_a_running_saga_takes_it_back_first(release: Release, room: Namespace, halfway: Halfway) -> None:
    room.wait_gone("deleted")
    assert release.asked("order", f"/orders/{halfway.deleted.saga_id}")["status"] == "cancelled"
    assert release.asked("payment", f"/payments/{halfway.deleted.saga_id}")["status"] == "refunded"


def test_an_orphaned_saga_runs_on_without_its_resource(release: Release, room: Namespace, halfway: Halfway) -> None:
    assert halfway.orphan_gone_seconds < 10
    path = f"/orders/{halfway.orphan.saga_id}"
    until(lambda: release.asked("order", path)["status"] == "confirmed", 60, "the order is confirmed")


@pytest.mark.parametrize("mode", ["choreography", "orchestration"])
def test_a_saga_that_came_over_http_is_adopted_and_steered(
    release: Release, room: Namespace, halfway: Halfway, mode: str
) -> None:
    its = room.wait_for_phase(f"adopting-{mode}", "Compensated")
    assert its.saga_id == halfway.adopted[mode]
    assert its.status["mode"] == mode.capitalize()
    assert release.asked("order", f"/orders/{its.saga_id}")["status"] == "cancelled"


def test_an_order_cancelled_before_it_is_placed_never_is(release: Release, room: Namespace) -> None:
    room.begin("never-mind", suspend=True)
    room.change("never-mind", cancel=True)
    its = room.wait_for_phase("never-mind", "Compensated")
    assert its.reason == "CANCELLED"
    assert release.ask("order", f"/orders/{its.saga_id}").status_code == 404


def test_a_cancel_that_comes_too_late_is_refused_in_words(release: Release, room: Namespace) -> None:
    room.begin("too-late")
    room.wait_for_phase("too-late", "Completed")
    room.change("too-late", cancel=True)
    its = room.wait_for("too-late", lambda its: its.status["observedGeneration"] == 2, what="the change is seen")
    assert its.phase == "Completed"


def test_a_finished_resource_is_forgotten_after_its_time(release: Release, room: Namespace) -> None:
    its = room.begin("short-lived", ttlSecondsAfterFinished=3)
    room.begin("long-lived")
    room.wait_for_phase("long-lived", "Completed")
    room.wait_gone("short-lived", 30)
    assert release.asked("order", f"/orders/{its.saga_id}")["status"] == "confirmed"
    assert room.find("long-lived") is not None


def test_a_resource_made_again_with_its_key_adopts_its_order_and_charges_once(
    release: Release, room: Namespace
) -> None:
    key = uuid4().hex
    first = room.begin("again", idempotencyKey=key)
    room.wait_for_phase("again", "Completed")
    paid = release.asked("payment", f"/payments/{first.saga_id}")
    room.delete("again")
    room.wait_gone("again", 20)
    room.begin("again", idempotencyKey=key)
    second = room.wait_for_phase("again", "Completed")
    assert second.saga_id == first.saga_id
    assert second.body["metadata"]["uid"] != first.body["metadata"]["uid"]
    assert release.asked("payment", f"/payments/{first.saga_id}") == paid


def test_without_a_key_a_resource_made_again_is_another_order(release: Release, room: Namespace) -> None:
    first = room.begin("another")
    room.wait_for_phase("another", "Completed")
    room.delete("another")
    room.wait_gone("another", 20)
    second = room.begin("another")
    assert second.saga_id != first.saga_id
    room.wait_for_phase("another", "Completed")


def test_a_saga_that_nobody_has_is_looked_for_and_may_be_let_go(release: Release, room: Namespace) -> None:
    room.begin("nobodys", sagaRef={"sagaId": "nobody-has-this"})
    room.wait_for("nobodys", lambda its: its.reason == "SagaNotFound", what="reason SagaNotFound")
    room.delete("nobodys")
    room.wait_gone("nobodys", 20)


def test_a_refused_order_says_why_and_stops(release: Release, room: Namespace) -> None:
    room.apply(order_saga("odd-yen", price="10.50"))
    body = order_saga("half-yen", price="0.5")
    body["spec"]["order"]["currency"] = "JPY"
    done = room.cluster.run("--namespace", room.name, "apply", "--filename=-", body=body)
    if done.returncode == 0:
        its = room.wait_for_phase("half-yen", "Compensated")
        assert its.truths["Validated"] == "False"
        assert its.truths["Stalled"] == "True"
        assert "0.5" in its.status["message"]
    room.wait_for_phase("odd-yen", "Completed")


def test_a_stuck_saga_asks_for_a_person_and_a_retry_helps(
    release: Release, room: Namespace, impatient: dict[str, object]
) -> None:
    """The bank moves the money and its answer is lost, so that the payment is in doubt until somebody asks again."""
    with release.with_settings("payment", PAYMENT_UNKNOWN_RATE="1.0"):
        room.begin("stuck", **impatient)
        room.begin("stubborn", retryPolicy={"limit": 100, "backoffSeconds": 3}, **impatient)
        its = room.wait_for_phase("stuck", "NeedsIntervention")
        assert its.truths["Stalled"] == "True"
        assert its.truths["Finished"] == "False"
        room.wait_for("stubborn", lambda its: its.status.get("retries", 0) >= 1, what="a retry by itself")
    room.change("stuck", retryToken="first")
    its = room.wait_for_phase("stuck", "Completed")
    assert its.status["observedRetryToken"] == "first"
    room.demand_told_once("stuck")
    assert room.wait_for_phase("stubborn", "Completed").status["retries"] >= 1


def test_a_stuck_saga_of_the_bulk_appears_as_a_resource_and_is_cancelled_there(
    release: Release, room: Namespace, impatient: dict[str, object]
) -> None:
    order = {
        "userId": "user-bulk",
        "items": [{"productId": "prod-1", "quantity": 1, "price": "3.00"}],
        "definition": "/".join(str(each) for each in impatient["definitionRef"].values()),  # type: ignore[attr-defined]
        "deadline": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + LONG)),
    }
    bulk = Namespace(room.cluster, release.namespace)
    with release.with_settings("payment", PAYMENT_UNKNOWN_RATE="1.0"):
        headers = {"Idempotency-Key": uuid4().hex}
        placed = room.cluster.http.post(f"{release.url('order')}/orders", json=order, headers=headers)
        assert placed.is_success, placed.text
        saga_id = placed.json()["id"]
        until(
            lambda: any(its.status.get("sagaId") == saga_id for its in bulk.sagas()),
            60,
            "the saga appears as a resource",
        )
        (its,) = [its for its in bulk.sagas() if its.status.get("sagaId") == saga_id]
        bulk.wait_for_phase(its.name, "NeedsIntervention")
    bulk.change(its.name, cancel=True)
    bulk.change(its.name, retryToken="now")
    bulk.wait_for_phase(its.name, "Compensated")
    assert release.asked("payment", f"/payments/{saga_id}")["status"] == "refunded"
    bulk.delete(its.name)
    bulk.wait_gone(its.name, 20)
