"""What the kind profile shows: dashboards by the chart, and a Grafana for them where somebody asks for one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml  # type: ignore[import-untyped]
from observability import questions
from tests.charts.rendering import ROOT, of_kind
from tests.observability.programs import programs, run

HERE = questions.HERE / "kubernetes"
FILES = (HERE / "seeing.yaml", HERE / "grafana.yaml")
CALLED = """#!/bin/sh
case "$*" in
*"configmap"*) echo "$*" ;;
*"--filename -") cat; echo "seeing-prometheus configured" ;;
*) echo "$*" >> "$CALLS" ;;
esac
"""
"""A kubectl that says what it was asked for."""


def items(path: Path, *kinds: str) -> list[Mapping[str, Any]]:
    return [its for its in yaml.safe_load(path.read_text())["items"] if its["kind"] in kinds]


@pytest.mark.charts
def test_the_kind_profile_has_each_dashboard_and_nothing_that_kind_does_not_serve() -> None:
    maps = [its for its in of_kind("kind", "ConfigMap") if "-dashboard-" in its["metadata"]["name"]]
    files = {f"sagaplane-{path.name}" for path in questions.HERE.glob("dashboards/*.json")}
    assert {name for its in maps for name in its["data"]} == files
    assert not [*of_kind("kind", "PodMonitor", "PrometheusRule")]


@pytest.mark.charts
def test_grafana_on_kind_shows_each_dashboard_of_the_chart() -> None:
    given = {
        its["metadata"]["name"] for its in of_kind("kind", "ConfigMap") if "-dashboard-" in its["metadata"]["name"]
    }
    [grafana] = items(FILES[1], "Deployment")
    [shown] = [
        its["projected"]["sources"] for its in grafana["spec"]["template"]["spec"]["volumes"] if "projected" in its
    ]
    assert {its["configMap"]["name"] for its in shown} == given


def test_grafana_on_kind_finds_what_it_draws_and_the_traces_that_it_opens() -> None:
    told = yaml.safe_load((ROOT / "compose/grafana/datasources/sagaplane.yaml").read_text())["datasources"]
    ports = {
        (its["metadata"]["name"], port["port"])
        for its in items(FILES[0], "Service")
        for port in its["spec"].get("ports", ())
    }
    assert {(urlsplit(its["url"]).hostname, urlsplit(its["url"]).port) for its in told} <= ports
    [opens] = [its["jsonData"]["exemplarTraceIdDestinations"] for its in told if its["type"] == "prometheus"]
    assert [its["datasourceUid"] for its in opens] == [its["uid"] for its in told if its["type"] == "jaeger"]
    [provider] = yaml.safe_load((ROOT / "compose/grafana/dashboards/sagaplane.yaml").read_text())["providers"]
    [grafana] = items(FILES[1], "Deployment")
    [container] = grafana["spec"]["template"]["spec"]["containers"]
    mounts = {its["name"]: its["mountPath"] for its in container["volumeMounts"]}
    assert mounts["dashboards"] == provider["options"]["path"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_shows_the_shop_may_run_where_only_restricted_pods_may(path: Path) -> None:
    for made in items(path, "Deployment"):
        pod = made["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {mount["name"] for mount in container["volumeMounts"]} == {its["name"] for its in pod["volumes"]}


@pytest.mark.parametrize("asked", ["", "1"])
def test_grafana_comes_where_somebody_asks_for_it(asked: str, tmp_path: Path) -> None:
    environment = {**programs(tmp_path, kubectl=CALLED), "GRAFANA": asked}
    said = run("bash", HERE / "apply.sh", "shop", environment=environment)
    calls = (tmp_path / "calls").read_text()
    assert "rollout restart --namespace shop deployment/prometheus" in calls
    assert ("grafana" in calls) is ("seeing-sources" in said) is bool(asked)
    assert ("deployment/grafana" in calls) is bool(asked)


def test_what_is_taken_away_is_taken_away_whole_however_much_of_it_there_is(tmp_path: Path) -> None:
    run("bash", HERE / "apply.sh", "shop", "delete", environment=programs(tmp_path, kubectl=CALLED))
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert call.startswith("delete --namespace shop --ignore-not-found ")
    assert all(path.name in call for path in FILES)
