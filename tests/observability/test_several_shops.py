"""A page for all namespaces shows what is there in all of them, however many instances say the same of each."""

from pathlib import Path

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


@pytest.mark.parametrize("place", sorted(COUNTS))
def test_what_two_shops_have_adds_up(promtool: Promtool, tmp_path: Path, place: str) -> None:
    name, labels, answered = COUNTS[place]
    assert KNOWN[name].kind == "gauge"
    [asked] = [its for its in questions.of_dashboards() if its.place == place]
    series = [
        {
            "series": f'{name}{{namespace="{namespace}", instance="{instance}"{labels and ", "}{labels}}}',
            "values": str(value),
        }
        for (namespace, instance), value in SAID.items()
    ]
    expected = {
        "expr": asked.filled({"namespace": ".*", "definition": ".*"}),
        "eval_time": "0m",
        "exp_samples": [{"labels": answered, "value": IN_ALL}],
    }
    case = tmp_path / "case.yaml"
    case.write_text(yaml.safe_dump({"tests": [{"input_series": series, "promql_expr_test": [expected]}]}))
    assert "SUCCESS" in promtool("test", "rules", case)


def test_exactly_one_leader_is_well() -> None:
    [panel] = [
        its for its in questions.panels(questions.HERE / "dashboards/operator.json") if its["title"] == "Leaders"
    ]
    steps = [(step["value"], step["color"]) for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
    assert [colour for _, colour in steps] == [RED, GREEN, RED]
    assert [value for value, _ in steps[1:]] == [1, 2]
