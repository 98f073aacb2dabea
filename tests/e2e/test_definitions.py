"""Definitions as resources: another order of steps, a second version beside the first, and one that means nothing."""

from uuid import uuid4

import pytest
from tests.e2e.cluster import Body
from tests.e2e.release import Release
from tests.e2e.sagas import Namespace

LONG = 600
STEPS = {
    "payment": {"name": "payment", "participant": "payment", "command": "ChargePayment"},
    "inventory": {"name": "inventory", "participant": "inventory", "command": "ReserveInventory"},
    "shipping": {"name": "shipping", "participant": "shipping", "command": "ScheduleShipment", "kind": "Pivot"},
    "stock": {"name": "stock", "participant": "inventory", "command": "ConsumeReservation", "kind": "Retriable"},
}
MODES = ("Choreography", "Orchestration")

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("platform")]


def definition(name: str, version: int, *steps: str) -> Body:
    spec = {"name": name, "version": version, "stages": [{"steps": [STEPS[step]]} for step in steps]}
    metadata = {"name": f"{name}-{version}"}
    return {"apiVersion": "sagaplane.io/v1alpha1", "kind": "SagaDefinition", "metadata": metadata, "spec": spec}


def published(room: Namespace, body: Body) -> None:
    room.apply(body)
    for condition in ("Validated", "Published"):
        room.kubectl("wait", f"--for=condition={condition}", f"sagadef/{body['metadata']['name']}", "--timeout=30s")


def test_a_second_version_runs_beside_sagas_of_the_first(release: Release, room: Namespace) -> None:
    name = f"stock-first-{uuid4().hex[:6]}"
    first, second = ({"name": name, "version": version} for version in (1, 2))
    published(room, definition(name, 1, "inventory", "payment", "shipping", "stock"))
    with release.without("payment"):
        for mode in MODES:
            room.begin(f"first-{mode.lower()}", mode=mode, definitionRef=first, timeoutSeconds=LONG)
            its = room.wait_for_step(f"first-{mode.lower()}", "inventory", "Succeeded")
            assert [*its.steps] == ["inventory", "payment", "shipping", "stock"]
            assert its.steps["payment"] != "Succeeded"
        published(room, definition(name, 2, "payment", "inventory", "shipping", "stock"))
        for mode in MODES:
            room.begin(f"second-{mode.lower()}", mode=mode, definitionRef=second, timeoutSeconds=LONG)
            room.wait_for_placed(f"second-{mode.lower()}")
        assert room.saga("second-choreography").steps["inventory"] == "Idle"
    for mode in MODES:
        for which, version in (("first", 1), ("second", 2)):
            its = room.wait_for_phase(f"{which}-{mode.lower()}", "Completed")
            assert its.status["definition"] == f"{name}/{version}"
            assert its.status["mode"] == mode
            room.demand_told_once(its.name)


@pytest.mark.parametrize("mode", MODES)
def test_who_is_out_of_stock_is_never_charged_when_the_stock_comes_first(
    release: Release, room: Namespace, mode: str
) -> None:
    name = f"never-charged-{uuid4().hex[:6]}"
    published(room, definition(name, 1, "inventory", "payment", "shipping", "stock"))
    ref = {"name": name, "version": 1}
    room.begin(f"sold-out-{mode.lower()}", product="prod-sold-out", mode=mode, definitionRef=ref)
    its = room.wait_for_phase(f"sold-out-{mode.lower()}", "Compensated")
    assert its.reason == "OUT_OF_STOCK"
    payment = release.ask("payment", f"/payments/{its.saga_id}")
    assert payment.status_code == 404 or payment.json()["status"] == "barred"


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ({"name": "payment", "participant": "payment", "command": "PrintMoney"}, "PrintMoney"),
        ({"name": "gift", "participant": "santa", "command": "ChargePayment"}, "santa"),
    ],
    ids=["command", "participant"],
)
def test_a_definition_that_means_nothing_is_told_in_a_sentence(
    release: Release, room: Namespace, step: Body, says: str
) -> None:
    body = definition(f"nonsense-{step['name']}", 1, "shipping")
    body["spec"]["stages"].insert(0, {"steps": [step]})
    room.apply(body)
    name = body["metadata"]["name"]
    room.kubectl("wait", "--for=condition=Validated=False", f"sagadef/{name}", "--timeout=30s")
    told = room.kubectl("get", "sagadef", name, "-o", "jsonpath={.status.conditions[?(@.type=='Validated')].message}")
    assert says in told
    assert " " in told


def test_a_version_that_is_taken_is_not_defined_anew(release: Release, room: Namespace) -> None:
    name = f"taken-{uuid4().hex[:6]}"
    published(room, definition(name, 1, "inventory", "payment", "shipping", "stock"))
    other = definition(name, 1, "payment", "inventory", "shipping", "stock")
    other["metadata"]["name"] = f"{name}-other"
    room.apply(other)
    room.kubectl("wait", "--for=condition=Validated=False", f"sagadef/{name}-other", "--timeout=30s")
    told = room.kubectl(
        "get", "sagadef", f"{name}-other", "-o", "jsonpath={.status.conditions[?(@.type=='Validated')]}"
    )
    assert "another version" in told


def test_a_saga_of_a_definition_that_nobody_knows_yet_begins_when_it_comes(release: Release, room: Namespace) -> None:
    name = f"to-come-{uuid4().hex[:6]}"
    room.begin("early", definitionRef={"name": name, "version": 1}, timeoutSeconds=LONG)
    its = room.wait_for("early", lambda its: its.reason == "Retrying", what="reason Retrying")
    assert its.phase == "Pending"
    published(room, definition(name, 1, "inventory", "payment", "shipping", "stock"))
    room.wait_for_phase("early", "Completed")
