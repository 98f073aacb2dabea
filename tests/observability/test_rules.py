"""Every alert says how bad it is and what to do, and has a case in which it fires and one in which it is silent."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from observability import objectives, questions
from tests.observability.promtool import Promtool

ROOT = questions.HERE.parent
ALERTS = {rule["alert"]: rule for rule in questions.rules() if "alert" in rule}
DOCUMENT = ROOT / "docs/observability.md"
RULES = sorted(questions.HERE.glob("rules/*.yaml"))
TESTS = sorted(questions.HERE.glob("rules/tests/*.yaml"))
SEVERITIES = {"critical", "warning"}
RECORDED = {rule["record"]: rule["expr"] for rule in questions.rules() if "record" in rule}
BY = re.compile(r"\b(?:by|on) \(([^)]*)\)")
ON_THE_OVERVIEW = "".join(its.asks for its in questions.of_dashboards() if its.place.startswith("overview:"))


@cache
def cases() -> list[dict[str, Any]]:
    return [
        case for path in TESTS for test in yaml.safe_load(path.read_text())["tests"] for case in test["alert_rule_test"]
    ]


def recorded(part: str) -> list[str]:
    """Return what the rules ask whose names have this in them."""
    return [asks for name, asks in RECORDED.items() if part in name]


def burning(objective: objectives.Objective) -> list[str]:
    """Return what the alerts ask that are about its budget, the fast one first."""
    return [rule["expr"] for rule in ALERTS.values() if objective.record in rule["expr"]]


def test_prometheus_takes_the_rules(promtool: Promtool) -> None:
    assert promtool("check", "rules", *RULES).count("SUCCESS") == len(RULES)


def test_every_case_comes_out_as_it_says(promtool: Promtool) -> None:
    assert promtool("test", "rules", *TESTS).count("SUCCESS") == len(TESTS)


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent(alert: str) -> None:
    fires = [bool(case["exp_alerts"]) for case in cases() if case["alertname"] == alert]
    assert {True, False} == set(fires)


def test_every_case_is_about_an_alert_that_there_is() -> None:
    assert {case["alertname"] for case in cases()} == set(ALERTS)


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_says_how_bad_it_is_and_which_page_helps(alert: str) -> None:
    rule = ALERTS[alert]
    assert alert.startswith("Saga")
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["annotations"]["summary"]
    assert "$value" in rule["annotations"]["description"] or "$labels" in rule["annotations"]["description"]
    assert f"`{alert}`" in (ROOT / rule["annotations"]["runbook_url"]).read_text(), "its page does not name it"


@pytest.mark.parametrize("path", sorted((ROOT / "docs/runbooks").glob("*.md")), ids=lambda path: path.stem)
def test_a_page_names_no_alert_that_there_is_not(path: Path) -> None:
    named = {word.strip("`,.") for word in path.read_text().split() if word.startswith("`Saga")}
    assert {word for word in named if word.isalnum() and word not in {"SagaDefinition", "SagaDefinitions"}} <= set(
        ALERTS
    )


@pytest.mark.parametrize("path", sorted((ROOT / "docs/runbooks").glob("*.md")), ids=lambda path: path.stem)
def test_a_page_says_what_it_means_what_to_look_at_and_what_to_do(path: Path) -> None:
    if path.stem == "README":
        return
    headings = {line.removeprefix("## ") for line in path.read_text().splitlines() if line.startswith("## ")}
    assert {"Meaning", "Impact", "Diagnosis", "Mitigation"} <= headings


every_objective = pytest.mark.parametrize("objective", objectives.OBJECTIVES, ids=lambda its: its.series(""))


@every_objective
def test_rules_and_dashboards_promise_the_same(objective: objectives.Objective) -> None:
    windows = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
    assert {objective.series(window) for window in windows} <= RECORDED.keys()
    alerts = burning(objective)
    assert len(alerts) == 2
    assert all(f"* {objective.budget:g})" in asks for asks in alerts)
    assert objective.series("3d") in ON_THE_OVERVIEW, "it shows how fast the budget burns"


@every_objective
def test_an_alert_wants_a_number_in_each_of_its_long_windows_because_one_of_few_is_much(
    objective: objectives.Objective,
) -> None:
    least = objective.least
    fast, slow = burning(objective)
    for asks, windows in ((fast, ("1h", "6h")), (slow, ("1d", "3d"))):
        assert [least.asks(window) in asks for window in windows] == [True, True]
        assert asks.count(">=") == len(windows)


def test_rules_tell_apart_two_shops_of_one_namespace_in_two_clusters() -> None:
    grouped = [
        (rule.get("alert") or rule["record"], found) for rule in questions.rules() for found in BY.findall(rule["expr"])
    ]
    assert grouped
    assert not [place for place, labels in grouped if not labels.startswith("cluster, namespace")]


@every_objective
def test_a_recorded_rule_says_in_its_name_what_it_is_by(objective: objectives.Objective) -> None:
    name = "_".join(objective.labels)
    assert name.startswith("cluster_namespace_")
    assert {name} == {its.partition(":")[0] for its in (objective.record, objective.least.record)}


def test_bounds_mean_the_same_in_rules_and_dashboards() -> None:
    quick, punctual, late = recorded("not_quick"), recorded("not_punctual"), recorded("not_read_soon:bool")
    assert all((quick, punctual, late))
    assert all(f'le="{objectives.COMPLETED_SECONDS}"' in asks for asks in quick)
    assert all(f'le="{objectives.PUNCTUAL_SECONDS}"' in asks for asks in punctual)
    assert all(asks.endswith(f"> bool {objectives.READ_SECONDS:g}") for asks in late)


def test_minutes_are_counted_by_how_often_the_rules_look() -> None:
    [group] = [group for group in questions.groups() if group["name"] == "sagaplane-read-soon"]
    assert group["interval"] == f"{objectives.READ_INTERVAL_SECONDS}s"
    minutes = recorded("not_read_soon:minutes")
    assert minutes
    assert all(asks.endswith(f"/ {60 / objectives.READ_INTERVAL_SECONDS:g}") for asks in minutes)


def test_the_document_promises_the_same() -> None:
    [table] = re.findall(r"^\| objective, .+\n\|[-|]+\|\n((?:\|.+\n)+)", DOCUMENT.read_text(), re.MULTILINE)
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]
    told = [(row[1].partition(" %")[0], row[3].partition(" ")[0]) for row in rows]
    promised = [(f"{its.promise * 100:g}", str(its.least.number)) for its in objectives.OBJECTIVES]
    assert told == promised
