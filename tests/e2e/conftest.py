"""The platform on a cluster: installed once, and held to account after each test that had it."""

import json
import os
from collections.abc import Generator, Iterator
from uuid import uuid4

import pytest
from tests.e2e.cluster import Cluster, CommandError, connected, until
from tests.e2e.logs import offending
from tests.e2e.release import Release, install
from tests.e2e.sagas import Namespace

CONTEXT = os.environ.get("SAGAPLANE_E2E_CONTEXT", f"kind-{os.environ.get('KIND_CLUSTER', 'sagaplane')}")
NAMESPACE = os.environ.get("SAGAPLANE_E2E_NAMESPACE", os.environ.get("KIND_NAMESPACE", "sagaplane"))
NAMESPACE_GONE_SECONDS_MAX = 300.0
LINES_SHOWN = 40
IMPATIENT = {"attemptsMax": 1, "delayMilliseconds": 100, "delayMaxMilliseconds": 100}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster; without one, each test that asks for it fails with one line."""
    try:
        with connected(CONTEXT) as cluster:
            yield cluster
    except CommandError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def session_release(cluster: Cluster) -> Iterator[Release]:
    """The platform, which looks after every namespace; where there is none, it is installed."""
    release = Release(cluster, namespace=NAMESPACE)
    try:
        if not release.installed():
            install(cluster, NAMESPACE)
        release.look_everywhere()
    except CommandError as error:
        pytest.fail(str(error), pytrace=False)
    release.logs.start()
    yield release
    release.logs.stop()


@pytest.fixture
def release(session_release: Release) -> Iterator[Release]:
    """The platform, whole; afterwards the books balance, and no operator stumbled."""
    session_release.wait_until_ready()
    session_release.wait_for_leader()
    session_release.stock_up()
    session_release.logs.fresh()
    yield session_release
    session_release.wait_until_ready()
    session_release.demand_balanced()
    bad = list(offending(session_release.logs.fresh()))
    assert not bad, f"an operator stumbled: {bad[:LINES_SHOWN]}"


@pytest.fixture(scope="module")
def room(cluster: Cluster, session_release: Release, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A namespace of the module's own, which admits restricted pods only; nothing hangs when it is deleted."""
    name = f"e2e-{request.module.__name__.rpartition('.')[2].removeprefix('test_').replace('_', '-')}"
    its = make_namespace(cluster, name)
    yield its
    remove_namespace(its)


@pytest.fixture
def impatient(room: Namespace) -> dict[str, object]:
    """A definition whose payment gives up at once, which is told to every service."""
    name = f"impatient-{uuid4().hex[:6]}"
    steps = [
        {"name": "payment", "participant": "payment", "command": "ChargePayment", "retry": IMPATIENT},
        {"name": "inventory", "participant": "inventory", "command": "ReserveInventory"},
        {"name": "shipping", "participant": "shipping", "command": "ScheduleShipment", "kind": "Pivot"},
        {"name": "stock", "participant": "inventory", "command": "ConsumeReservation", "kind": "Retriable"},
    ]
    spec = {"name": name, "version": 1, "stages": [{"steps": [step]} for step in steps]}
    room.apply(
        {"apiVersion": "sagaplane.io/v1alpha1", "kind": "SagaDefinition", "metadata": {"name": name}, "spec": spec}
    )
    room.kubectl("wait", "--for=condition=Published", f"sagadef/{name}", "--timeout=30s")
    return {"definitionRef": {"name": name, "version": 1}, "timeoutSeconds": 600}


def make_namespace(cluster: Cluster, name: str) -> Namespace:
    """Return a namespace that is empty, whatever a run before left in it."""
    its = Namespace(cluster, name)
    if cluster.get(f"/api/v1/namespaces/{name}") is not None:
        remove_namespace(its)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.must(
        "create",
        "-f",
        "-",
        body={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}},
    )
    return its


def remove_namespace(its: Namespace) -> float:
    """Delete the namespace and return how many seconds that took."""
    path = f"/api/v1/namespaces/{its.name}"
    its.cluster.delete(path)

    def told() -> str:
        left = [(saga.name, saga.phase, saga.status.get("message")) for saga in its.sagas()]
        return f"namespace {its.name} is gone: {json.dumps(left[:5])}"

    return until(lambda: its.cluster.get(path) is None, NAMESPACE_GONE_SECONDS_MAX, told)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the last lines of the operators to what a failed test says."""
    report = yield
    funcargs = getattr(item, "funcargs", {})
    release = funcargs.get("release")
    if report.failed and isinstance(release, Release):
        lines = release.logs.text().splitlines()[-LINES_SHOWN:]
        report.sections.append(("the last lines of the operators", "\n".join(lines)))
    return report
