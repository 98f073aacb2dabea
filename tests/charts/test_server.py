"""The strongest judge: a real API server with Strimzi's definitions, which is asked and changes nothing."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from uuid import uuid4

import pytest
import yaml  # type: ignore[import-untyped]
from tests.charts.rendering import NAMED, Manifest, manifests

pytestmark = [pytest.mark.charts, pytest.mark.cluster]

CONTEXT = os.environ.get("SAGAPLANE_E2E_CONTEXT", f"kind-{os.environ.get('KIND_CLUSTER', 'sagaplane')}")


def kubectl(*words: str, body: str = "") -> subprocess.CompletedProcess[str]:
    command = ["kubectl", "--context", CONTEXT, *words]
    return subprocess.run(command, input=body, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """A namespace that admits restricted pods only, with the accounts that a pod is admitted with."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH")
    if kubectl("get", "--raw=/readyz").returncode != 0:
        pytest.skip(f"no cluster answers at {CONTEXT}")
    name = f"chart-{uuid4().hex[:8]}"
    assert kubectl("create", "namespace", name).returncode == 0
    labels = [f"pod-security.kubernetes.io/{what}=restricted" for what in ("enforce", "warn")]
    assert kubectl("label", "namespace", name, *labels).returncode == 0
    assert kubectl("--namespace", name, "create", "serviceaccount", "sagaplane-test").returncode == 0
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize("name", NAMED)
def test_the_api_server_takes_every_manifest(name: str, namespace: str) -> None:
    served = kubectl("api-versions").stdout.split()
    asked = [_there(found, namespace) for found in manifests(name) if found["apiVersion"] in served]
    left = {found["apiVersion"] for found in manifests(name)} - set(served)
    assert left <= {"keda.sh/v1alpha1", "sagaplane.io/v1alpha1"}, "what the server does not serve is KEDA's or ours"
    done = kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", body=yaml.safe_dump_all(asked)
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


def _there(found: Manifest, namespace: str) -> Manifest:
    """Return a manifest as it would be in another namespace."""
    if "namespace" not in found["metadata"]:
        return found
    return {**found, "metadata": {**found["metadata"], "namespace": namespace}}
