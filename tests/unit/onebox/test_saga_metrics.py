"""What metrics say of one saga is told of it alone, and says why there is nothing when there is nothing."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from onebox.exposition import Example, Measure, read
from onebox.saga_metrics import SagaMetrics, dropped_of, exemplars_of, series_of, told

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TEXT = """\
# HELP saga_instance_phase 1 for each saga that lives.
# TYPE saga_instance_phase gauge
saga_instance_phase{correlation_id="order-7",definition="order/1",phase="Running"} 1.0
saga_instance_phase{correlation_id="order-8",definition="order/1",phase="Pending"} 1.0
# TYPE saga_instance_deadline_timestamp_seconds gauge
saga_instance_deadline_timestamp_seconds{correlation_id="order-7",definition="order/1"} 1.7672688e+09
# TYPE saga_instance_series_dropped gauge
saga_instance_series_dropped 3.0
# TYPE saga_step_duration_seconds histogram
# UNIT saga_step_duration_seconds seconds
saga_step_duration_seconds_bucket{step="payment",le="0.1"} 1.0 # {correlation_id="order-7",span_id="s1",trace_id="t1"} 0.05 1767268800.0
saga_step_duration_seconds_bucket{step="payment",le="+Inf"} 2.0 # {correlation_id="order-8",span_id="s2",trace_id="t2"} 5.0 1767268801.0
saga_step_duration_seconds_count{step="payment"} 2.0
saga_step_duration_seconds_sum{step="payment"} 5.05
# EOF
"""  # noqa: E501 - a sample is a line
EMPTY = SagaMetrics(
    saga_id="order-7",
    correlation_id="order-7",
    phase="Completed",
    ended=True,
    traced=True,
    told_by="nobody",
    dropped=0,
    series=[],
    exemplars=[],
)


def test_only_the_series_and_exemplars_of_the_saga_are_its_own() -> None:
    measures = [*read(TEXT)]
    phase, deadline = series_of(measures, "order-7")
    assert (phase.metric, phase.labels) == ("saga_instance_phase", {"definition": "order/1", "phase": "Running"})
    assert deadline.value == 1_767_268_800
    [exemplar] = exemplars_of(measures, "order-7")
    assert (exemplar.value, exemplar.at, exemplar.trace_id, exemplar.span_id) == (0.05, NOON, "t1", "s1")
    assert exemplar.labels == {"step": "payment"}
    assert dropped_of(measures) == 3


def test_what_is_no_exposition_is_refused() -> None:
    with pytest.raises(ValueError, match="EOF"):
        list(read("saga_active 1\n"))


def test_a_saga_that_lives_is_told_with_its_deadline() -> None:
    measures = [*read(TEXT)]
    seen = msgspec.structs.replace(
        EMPTY,
        phase="Running",
        ended=False,
        series=series_of(measures, "order-7"),
        exemplars=exemplars_of(measures, "order-7"),
    )
    text = told(seen, NOON - timedelta(seconds=20))
    assert "2026-01-01 12:00:00.000Z, in 20.0 s" in text
    assert "saga_step_duration_seconds  step=payment  50 ms" in text
    assert text.endswith("sagactl trace order-7 draws trace t1")
    assert "20.0 s ago" in told(seen, NOON + timedelta(seconds=20))


def test_the_same_exemplar_scraped_from_two_instances_is_one() -> None:
    example = Example({"correlation_id": "order-7", "span_id": "s1", "trace_id": "t1"}, 1.0, NOON)
    twice = [Measure("saga_started_total", 1, {"mode": "m", "instance": place}, example) for place in ("a", "b")]
    assert len(exemplars_of(twice, "order-7")) == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "it has ended, and a series ends with its saga"),
        ({"ended": False, "phase": "Running", "dropped": 3}, "3 sagas that live have none"),
        ({"ended": False, "phase": "Running"}, "began since the last look"),
        ({"traced": False}, "No exemplar carries its id: it is not traced."),
        ({}, "each counter and bucket keeps one saga a second"),
    ],
)
def test_where_there_is_nothing_it_says_why(changes: dict[str, object], sentence: str) -> None:
    assert sentence in told(msgspec.structs.replace(EMPTY, **changes), NOON)
