"""Dashboards and rules ask for nothing that nobody tells, and compare no label that is not there."""

from collections.abc import Iterable

import pytest
from observability import questions
from observability.names import KNOWN, base
from observability.questions import Question

ASKED = [*questions.of_dashboards(), *questions.of_rules()]
RECORDED = {rule["record"] for rule in questions.rules() if "record" in rule}
OF_PROMETHEUS = {"up", "ALERTS"}
OF_THE_TARGET = {"namespace", "job", "instance"}


def unknown(asked: Iterable[Question]) -> list[str]:
    return [
        f"{question.place} asks for {name}"
        for question in asked
        for name, _ in question.selectors()
        if base(name) not in KNOWN and name not in RECORDED | OF_PROMETHEUS
    ]


def test_every_metric_that_is_asked_for_is_in_the_catalogue() -> None:
    assert not unknown(ASKED)


def test_a_metric_that_nobody_tells_is_found() -> None:
    asks = 'sum by (saga_started_total) (rate(saga_begun_total{saga="saga_finished_total"}[5m])) / 2e3'
    assert unknown([Question("a page", asks)]) == ["a page asks for saga_begun_total"]


def test_every_label_that_is_compared_is_one_of_that_metric() -> None:
    wrong = [
        f"{question.place} compares {label} of {name}"
        for question in ASKED
        for name, labels in question.selectors()
        if base(name) in KNOWN
        for label in labels - {*KNOWN[base(name)].labels, *OF_THE_TARGET, *(["le"] if name.endswith("_bucket") else [])}
    ]
    assert not wrong


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_a_histogram_is_asked_for_by_its_parts_and_others_by_their_names(name: str) -> None:
    parts = {asked for question in ASKED for asked, _ in question.selectors() if base(asked) == name}
    assert (name in parts) <= (KNOWN[name].kind != "histogram")


def test_a_bound_that_is_compared_is_one_of_the_histogram() -> None:
    for question in ASKED:
        for series in question.series():
            name, _, inside = series.partition("{")
            if 'le="' in inside:
                bound = float(inside.partition('le="')[2].partition('"')[0])
                assert bound in KNOWN[base(name)].buckets, question.place
