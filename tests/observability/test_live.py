"""What the dashboards and the rules ask has an answer, from a real Prometheus that scraped a real run."""

import re
from collections.abc import Iterator

import pytest
from observability import questions
from observability.questions import Question
from tests.observability.run import Seen
from tests.real.seeing.jaeger import Jaeger

pytestmark = pytest.mark.real

DASHBOARDS = [*questions.of_dashboards()]
RULES = [*questions.of_rules()]
ALERTS = {rule["alert"] for rule in questions.rules() if "alert" in rule}

OF_THE_OPERATOR = "there is no operator without a cluster: the tests of the cluster ask these"
NOTHING_FAILED = "no loop failed, and no batch"
MAY_BE_EMPTY = {
    r"saga_operator_": OF_THE_OPERATOR,
    r'error_type!=""': NOTHING_FAILED,
    r"^ALERTS\{": "no alert fires in so short a run: the budgets want more than one bad saga",
    r"max by \(loop\) \(saga_loop_failing\{.*\}\) > 0$": NOTHING_FAILED,
}
"""A pattern of questions that may have no answer here, and why."""


def values(seen: Seen) -> dict[str, str]:
    """Return what a reader chooses."""
    return {
        "__rate_interval": "5s",
        "__range": "1m",
        "namespace": ".*",
        "definition": ".*",
        "correlation_id": seen.live,
    }


def test_an_excuse_is_for_something() -> None:
    asked = [question.asks for question in (*DASHBOARDS, *RULES)]
    assert not [pattern for pattern in MAY_BE_EMPTY if not any(re.search(pattern, asks) for asks in asked)]


def excused(asks: str) -> bool:
    return any(re.search(pattern, asks) for pattern in MAY_BE_EMPTY)


@pytest.mark.parametrize("question", DASHBOARDS, ids=lambda its: f"{its.place} {its.asks[:20]}")
def test_a_panel_shows_something(seen: Seen, question: Question) -> None:
    asks = question.filled(values(seen))
    assert seen.told(asks) or excused(question.asks), f"{question.place}: nothing for {asks}"


@pytest.mark.parametrize("rule", [q for q in RULES if q.place not in ALERTS], ids=lambda its: its.place)
def test_a_rule_records_something(seen: Seen, rule: Question) -> None:
    assert seen.told(rule.place)


def series_of_alerts() -> Iterator[tuple[str, str]]:
    """Return every choice of series that an alert is about: an alert itself has no answer in a good run."""
    for question in RULES:
        if question.place in ALERTS:
            for name, _ in question.selectors():
                yield question.place, name


@pytest.mark.parametrize(("alert", "name"), sorted(set(series_of_alerts())))
def test_what_an_alert_is_about_is_there(seen: Seen, alert: str, name: str) -> None:
    found = seen.prometheus.between(name, seen.begin, seen.end)
    assert found or excused(name), f"{alert}: there is no {name}"


def test_prometheus_evaluates_every_rule_without_an_error(seen: Seen) -> None:
    rules = seen.prometheus.rules()
    assert {rule["name"] for rule in rules} == {question.place for question in RULES}
    assert not [rule["name"] for rule in rules if rule["health"] != "ok"]


def test_an_exemplar_opens_the_trace_of_its_saga(seen: Seen, jaeger: Jaeger) -> None:
    told = seen.prometheus.ask("query_exemplars", query="saga_duration_seconds_bucket", start=seen.begin, end=seen.end)
    exemplars = [its["labels"] for series in told for its in series["exemplars"]]
    assert exemplars
    for labels in exemplars:
        spans = jaeger.settled(labels["trace_id"])
        assert labels["correlation_id"] in {span.tags["saga.correlation_id"] for span in spans}
        assert labels["span_id"] in {span.id for span in spans}
