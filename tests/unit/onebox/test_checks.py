"""What doctor looks at beside the services: clocks, the log and the stores, and a cluster by one's own kubectl."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from onebox.checks import ground, kubernetes
from onebox.checks.findings import Finding, Verdict, told
from onebox.checks.services import Answered, clocks
from onebox.errors import Unreachable
from onebox.kubectl.proxy import Kubectl
from onebox.premises import MARKER

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

KUBECTL = """#!/bin/sh
echo "$*" >> '{directory}/asked'
case "$*" in
*'config view'*) cat '{directory}/context' ;;
*version*) cat '{directory}/version' >&2; test ! -s '{directory}/version' ;;
*'get --raw'*) cat '{directory}/resources'; test -s '{directory}/resources' ;;
*'get deployments'*) cat '{directory}/workloads' ;;
*can-i*) ! grep -qxF "$3 $4 $5" '{directory}/forbidden' && ! grep -qxF "$3 $4" '{directory}/forbidden' ;;
esac
"""


def answered(seconds: float | None, failure: Unreachable | None = None) -> Answered:
    """Return the answer of a service whose clock is so far from ours; nobody took any time."""
    date = NOON + timedelta(seconds=seconds) if seconds is not None else None
    return Answered("payment", NOON, NOON, date, failure)


@pytest.mark.parametrize("seconds", [2.0, 0.0, -1.9, -4.0])
def test_a_clock_that_may_be_right_is_left_alone(seconds: float) -> None:
    [found] = clocks([answered(seconds)])
    assert found.verdict is Verdict.WELL


@pytest.mark.parametrize(("seconds", "words"), [(10.0, "10.0 s or more ahead of"), (-12.0, "10.0 s or more behind")])
def test_a_clock_that_cannot_be_right_is_named_by_how_much(seconds: float, words: str) -> None:
    [found] = clocks([answered(0), answered(seconds)])
    assert (found.verdict, found.about) == (Verdict.WRONG, "payment")
    assert words in found.says
    assert "NTP" in found.remedy


def test_who_does_not_answer_tells_no_time() -> None:
    [found] = clocks([answered(None, Unreachable("it is away")), answered(None)])
    assert found.verdict is Verdict.SKIPPED


async def test_a_log_in_a_file_needs_no_brokers() -> None:
    [found] = await ground.log({}, None, 1)
    assert found.verdict is Verdict.SKIPPED
    assert "SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS is not set" in found.says


async def test_brokers_that_are_away_are_a_line_with_what_to_do() -> None:
    [found] = await ground.log({"SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, None, 1)
    assert (found.verdict, found.about) == (Verdict.WRONG, "brokers")
    assert "127.0.0.1:1" in found.says
    assert found.remedy


async def test_a_misspelt_setting_is_found() -> None:
    environment = {"SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "SAGAPLANE_DATABASE_URI": "postgresql://db/x"}
    [found] = await ground.log(environment, None, 1)
    assert "did you mean SAGAPLANE_DATABASE_URL" in found.says


async def test_databases_that_are_away_are_named_service_by_service() -> None:
    found = await ground.stores({"SAGAPLANE_DATABASE_URL": "postgresql://u:p@127.0.0.1:1/{service}"})
    assert [its.about for its in found] == ["order", "payment", "inventory", "analytics", "shipping", "notification"]
    assert {its.verdict for its in found} == {Verdict.WRONG}
    assert not [its for its in found if "u:p" in its.sentence]


async def test_the_files_of_a_box_need_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"SAGAPLANE_DATA_DIR": str(tmp_path)}
    [nothing] = await ground.stores(environment)
    (tmp_path / MARKER).touch()
    [there] = await ground.stores(environment)
    monkeypatch.setattr(ground, "FREE_BYTES_MIN", 1024**6)
    [full] = await ground.stores(environment)
    assert [its.verdict for its in (nothing, there, full)] == [Verdict.SKIPPED, Verdict.WELL, Verdict.WRONG]
    assert "make room" in full.remedy


class Cluster:
    """A kubectl that answers what a test writes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        script = directory / "kubectl"
        script.write_text(KUBECTL.format(directory=directory))
        script.chmod(0o755)
        self.tell(context="here", version="", resources="", workloads="", forbidden="", asked="")

    def tell(self, **files: str) -> None:
        for name, text in files.items():
            (self.directory / name).write_text(text)

    def install(self, *workloads: dict[str, Any]) -> None:
        names = [{"name": name} for name in kubernetes.RESOURCES]
        self.tell(resources=json.dumps({"resources": names}), workloads=json.dumps({"items": [*workloads]}))


def workload(component: str, ready: int, wanted: int = 2) -> dict[str, Any]:
    labels = {"app.kubernetes.io/component": component}
    metadata = {"namespace": "shop", "name": f"one-{component}", "labels": labels, "generation": 3}
    spec = {"replicas": wanted, "template": {"spec": {"serviceAccountName": f"one-{component}"}}}
    status = {"observedGeneration": 3, "replicas": wanted, "updatedReplicas": wanted, "readyReplicas": ready}
    return {"metadata": metadata, "spec": spec, "status": status}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return Cluster(tmp_path)


