"""The model against what Kafka Streams said."""

import pytest
from tests.analytics.oracle import cases, model


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases.windowed()])
def test_the_model_closes_the_windows_that_kafka_streams_closes(case: cases.Windowed) -> None:
    assert model.windows(case) == case.windows


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases.departures()])
def test_kafka_streams_departs_from_its_document_where_a_case_says_so(case: cases.Windowed) -> None:
    assert model.windows(case) != case.windows
