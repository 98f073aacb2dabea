"""What people do to a cluster by mistake: schemas deleted, writes forbidden, statuses written by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from tests.e2e.cluster import Body, Cluster, until
from tests.e2e.release import Release
from tests.e2e.sagas import Namespace, order_saga

from saga_operator.resources import API_VERSION, FINALIZER, ORDER_SAGA_PLURAL, SAGA_DEFINITION_PLURAL, STARTED_AT

LONG = 600
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
SCHEMAS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SERVED = f"/apis/{API_VERSION}"
BOTH = (ORDER_SAGA_PLURAL, SAGA_DEFINITION_PLURAL)
AGAIN_SECONDS_MAX = 90.0
"""kopf ends within five seconds, it is waited as long, and a status that was refused is tried again after fifteen."""

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("platform")]


@contextmanager
def no_statuses(room: Namespace) -> Iterator[None]:
    """Let a policy refuse every status in this namespace meanwhile."""
    name = f"no-statuses-{room.name}"
    rules = [{"apiGroups": ["sagaplane.io"], "apiVersions": ["*"], "operations": ["UPDATE"]}]
    selector = {"matchLabels": {"kubernetes.io/metadata.name": room.name}}
    spec = {
        "matchConstraints": {"resourceRules": [{**rules[0], "resources": ["ordersagas/status"]}]},
        "validations": [{"expression": "false", "message": "no status today"}],
    }
    bound = {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": selector}}
    kinds = {"ValidatingAdmissionPolicy": spec, "ValidatingAdmissionPolicyBinding": bound}
    items = [
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": its}
        for kind, its in kinds.items()
    ]
    room.apply(*items)
    try:
        until(lambda: "no status today" in refused_status(room), 30, "the policy is in force")
        yield
    finally:
        for plural in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
            room.cluster.delete(f"{ADMISSION}/{plural}/{name}")


def refused_status(room: Namespace) -> str:
    """Return what the API server says to a status that is written by hand."""
    words = ("patch", "ordersaga", "judged", "--subresource=status", "--type=merge", "--patch")
    return room.cluster.run("--namespace", room.name, *words, '{"status": {"message": "by hand"}}').stderr


def phase_of(release: Release, saga_id: str) -> str:
    """Return the phase of a saga as the order service has it."""
    return str(release.asked("order", f"/sagas/{saga_id}")["phase"])


def test_a_status_that_a_policy_refused_for_a_while_is_right_afterwards(release: Release, room: Namespace) -> None:
    room.begin("judged", suspend=True)
    with release.without("inventory"):
        room.begin("under-way", timeoutSeconds=LONG)
        its = room.wait_for_step("under-way", "payment", "Succeeded")
        with no_statuses(room):
            release.scale("inventory", 1)
            until(lambda: phase_of(release, its.saga_id) == "Completed", 60, "it completes")
            assert room.saga("under-way").phase == "Running"
    room.wait_for_phase("under-way", "Completed", AGAIN_SECONDS_MAX)
    room.delete("judged")


def test_a_running_saga_whose_status_says_completed_is_still_held(release: Release, room: Namespace) -> None:
    with release.without("inventory"):
        room.begin("forged", timeoutSeconds=LONG)
        saga_id = room.wait_for_step("forged", "payment", "Succeeded").saga_id
        forged: Body = {"phase": "Completed", "completionTime": "2026-01-01T00:00:00Z"}
        room.cluster.patch(f"{room.path('forged')}/status", {"status": forged})
        until(lambda: any(each["reason"] == "StatusForeign" for each in room.events_of("forged")), 45, "it is told")
        room.delete("forged")
        until(lambda: phase_of(release, saga_id) == "Compensating", 30, "it is taken back")
        assert room.find("forged") is not None
    room.wait_gone("forged")
    assert release.asked("order", f"/orders/{saga_id}")["status"] == "cancelled"


def test_a_resource_that_was_replaced_while_its_saga_runs_is_held_again(release: Release, room: Namespace) -> None:
    """`kubectl replace` takes off what the operator wrote there: the saga was told to have ended, and was let go."""
    body = order_saga("replaced", timeoutSeconds=LONG)
    with release.without("inventory"):
        room.create(body)
        its = room.wait_for_step("replaced", "payment", "Succeeded")
        room.kubectl("replace", "--filename=-", body=body)
        until(lambda: is_held(room.saga("replaced").body), 30, "it is held again")
        assert room.saga("replaced").phase == "Running"
    room.wait_for_phase("replaced", "Completed", AGAIN_SECONDS_MAX)
    assert phase_of(release, its.saga_id) == "Completed"


def is_held(body: Body) -> bool:
    metadata = body["metadata"]
    return FINALIZER in metadata.get("finalizers", ()) and STARTED_AT in metadata.get("annotations", {})


def test_one_made_again_with_its_key_to_be_cancelled_takes_back_the_first_order(
    release: Release, room: Namespace
) -> None:
    spec: Body = {"idempotencyKey": f"key-{room.name}", "timeoutSeconds": LONG}
    with release.without("inventory"):
        room.begin("made-again", deletionPolicy="Orphan", **spec)
        saga_id = room.wait_for_step("made-again", "payment", "Succeeded").saga_id
        room.delete("made-again")
        room.wait_gone("made-again")
        assert phase_of(release, saga_id) == "Running"
        room.create(order_saga("made-again", cancel=True, **spec))
        until(lambda: phase_of(release, saga_id) == "Compensating", 60, "it is taken back")
    room.wait_for_phase("made-again", "Compensated", AGAIN_SECONDS_MAX)
    assert release.asked("order", f"/orders/{saga_id}")["status"] == "cancelled"


def anew(body: Body) -> Body:
    """Return the object as somebody would create it again."""
    metadata = body["metadata"]
    kept = {name: metadata[name] for name in ("name", "namespace", "labels", "annotations") if name in metadata}
    return {name: value for name, value in body.items() if name != "status"} | {"metadata": kept}


def applied(cluster: Cluster, body: Body) -> bool:
    return cluster.run("apply", "--filename=-", body=body).returncode == 0


@pytest.mark.parametrize("plural", BOTH)
def test_a_schema_that_was_deleted_and_applied_again_is_served_as_before(
    plural: str, cluster: Cluster, release: Release, room: Namespace
) -> None:
    path = f"{SCHEMAS}/{plural}.sagaplane.io"
    schema = cluster.get(path)
    assert schema is not None
    definitions = cluster.items(f"{SERVED}/{SAGA_DEFINITION_PLURAL}")
    cluster.delete(path)
    try:
        until(lambda: cluster.get(path) is None, 60, "the schema is gone")
        until(lambda: not release.is_ready("operator"), 60, "the operators say that they see nothing")
    finally:
        cluster.must("create", "--filename=-", body=anew(schema))
    # It is answered 404 and 429 until its storage is there.
    until(lambda: all(cluster.http.get(f"{SERVED}/{each}").is_success for each in BOTH), 30, "it is served")
    for definition in definitions:
        # What is served may not be listed yet for kubectl to find.
        until(partial(applied, cluster, anew(definition)), 30, f"{definition['metadata']['name']} is applied")
    room.create(order_saga(f"after-{plural}", timeoutSeconds=LONG))
    room.wait_for_phase(f"after-{plural}", "Completed", AGAIN_SECONDS_MAX)
