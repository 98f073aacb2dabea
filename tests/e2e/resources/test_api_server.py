"""A real API server refuses every malformed resource with its sentence, and accepts the good ones.

The context is SAGAPLANE_E2E_CONTEXT. The resources live in a namespace of their own. No operator need run; those that
do are away meanwhile, for they would place orders and write statuses of their own.
"""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.resources.corpus import CORPUS, Case, Update, manifest
from tests.unit.operator.largest import TEXTS, largest_status

ROOT = Path(__file__).parents[3]
CONTEXT = os.environ.get("SAGAPLANE_E2E_CONTEXT", f"kind-{os.environ.get('KIND_CLUSTER', 'sagaplane')}")
SECONDS_MAX = 60
ORDER = {"userId": "user-1", "items": [{"productId": "prod-1", "quantity": 1, "price": "1.00"}]}
RESOURCES = ("ordersagas.sagaplane.io", "sagadefinitions.sagaplane.io")

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("resources")]


class Cluster:
    """The API server as `kubectl` speaks to it, in one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def run(self, *words: str, body: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        command = ["kubectl", "--context", CONTEXT, "--namespace", self.namespace, *words]
        text = None if body is None else json.dumps(body)
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)

    def must(self, *words: str, body: dict[str, Any] | None = None) -> str:
        done = self.run(*words, body=body)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def judge(self, body: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        """Apply the body without an effect."""
        return self.run("apply", "--dry-run=server", "-f", "-", body=body)

    def report(self, name: str, status: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        """Write the status as the operator does."""
        body = {
            "apiVersion": "sagaplane.io/v1alpha1",
            "kind": "OrderSaga",
            "metadata": {"name": name},
            "status": status,
        }
        words = ("apply", "--server-side", "--subresource=status", "--field-manager=sagaplane-operator", "-f", "-")
        return self.run(*words, body=body)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    its = Cluster(f"resources-{uuid.uuid4().hex[:8]}")
    if its.run("get", "crd", *RESOURCES).returncode != 0:  # else the chart brought them, which has the same
        its.must("apply", "--server-side", "-f", str(ROOT / "k8s" / "crds"))
    its.must("wait", "--for=condition=Established", f"--timeout={SECONDS_MAX}s", *(f"crd/{name}" for name in RESOURCES))
    with operators_away(its):
        its.must("create", "namespace", its.namespace)
        yield its
        its.must("delete", "namespace", its.namespace, "--wait=false")


@contextmanager
def operators_away(cluster: Cluster) -> Iterator[None]:
    """Have no operator run in between; those that ran come back."""
    selector = "--selector=app.kubernetes.io/name=sagaplane,app.kubernetes.io/component=operator"
    found = json.loads(cluster.must("get", "deployments", "--all-namespaces", selector, "--output=json"))["items"]
    places = {(its["metadata"]["namespace"], its["metadata"]["name"]): its["spec"]["replicas"] for its in found}
    try:
        for namespace, name in places:
            cluster.must("--namespace", namespace, "scale", f"deployment/{name}", "--replicas=0")
            cluster.must(
                "--namespace", namespace, "wait", "--for=delete", "pods", selector, f"--timeout={SECONDS_MAX - 5}s"
            )
        yield
    finally:
        for (namespace, name), replicas in places.items():
            cluster.must("--namespace", namespace, "scale", f"deployment/{name}", f"--replicas={replicas}")


@pytest.fixture
def name(cluster: Cluster, request: pytest.FixtureRequest) -> str:
    """The name of an OrderSaga that is there, held back so that no operator places its order."""
    name = f"held-{uuid.uuid4().hex[:8]}"
    spec = {"order": ORDER, "correlationId": name, "suspend": True, "deletionPolicy": "Orphan"}
    cluster.must("create", "-f", "-", body=manifest("OrderSaga", name, spec))
    return name


@pytest.mark.parametrize("case", CORPUS.malformed, ids=lambda case: case.name)
def test_a_malformed_resource_is_refused_with_its_sentence(cluster: Cluster, case: Case) -> None:
    refused = cluster.judge(case.manifest())
    assert refused.returncode != 0, refused.stdout
    assert case.says
    assert case.says in refused.stderr


@pytest.mark.parametrize("case", CORPUS.good, ids=lambda case: case.name)
def test_a_good_resource_is_accepted(cluster: Cluster, case: Case) -> None:
    judged = cluster.judge(case.manifest())
    assert judged.returncode == 0, judged.stderr


@pytest.mark.parametrize("case", CORPUS.updates, ids=lambda case: case.name)
def test_what_the_saga_began_with_stays_and_the_rest_may_change(cluster: Cluster, case: Update) -> None:
    cluster.must("apply", "-f", "-", body=manifest(case.kind, case.name, case.before))
    judged = cluster.judge(manifest(case.kind, case.name, case.after))
    assert (judged.returncode == 0) == (case.says is None), judged.stderr or judged.stdout
    assert (case.says or "") in judged.stderr


def test_every_sample_is_accepted(cluster: Cluster) -> None:
    cluster.must("apply", "--dry-run=server", "-f", str(ROOT / "k8s" / "samples"))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_largest_status_is_accepted_and_stored_whole(cluster: Cluster, name: str, text: str) -> None:
    body = largest_status(text).to_body()
    written = cluster.report(name, body)
    assert written.returncode == 0, written.stderr
    assert json.loads(cluster.must("get", "osaga", name, "-o", "json"))["status"] == body


@pytest.mark.parametrize("phase", ["Completed", "Compensated", "Killed"])
def test_a_terminal_phase_stays(cluster: Cluster, name: str, phase: str) -> None:
    for possible in ("Pending", "Running", "NeedsIntervention", "Compensating", phase):
        assert cluster.report(name, {"phase": possible}).returncode == 0
    assert cluster.report(name, {"phase": phase, "message": "more is known"}).returncode == 0
    for impossible in ({"phase": "Running"}, {"message": "the phase is gone"}):
        refused = cluster.report(name, impossible)
        assert refused.returncode != 0
        assert "a terminal phase stays" in refused.stderr
    assert cluster.report(name, {}).returncode != 0


def test_a_status_that_no_operator_of_ours_writes_is_refused(cluster: Cluster, name: str) -> None:
    for status, says in (
        ({"phase": "Dancing"}, "Unsupported value"),
        ({"message": "m" * 1025}, "Too long"),
        ({"deadline": "tomorrow"}, "must be of type date-time"),
        ({"reason": "two words"}, "status.reason"),
        ({"steps": [{"name": "a", "participant": "p", "state": "Idle"}] * 2}, "duplicate"),
    ):
        refused = cluster.report(name, status)
        assert refused.returncode != 0, status
        assert says in refused.stderr


def test_sagas_are_selected_by_correlation_phase_and_adopted_saga(cluster: Cluster, name: str) -> None:
    adopting = manifest("OrderSaga", f"{name}-adopting", {"sagaRef": {"sagaId": name}, "deletionPolicy": "Orphan"})
    cluster.must("create", "-f", "-", body=adopting)
    assert cluster.report(name, {"phase": "NeedsIntervention"}).returncode == 0
    for selector, found in (
        (f"spec.correlationId={name}", name),
        (f"status.phase=NeedsIntervention,spec.correlationId={name}", name),
        (f"status.phase=Running,spec.correlationId={name}", ""),
        (f"spec.sagaRef.sagaId={name}", f"{name}-adopting"),
    ):
        words = ("get", "osaga", "--field-selector", selector, "-o", "jsonpath={.items[*].metadata.name}")
        assert cluster.must(*words) == found


def test_a_list_of_sagas_reads_well(cluster: Cluster, name: str) -> None:
    status = largest_status("short").to_body() | {"step": "inventory 2/4", "reason": "OUT_OF_STOCK"}
    assert cluster.report(name, status).returncode == 0
    heading, row = cluster.must("get", "osaga", name).splitlines()
    assert heading.split() == ["NAME", "PHASE", "STEP", "REASON", "DEADLINE", "AGE"]
    assert row.split()[:-1] == [name, "NeedsIntervention", "inventory", "2/4", "OUT_OF_STOCK", "2026-11-26T10:00:00Z"]
    wide = cluster.must("get", "sagas", "-o", "wide", "--field-selector", f"metadata.name={name}").splitlines()[0]
    assert wide.split()[6:] == ["CORRELATION", "SAGA", "MODE", "MESSAGE"]


def test_a_list_of_definitions_reads_well(cluster: Cluster) -> None:
    spec = {"name": "order", "version": 7, "stages": [{"steps": [{"name": "a", "participant": "b", "command": "C"}]}]}
    cluster.must("apply", "-f", "-", body=manifest("SagaDefinition", "order-7", spec))
    heading, row = cluster.must("get", "sagadef", "order-7").splitlines()
    assert heading.split() == ["NAME", "SAGA", "VERSION", "VALIDATED", "AGE"]
    assert row.split()[:3] == ["order-7", "order", "7"]


@pytest.mark.parametrize("path", ["", ".spec", ".spec.order.items", ".spec.retryPolicy", ".status", ".status.steps"])
def test_explain_teaches_every_field(cluster: Cluster, path: str) -> None:
    told = cluster.must("explain", f"ordersagas{path}")
    assert "<no description>" not in told
    assert "DESCRIPTION:" in told
