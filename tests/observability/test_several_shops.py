"""A page for all namespaces and clusters shows what is there in all of them, though instances say the same of it."""

from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from observability import questions
from observability.names import KNOWN
from observability.panels import GREEN, RED
from tests.observability.promtool import Promtool

COUNTS = {
    "messaging: Dead letters that wait": ("saga_dlq_depth", 'topic="payment.dlq"', "{}"),
    "messaging: Outbox": ("saga_outbox_pending", 'job="sagaplane-order"', '{job="sagaplane-order"}'),
    "messaging: Parked": ("saga_parked_messages", 'job="sagaplane-order"', "{}"),
    "messaging: Parked over time": ("saga_parked_messages", 'job="sagaplane-order"', '{job="sagaplane-order"}'),
    "messaging: Waiting by topic": ("saga_dlq_depth", 'topic="payment.dlq"', '{topic="payment.dlq"}'),
    "operator: By phase": ("saga_operator_resources", 'phase="Running"', '{phase="Running"}'),
    "operator: Malformed": ("saga_operator_invalid_resources", "", "{}"),
    "operator: Waiting": ("saga_operator_queue_depth", "", "{}"),
    "overview: Active": ("saga_active", 'phase="Running"', "{}"),
    "overview: Active by phase": ("saga_active", 'phase="Running"', '{phase="Running"}'),
    "overview: Stuck": ("saga_stuck", "", "{}"),
    "overview: Stuck over time": ("saga_stuck", "", "{}"),
    "overview: Without a series": ("saga_instance_series_dropped", "", "{}"),
}
"""A panel → the gauge that it counts by, labels of its series, and those of the answer."""
SAID = {("large", "a"): 30, ("large", "b"): 30, ("small", "a"): 5}
"""What the instances of two shops say."""
IN_ALL = 35


def answers(
    promtool: Promtool,
    tmp_path: Path,
    place: str,
    series: list[dict[str, str]],
    expected: list[dict[str, Any]],
    namespace: str = ".*",
) -> None:
    """Hold what a panel shows of these series against what it should."""
    [asked] = [its for its in questions.of_dashboards() if its.place == place]
    asks = asked.filled({"namespace": namespace, "definition": ".*"})
    held = {"expr": asks, "eval_time": "0m", "exp_samples": expected}
    case = tmp_path / "case.yaml"
    case.write_text(yaml.safe_dump({"tests": [{"input_series": series, "promql_expr_test": [held]}]}))
    assert "SUCCESS" in promtool("test", "rules", case)


@pytest.mark.parametrize("place", sorted(COUNTS))
@pytest.mark.parametrize("apart", ["namespace", "cluster"])
def test_what_two_shops_have_adds_up(promtool: Promtool, tmp_path: Path, apart: str, place: str) -> None:
    name, labels, answered = COUNTS[place]
    assert KNOWN[name].kind == "gauge"
    series = [
        {
            "series": f'{name}{{{apart}="{shop}", instance="{instance}"{labels and ", "}{labels}}}',
            "values": str(value),
        }
        for (shop, instance), value in SAID.items()
    ]
    answers(promtool, tmp_path, place, series, [{"labels": answered, "value": IN_ALL}])


def test_each_shop_has_its_leader(promtool: Promtool, tmp_path: Path) -> None:
    series = [
        {"series": f'saga_operator_is_leader{{namespace="{namespace}", instance="{instance}"}}', "values": leads}
        for namespace, instance, leads in (("large", "a", "0"), ("large", "b", "1"), ("small", "a", "1"))
    ]
    expected = [{"labels": f'{{namespace="{namespace}"}}', "value": 1} for namespace in ("large", "small")]
    answers(promtool, tmp_path, "operator: Leaders", series, expected)


def test_alerts_are_those_of_the_chosen_shop(promtool: Promtool, tmp_path: Path) -> None:
    fires = [
        f'ALERTS{{alertname="SagasStuck", alertstate="firing", namespace="{namespace}"}}'
        for namespace in ("large", "small")
    ]
    series = [{"series": its, "values": "1"} for its in fires]
    expected = [{"labels": fires[1], "value": 1}]
    answers(promtool, tmp_path, "overview: Alerts that fire", series, expected, namespace="small")


def test_exactly_one_leader_is_well() -> None:
    [panel] = [
        its for its in questions.panels(questions.HERE / "dashboards/operator.json") if its["title"] == "Leaders"
    ]
    steps = [(step["value"], step["color"]) for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
    assert [colour for _, colour in steps] == [RED, GREEN, RED]
    assert [value for value, _ in steps[1:]] == [1, 2]
