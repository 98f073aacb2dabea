"""Every alert says how bad it is and what to do, and has a case in which it fires and one in which it is silent."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from observability import objectives, questions
from tests.observability.promtool import Promtool

ROOT = questions.HERE.parent
ALERTS = {rule["alert"]: rule for rule in questions.rules() if "alert" in rule}
RULES = sorted(questions.HERE.glob("rules/*.yaml"))
TESTS = sorted(questions.HERE.glob("rules/tests/*.yaml"))
SEVERITIES = {"critical", "warning"}


@cache
def cases() -> list[dict[str, Any]]:
    return [
        case for path in TESTS for test in yaml.safe_load(path.read_text())["tests"] for case in test["alert_rule_test"]
    ]


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


@pytest.mark.parametrize("objective", [objectives.IN_TIME, objectives.QUICK], ids=["in time", "quick"])
def test_rules_and_dashboards_promise_the_same(objective: objectives.Objective) -> None:
    recorded = {rule["record"] for rule in questions.rules() if "record" in rule}
    windows = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
    assert {objective.series(window) for window in windows} <= recorded
    burning = [rule["expr"] for rule in ALERTS.values() if objective.record in rule["expr"]]
    assert len(burning) == 2
    assert all(f"* {objective.budget:g})" in asks for asks in burning)


def test_quick_means_the_same_in_rules_and_dashboards() -> None:
    recorded = [rule["expr"] for rule in questions.rules() if "not_quick" in rule.get("record", "")]
    assert recorded
    assert all(f'le="{objectives.COMPLETED_SECONDS}"' in asks for asks in recorded)
