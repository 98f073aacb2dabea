"""The chart as helm renders it, and the sets of values that it is rendered with."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/sagaplane"
STRIMZI = "kafka.strimzi.io/v1"
NAMESPACE = "sagaplane"
OLDEST = "1.30.0"
PODS = {"Deployment", "StatefulSet", "Job"}

OWN_KAFKA = {"kafka": {"bootstrapServers": "a:9092,b:9092", "existingSecret": "kafka"}}
OWN_POSTGRESQL = {"postgresql": {"existingSecret": "postgresql"}}

Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One set of values: files of the chart, and what is set over them."""

    name: str
    files: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    strimzi: bool = True
    kubernetes: str = "1.34.4"


CASES = (
    Case("defaults"),
    Case("kind", ("values-kind.yaml",)),
    Case("cluster", ("values-cluster.yaml",), strimzi=False),
    Case("one secret for all", values={**OWN_KAFKA, **OWN_POSTGRESQL}, strimzi=False),
    Case("brokers that ask nobody", values={"kafka": {"bootstrapServers": "a:9092", "securityProtocol": "PLAINTEXT"}}),
    Case("only the databases of one's own", values=OWN_POSTGRESQL),
    Case("only the brokers of one's own", values=OWN_KAFKA, strimzi=False),
    Case(
        "certificates of one's own",
        values={
            "kafka": {
                "bootstrapServers": "a:9092",
                "securityProtocol": "SSL",
                "caSecret": {"name": "ca"},
                "clientSecret": {"name": "kafka-{user}"},
            },
            "postgresql": {"existingSecret": "postgresql", "caSecret": {"name": "ca"}},
            "serviceDefaults": {"keda": {"enabled": True}},
        },
        strimzi=False,
    ),
    Case("several namespaces", values={"operator": {"watchNamespaces": ["shop-a", "shop-b"]}}),
    Case("all namespaces", values={"operator": {"clusterWide": True}}),
    Case("no custom resource definitions", values={"crds": {"enabled": False}, "definitions": {"builtIn": False}}),
    Case("three nodes", values={"kafka": {"inside": {"nodes": 3}}, "keepData": True}),
    Case(
        "nothing kept",
        values={
            "kafka": {"inside": {"storage": {"type": "ephemeral"}}},
            "postgresql": {"inside": {"storage": {"type": "ephemeral"}}},
        },
    ),
    Case("scaled by CPU", values={"serviceDefaults": {"autoscaling": {"enabled": True}}}),
    Case("scaled by lag", values={"serviceDefaults": {"keda": {"enabled": True}}}),
    Case(
        "scaled by the lag in brokers that ask nobody",
        values={
            "kafka": {"bootstrapServers": "a:9092", "securityProtocol": "PLAINTEXT"},
            "serviceDefaults": {"keda": {"enabled": True}},
        },
    ),
    Case("no network policies", values={"networkPolicy": {"enabled": False}}),
    Case("prefixed topics", values={"kafka": {"topicPrefix": "blue."}}),
    Case("traced", values={"traces": {"endpoint": "http://collector:4318", "sample": 0.1}}),
    Case("by digest", values={"images": {"services": {"digest": f"sha256:{'0' * 64}"}}}),
    Case(
        "pods with everything",
        values={
            "priorityClassName": "system-cluster-critical",
            "imagePullSecrets": [{"name": "pull"}],
            "nodeSelector": {"kubernetes.io/arch": "amd64"},
            "tolerations": [{"key": "shop", "operator": "Exists", "effect": "NoSchedule"}],
            "commonLabels": {"team": "shop"},
            "serviceDefaults": {"podAnnotations": {"a": "b"}, "extraEnv": [{"name": "X", "value": "1"}]},
        },
    ),
    Case("the oldest Kubernetes", kubernetes=OLDEST),
    Case("nobody operates", values={"operator": {"replicas": 0}, "podDisruptionBudgets": {"enabled": False}}),
)
NAMED = {case.name: case for case in CASES}
PROFILES = ("defaults", "kind", "cluster")


def helm(*words: str, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Return what helm says, with these values over the chart's; without helm the test is skipped."""
    if shutil.which("helm") is None:
        pytest.skip("helm is not on PATH")
    given = ["--values=-"] if values else []
    command = ["helm", *words, *given]
    return subprocess.run(
        command, cwd=ROOT, input=json.dumps(values or {}), capture_output=True, text=True, timeout=60, check=False
    )


def template(case: Case, release: str = "sagaplane", namespace: str = NAMESPACE) -> subprocess.CompletedProcess[str]:
    """Return what helm makes of a case."""
    files = [f"--values={CHART / file}" for file in case.files]
    served = [f"--api-versions={STRIMZI}"] if case.strimzi else []
    asked = ["template", release, str(CHART), f"--namespace={namespace}", f"--kube-version={case.kubernetes}"]
    return helm(*asked, *served, *files, values=case.values)


@cache
def text(name: str) -> str:
    """Return the manifests of a case as they are written.

    The test fails with what helm says when it refuses the case.
    """
    done = template(NAMED[name])
    assert done.returncode == 0, f"{name}: {done.stderr}"
    return done.stdout


@cache
def manifests(name: str) -> tuple[Manifest, ...]:
    """Return the manifests of a case."""
    return tuple(found for found in yaml.safe_load_all(text(name)) if found)


def of_kind(name: str, *kinds: str) -> Iterator[Manifest]:
    """Yield the manifests of a case that are of one of these kinds."""
    yield from (found for found in manifests(name) if found["kind"] in kinds)


def pods(name: str) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, str]]]:
    """Yield name, spec and labels of each pod that a case makes by itself; the brokers' are Strimzi's."""
    for found in manifests(name):
        told = f"{found['kind']} {found['metadata']['name']}"
        if found["kind"] in PODS:
            template = found["spec"]["template"]
            yield told, template["spec"], template["metadata"]["labels"]
        elif found["kind"] == "Pod":
            yield told, found["spec"], found["metadata"]["labels"]


def containers(pod: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield all containers of a pod."""
    yield from pod.get("initContainers", ())
    yield from pod["containers"]
