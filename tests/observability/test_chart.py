"""What the chart delivers to Prometheus and Grafana is what is tested here, and nothing where nobody asked for it."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from observability import questions

from onebox.layout import PORTS

pytestmark = pytest.mark.charts

CHART = questions.HERE.parent / "charts/sagaplane"
OPERATOR_OF_PROMETHEUS = "monitoring.coreos.com/v1"
SERVED = ("kafka.strimzi.io/v1", OPERATOR_OF_PROMETHEUS)
ON = "monitoring.enabled=true"


def helm(*settings: str, served: tuple[str, ...] = SERVED) -> subprocess.CompletedProcess[str]:
    if shutil.which("helm") is None:
        pytest.skip("helm is not on PATH")
    flags = [f"--set={setting}" for setting in settings] + [f"--api-versions={version}" for version in served]
    return subprocess.run(
        ["helm", "template", "shop", str(CHART), "--namespace=shop", "--kube-version=1.34.4", *flags],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def rendered(*settings: str) -> list[Mapping[str, Any]]:
    done = helm(*settings)
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def of_kind(manifests: list[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def dashboards(manifests: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [its for its in of_kind(manifests, "ConfigMap") if "-dashboard-" in its["metadata"]["name"]]


def test_nobody_is_sent_anything_unasked() -> None:
    manifests = rendered()
    assert not of_kind(manifests, "PodMonitor") + of_kind(manifests, "PrometheusRule") + dashboards(manifests)


def test_prometheus_gets_the_rules_as_they_were_tested() -> None:
    [given] = of_kind(rendered(ON), "PrometheusRule")
    assert [rule for group in given["spec"]["groups"] for rule in group["rules"]] == [*questions.rules()]


def test_alerts_link_to_where_the_runbooks_are_kept() -> None:
    kept = "https://wiki.example/sagas/"
    [given] = of_kind(rendered(ON, f"monitoring.prometheusRule.runbookBase={kept}"), "PrometheusRule")
    alerts = [rule for group in given["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    links = {rule["annotations"]["runbook_url"] for rule in alerts}
    paths = {rule["annotations"]["runbook_url"] for rule in questions.rules() if "alert" in rule}
    assert links == {kept + path for path in paths}


def test_grafana_gets_each_dashboard_in_a_map_of_its_own() -> None:
    given = dashboards(rendered(ON))
    files = sorted(questions.HERE.glob("dashboards/*.json"))
    assert [json.loads(text) for its in given for text in its["data"].values()] == [
        json.loads(path.read_text()) for path in files
    ]
    assert all(its["metadata"]["labels"]["grafana_dashboard"] == "1" for its in given)
    assert all(len(json.dumps(its)) < 1_000_000 for its in given), "a map holds a mebibyte"


def test_every_pod_that_tells_metrics_is_asked() -> None:
    manifests = rendered(ON)
    [monitor] = of_kind(manifests, "PodMonitor")
    [asked] = monitor["spec"]["selector"]["matchExpressions"]
    fixed = monitor["spec"]["selector"]["matchLabels"]
    pods = [its["spec"]["template"] for its in of_kind(manifests, "Deployment")]
    found = {
        pod["metadata"]["labels"]["app.kubernetes.io/component"]
        for pod in pods
        if fixed.items() <= pod["metadata"]["labels"].items()
        and pod["metadata"]["labels"][asked["key"]] in asked["values"]
        and any(port["name"] == "http" for its in pod["spec"]["containers"] for port in its.get("ports", []))
    }
    assert found == {*PORTS, "operator"} == set(asked["values"])


def test_a_cluster_without_the_operator_of_prometheus_is_told_what_to_do() -> None:
    without = helm(ON, served=SERVED[:1])
    assert without.returncode != 0
    assert "monitoring.podMonitor.enabled" in without.stderr