async def wrong_in(namespace: str | None = None) -> list[Finding]:
    return [its for its in await kubernetes.check(Kubectl(), namespace) if its.verdict is Verdict.WRONG]


async def test_a_release_that_runs_is_well(cluster: Cluster) -> None:
    cluster.install(workload("operator", 2), workload("order", 2))
    found = await kubernetes.check(Kubectl())
    assert {its.verdict for its in found} == {Verdict.WELL}
    assert {its.about for its in found} >= {"cluster", "CRDs", "one-operator", "your rights", "operator's rights"}


async def test_pods_that_are_not_ready_are_counted_and_the_command_named_that_shows_why(cluster: Cluster) -> None:
    cluster.install(workload("operator", 2), workload("order", 1))
    [found] = await wrong_in()
    assert (found.about, found.says) == ("one-order", "1 of 2 ready in shop")
    assert "kubectl --namespace=shop describe pods" in found.remedy


@pytest.mark.parametrize(
    ("wanted", "status", "says"),
    [
        (2, {"replicas": 3, "updatedReplicas": 1}, "2 of 2 ready in shop; 1 of 2 are of the newest form"),
        (1, {"replicas": 2, "updatedReplicas": 1}, "1 of 1 ready in shop; 1 of 1 are of the newest form"),
        (2, {"observedGeneration": 2}, "2 of 2 ready in shop; 0 of 2 are of the newest form"),
    ],
    ids=["a new pod does not come up", "the only new pod does not come up", "nobody has looked yet"],
)
async def test_old_pods_that_serve_on_hide_no_rollout_that_hangs(
    cluster: Cluster, wanted: int, status: dict[str, int], says: str
) -> None:
    """Once only the ready pods were counted, and a broken image was well for as long as the old ones ran."""
    hanging = workload("order", wanted, wanted)
    hanging["status"] |= status
    cluster.install(workload("operator", 2), hanging)
    [found] = await wrong_in()
    assert (found.about, found.says) == ("one-order", says)


async def test_a_release_without_its_resources_needs_them(cluster: Cluster) -> None:
    cluster.install(workload("order", 2))
    cluster.tell(resources=json.dumps({"resources": [{"name": "ordersagas"}, {"name": "ordersagas/status"}]}))
    [found] = await wrong_in()
    assert found.says == "it does not know sagadefinitions of sagaplane.io/v1alpha1"
    assert "k8s/crds" in found.remedy


async def test_rights_that_are_lacking_are_named_of_the_person_and_of_the_operator(cluster: Cluster) -> None:
    cluster.install(workload("operator", 2))
    cluster.tell(forbidden="create services --subresource=proxy\npatch ordersagas.sagaplane.io --subresource=status\n")
    person, operator = await wrong_in()
    assert person.says == "in shop you may not create services/proxy"
    assert operator.says == "one-operator may not patch ordersagas.sagaplane.io/status in shop"


async def test_whoever_may_not_speak_for_the_operator_is_told_that_its_rights_are_unknown(cluster: Cluster) -> None:
    cluster.install(workload("operator", 2))
    cluster.tell(forbidden="impersonate serviceaccounts/one-operator\n")
    found = {its.about: its.verdict for its in await kubernetes.check(Kubectl())}
    assert found["operator's rights"] is Verdict.SKIPPED


async def test_a_cluster_that_does_not_answer_is_wrong(cluster: Cluster) -> None:
    cluster.tell(version="Unable to connect to the server: timeout\n")
    [found] = await wrong_in()
    assert found.says == "here does not answer: Unable to connect to the server: timeout"
    assert "--skip kubernetes" in found.remedy


@pytest.mark.parametrize(("context", "words"), [("", "knows no cluster"), ("work", "nobody installed Sagaplane")])
async def test_a_cluster_that_is_not_ours_is_no_trouble(context: str, words: str, cluster: Cluster) -> None:
    cluster.tell(context=context)
    [found] = await kubernetes.check(Kubectl())
    assert found.verdict is Verdict.SKIPPED
    assert words in found.says


async def test_without_kubectl_no_cluster_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    [found] = await kubernetes.check(Kubectl())
    assert (found.verdict, found.says) == (Verdict.SKIPPED, "there is no kubectl on the PATH")


async def test_only_the_namespace_that_is_meant_is_asked_about(cluster: Cluster) -> None:
    cluster.install(workload("order", 2))
    await kubernetes.check(Kubectl(("--context=here",)), "shop")
    asked = (cluster.directory / "asked").read_text()
    assert "--all-namespaces" not in asked
    assert all(line.startswith("--context=here ") for line in asked.splitlines())


async def test_every_finding_is_one_line(cluster: Cluster) -> None:
    cluster.tell(version="one\n\n  two\n")
    found = await kubernetes.check(Kubectl())
    assert told(found).startswith("✖  kubernetes  cluster  here does not answer: two; check it: kubectl version")
    assert len(told(found).splitlines()) == len(found)
