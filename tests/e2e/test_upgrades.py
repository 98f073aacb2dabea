"""The release is upgraded, rolled back, uninstalled and installed again, and the API server dies, while sagas run."""

import json
from collections.abc import Iterator

import pytest
from tests.e2e.cluster import Cluster, until
from tests.e2e.conftest import make_namespace, remove_namespace
from tests.e2e.release import Release, install
from tests.e2e.sagas import Namespace, order_saga

LONG = 900
COUNT = 10

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("platform")]


@pytest.fixture
def in_flight(release: Release, cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A namespace in which ten sagas have paid and are held back."""
    name = f"e2e-{request.function.__name__.removeprefix('test_').replace('_', '-')[:40].strip('-')}"
    room = make_namespace(cluster, name)
    with release.without("inventory"):
        room.apply(*(order_saga(name, timeoutSeconds=LONG) for name in names()))
        for name in names():
            room.wait_for_step(name, "payment", "Succeeded")
            room.change(name, suspend=True)
        for name in names():
            room.wait_for(name, lambda its: its.status.get("suspended") is True, what="to be suspended")
    yield room
    remove_namespace(room)


def names() -> list[str]:
    return [f"held-{number}" for number in range(COUNT)]


def finish(room: Namespace) -> None:
    """Demand that each saga is where it was, and ends well once it is let go."""
    for name in names():
        assert room.saga(name).phase == "Running", room.saga(name).status
        room.change(name, suspend=False)
    for name in names():
        room.wait_for_phase(name, "Completed", 120)
        room.demand_told_once(name)


def test_an_upgrade_and_a_rollback(release: Release, in_flight: Namespace) -> None:
    in_flight.apply(*(order_saga(f"load-{number}", timeoutSeconds=LONG) for number in range(COUNT)))
    release.set_values(
        "--set-string=commonLabels.wave=second", "--set-string=serviceDefaults.podAnnotations.wave=second"
    )
    in_flight.apply(*(order_saga(f"more-{number}", timeoutSeconds=LONG) for number in range(COUNT)))
    release.helm("test", release.name)
    release.helm("rollback", release.name)
    release.wait_until_ready()
    for kind in ("load", "more"):
        for number in range(COUNT):
            in_flight.wait_for_phase(f"{kind}-{number}", "Completed", 120)
    finish(in_flight)


def test_a_namespaced_release_has_no_cluster_role(release: Release, in_flight: Namespace) -> None:
    release.set_values("--set=operator.clusterWide=false", f"--set=operator.watchNamespaces={{{in_flight.name}}}")
    try:
        selector = f"app.kubernetes.io/instance={release.name}"
        for kind in ("clusterroles", "clusterrolebindings"):
            path = f"/apis/rbac.authorization.k8s.io/v1/{kind}"
            assert release.cluster.items(path, labelSelector=selector) == []
        account = f"system:serviceaccount:{release.namespace}:{release.name}-operator"
        for namespace, may in ((in_flight.name, "yes"), ("default", "no")):
            asked = ("auth", "can-i", "list", "ordersagas.sagaplane.io", "--as", account, "--namespace", namespace)
            assert release.cluster.run(*asked).stdout.strip() == may
        release.wait_for_leader()
        in_flight.apply(order_saga("namespaced"))
        in_flight.wait_for_phase("namespaced", "Completed")
        finish(in_flight)
    finally:
        release.set_values("--set=operator.clusterWide=true", "--set=operator.watchNamespaces=null")


def test_an_uninstall_and_an_installation_anew(release: Release, in_flight: Namespace) -> None:
    """The data stay. The ten that are held back are released, and run on when the platform is there again.

    Of those that were applied a moment before, some have ended, some run on too, and some begin only then.
    """
    release.set_values("--set=keepData=true", "--set=drain.timeoutSeconds=10")
    values = json.loads(release.helm("get", "values", release.name, "--output=json"))
    load = [f"load-{number}" for number in range(COUNT)]
    in_flight.apply(*(order_saga(name, timeoutSeconds=LONG) for name in load))
    release.helm("uninstall", release.name, "--wait", "--timeout=5m")
    crds = in_flight.kubectl("get", "crd", "ordersagas.sagaplane.io", "-o", "name")
    assert "ordersagas" in crds
    sagas = in_flight.sagas()
    assert sorted(its.name for its in sagas) == sorted([*names(), *load])
    assert not any(its.body["metadata"].get("finalizers") for its in sagas)
    assert values["keepData"] is True
    install(in_flight.cluster, release.namespace)
    release.set_values("--set=operator.clusterWide=true")
    release.wait_for_leader()
    release.helm("test", release.name)
    for name in load:
        in_flight.wait_for_phase(name, "Completed", 120)
    finish(in_flight)


def test_the_api_server_is_killed(release: Release, in_flight: Namespace) -> None:
    node = in_flight.cluster.items("/api/v1/nodes")[0]["metadata"]["name"]
    mirror = f"kube-apiserver-{node}"
    before = started_at(in_flight.cluster, mirror)
    kill_api_server(in_flight.cluster, node)
    until(lambda: started_at(in_flight.cluster, mirror) not in ("", before), 120, "the API server has started again")
    may = ("auth", "can-i", "create", "ordersagas.sagaplane.io", "--namespace", in_flight.name)
    until(lambda: in_flight.cluster.run(*may).stdout.strip() == "yes", 120, "the API server knows who may do what")
    until(lambda: in_flight.cluster.http.get("/readyz").is_success, 120, "the API server is ready")
    in_flight.apply(order_saga("afterwards"))
    in_flight.wait_for_phase("afterwards", "Completed", 120)
    finish(in_flight)


def started_at(cluster: Cluster, pod: str) -> str:
    found = cluster.get(f"/api/v1/namespaces/kube-system/pods/{pod}")
    states = (found or {}).get("status", {}).get("containerStatuses", [])
    return str(states[0]["state"].get("running", {}).get("startedAt", "")) if states else ""


def kill_api_server(cluster: Cluster, node: str) -> None:
    """Kill the process where the node is a container of this machine."""
    import subprocess  # noqa: PLC0415 - only here the engine under the cluster is needed

    command = ["docker", "exec", node, "pkill", "-KILL", "kube-apiserver"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
