"""Each sample reaches the state that its comment says, and kubectl tells it."""

from collections import Counter
from dataclasses import dataclass
from uuid import uuid4

import msgspec
import pytest
from tests.e2e.release import ROOT, Release
from tests.e2e.sagas import Namespace, Saga, order_saga

SAMPLES = ROOT / "k8s" / "samples"
AT_ONCE = ("success", "decline", "out-of-stock", "orchestrated", "suspended", "definition-inventory-first", "ten")
RUN = uuid4().hex[:8]
VECTORS = {
    "Completed": {"Succeeded": "True", "Finished": "True", "Compensated": "False", "TimedOut": "False"},
    "Compensated": {"Succeeded": "False", "Finished": "True", "Compensated": "True", "TimedOut": "False"},
    "Pending": {"Succeeded": "Unknown", "Finished": "False", "Compensated": "False", "TimedOut": "False"},
}
TEN = Counter({("Completed", "Completed"): 6, ("Compensated", "LIMIT_EXCEEDED"): 2, ("Compensated", "OUT_OF_STOCK"): 2})

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("platform")]


@dataclass(frozen=True)
class Ending:
    """How a sample stands in the end."""

    name: str
    phase: str
    reason: str
    steps: dict[str, str]


ALL = dict.fromkeys(("payment", "inventory", "shipping", "stock"), "Succeeded")
ENDINGS = [
    Ending("order-confirmed", "Completed", "Completed", ALL),
    Ending("order-declined", "Compensated", "LIMIT_EXCEEDED", {"payment": "Refused"}),
    Ending("order-out-of-stock", "Compensated", "OUT_OF_STOCK", {"payment": "Compensated", "inventory": "Refused"}),
    Ending("order-orchestrated", "Completed", "Completed", ALL),
    Ending("order-suspended", "Pending", "Suspended", {}),
    Ending("order-inventory-first", "Completed", "Completed", ALL),
]


def sample(name: str) -> str:
    """Return a sample with correlation ids of this run: each belongs to one saga for ever."""
    text = (SAMPLES / f"{name}.yaml").read_text(encoding="utf-8")
    return text.replace("correlationId: ", f"correlationId: {RUN}-")


@pytest.fixture(scope="module")
def samples(room: Namespace, session_release: Release) -> Namespace:
    """A namespace in which the samples were applied, all at once, and have come to rest."""
    session_release.wait_until_ready()
    session_release.stock_up()
    for name in AT_ONCE:
        room.kubectl("apply", "--filename=-", body=sample(name))
    for ending in ENDINGS:
        room.wait_for_phase(ending.name, ending.phase)
    for number in range(1, 11):
        room.wait_for(f"ten-{number:02}", lambda its: its.ended, what="an end")
    return room


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.name)
def test_a_sample_ends_as_its_comment_says(release: Release, samples: Namespace, ending: Ending) -> None:
    its = samples.saga(ending.name)
    assert (its.phase, its.reason) == (ending.phase, ending.reason)
    assert {name: its.steps[name] for name in ending.steps} == ending.steps
    assert {name: its.truths[name] for name in VECTORS[ending.phase]} == VECTORS[ending.phase]
    if ending.phase == "Pending":
        assert release.ask("order", f"/orders/{its.saga_id}").status_code == 404
    else:
        assert release.asked("order", f"/orders/{its.saga_id}")["correlationId"] == its.status["correlationId"]


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.name)
def test_every_condition_is_about_the_resource_as_it_is_now(
    release: Release, samples: Namespace, ending: Ending
) -> None:
    its = samples.saga(ending.name)
    generation = its.body["metadata"]["generation"]
    assert its.status["observedGeneration"] == generation
    assert {each["observedGeneration"] for each in its.status["conditions"]} == {generation}
    assert len(msgspec.json.encode(its.status)) <= 10_000


def test_ten_at_once_end_as_their_comment_says(release: Release, samples: Namespace) -> None:
    found = [its for its in samples.sagas() if its.name.startswith("ten-")]
    assert Counter((its.phase, its.reason) for its in found) == TEN
    assert {its.status["mode"] for its in found} == {"Choreography", "Orchestration"}


def test_kubectl_waits_for_conditions(release: Release, samples: Namespace) -> None:
    for condition, name in (
        ("Succeeded", "order-confirmed"),
        ("Finished", "order-declined"),
        ("Succeeded=False", "order-declined"),
        ("Compensated", "order-out-of-stock"),
        ("Validated", "order-orchestrated"),
    ):
        samples.kubectl("wait", f"--for=condition={condition}", f"osaga/{name}", "--timeout=5s")


def test_kubectl_waits_for_a_saga_that_only_begins(release: Release, samples: Namespace) -> None:
    samples.create(order_saga("waited-for"))
    samples.kubectl("wait", "--for=condition=Succeeded", "osaga/waited-for", "--timeout=30s")
    samples.demand_told_once("waited-for")


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.name)
def test_describe_tells_each_transition_once(release: Release, samples: Namespace, ending: Ending) -> None:
    samples.demand_told_once(ending.name)
    told = samples.kubectl("describe", "osaga", ending.name)
    for reason in {"Completed", "Compensated"} & {*samples.saga(ending.name).transitions}:
        events = told.partition("\nEvents:")[2]
        assert sum(line.split()[1:2] == [reason] for line in events.splitlines()) == 1, told


def test_a_list_tells_phase_step_and_reason(release: Release, samples: Namespace) -> None:
    heading, *rows = samples.kubectl("get", "ordersagas").splitlines()
    assert heading.split() == ["NAME", "PHASE", "STEP", "REASON", "DEADLINE", "AGE"]
    row = next(row.split() for row in rows if row.startswith("order-confirmed "))
    assert row[1:4] == ["Completed", "4/4", "Completed"]
    row = next(row.split() for row in rows if row.startswith("order-suspended "))
    assert row[1:3] == ["Pending", "Suspended"]


def test_a_suspended_sample_begins_when_it_is_resumed(release: Release, samples: Namespace) -> None:
    samples.kubectl("patch", "osaga", "order-suspended", "--type=merge", "--patch", '{"spec":{"suspend":false}}')
    samples.wait_for_phase("order-suspended", "Completed")
    samples.demand_told_once("order-suspended")
    assert samples.saga("order-suspended").body["metadata"]["generation"] == 2


def test_an_order_whose_payment_is_away_times_out_and_is_never_charged(release: Release, samples: Namespace) -> None:
    with release.without("payment"):
        samples.kubectl("apply", "--filename=-", body=sample("timeout"))
        samples.wait_for_phase("order-timed-out", "Compensating")
    its: Saga = samples.wait_for_phase("order-timed-out", "Compensated")
    assert its.reason == "DEADLINE_PASSED"
    assert its.truths["TimedOut"] == "True"
    assert its.steps["payment"] == "Barred"
    payment = release.ask("payment", f"/payments/{its.saga_id}")
    assert payment.status_code == 404 or payment.json()["status"] == "barred", payment.text
    samples.demand_told_once("order-timed-out")
