"""How counters and histograms are read, with exemplars now and then, and how the live sagas are kept few."""

import ast
import inspect
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.semconv._incubating.attributes import messaging_attributes
from opentelemetry.semconv._incubating.metrics import messaging_metrics
from opentelemetry.semconv.attributes import error_attributes
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition
from prometheus_client.samples import Sample as Read
from tests.unit.seeing.exposition import families

from sagakit.runtime.catalogue import ATTRIBUTES, CATALOGUE, DURATION, FINISHED, INSTANCE_DROPPED, INSTANCE_PHASE
from sagakit.runtime.live_sagas import LiveSaga, LiveSagas
from sagakit.runtime.metrics import EXEMPLAR_CHARACTERS_MAX, AtScrape, Counts, Distributions, Sample

LABELS = ("order/1", "choreography", "completed")
TRACE, SPAN = "af" * 16, "b7" * 8
SAGA = "0af76519-16cd-53dd-8448-eb211c80319c"


def scraped(samples: Iterable[Sample]) -> dict[str, list[Read]]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AtScrape(lambda: samples))
    found: dict[str, list[Read]] = {}
    for family in families(exposition.generate_latest(registry).decode()):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def test_a_counter_shows_a_saga_that_it_counted() -> None:
    counts = Counts(FINISHED)
    counts.at(*LABELS).add(1000.0, TRACE, SPAN, SAGA)
    [sample] = scraped(counts.samples())["saga_finished_total"]
    assert sample.value == 1
    assert sample.exemplar is not None
    assert sample.exemplar.labels == {"trace_id": TRACE, "span_id": SPAN, "correlation_id": SAGA}
    assert float(sample.exemplar.timestamp or 0) == 1000.0


def test_an_exemplar_is_taken_at_most_once_per_second_and_child() -> None:
    counts, durations = Counts(FINISHED), Distributions(DURATION)
    for moment, saga in ((1000.0, "a"), (1000.9, "b"), (1001.0, "c"), (1001.5, "d")):
        counts.at(*LABELS).add(moment, TRACE, SPAN, saga)
        durations.at(*LABELS).observe(0.2, moment, TRACE, SPAN, saga)
        durations.at(*LABELS).observe(99.0, moment, TRACE, SPAN, saga.upper())
    found = scraped([*counts.samples(), *durations.samples()])
    shown = [s.exemplar.labels["correlation_id"] for its in found.values() for s in its if s.exemplar]
    assert sorted(shown) == ["C", "c", "c"]
    assert [sample.value for sample in found["saga_finished_total"]] == [4]


def test_a_saga_that_is_not_traced_is_counted_without_an_exemplar() -> None:
    counts = Counts(FINISHED)
    counts.at(*LABELS).add(1000.0)
    [sample] = scraped(counts.samples())["saga_finished_total"]
    assert (sample.value, sample.exemplar) == (1, None)


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_an_exemplar_is_never_longer_than_is_allowed(correlation_id: str) -> None:
    counts = Counts(FINISHED)
    counts.at(*LABELS).add(1000.0, TRACE, SPAN, correlation_id)
    [(_, _, value)] = counts.samples()
    assert not isinstance(value, float | int)
    assert value.exemplar is not None  # type: ignore[union-attr]
    labels = value.exemplar.labels  # type: ignore[union-attr]
    assert sum(len(name) + len(text) for name, text in labels.items()) <= EXEMPLAR_CHARACTERS_MAX
    assert labels["trace_id"] == TRACE


@given(st.lists(st.floats(0, 10_000)))
def test_a_histogram_counts_each_value_in_every_bucket_that_is_not_below_it(values: list[float]) -> None:
    durations = Distributions(DURATION)
    child = durations.at(*LABELS)
    for value in values:
        child.observe(value, 0.0)
    found = scraped(durations.samples())
    for bucket in found["saga_duration_seconds_bucket"]:
        assert bucket.value == sum(value <= float(bucket.labels["le"]) for value in values)
    assert [sample.value for sample in found["saga_duration_seconds_count"]] == [len(values)]
    assert [sample.value for sample in found["saga_duration_seconds_sum"]] == [pytest.approx(sum(values))]


def test_the_plain_text_has_no_exemplars() -> None:
    counts = Counts(FINISHED)
    counts.at(*LABELS).add(1000.0, TRACE, SPAN, SAGA)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AtScrape(counts.samples))
    assert TRACE not in generate_latest(registry).decode()


def saga(number: int, phase: str = "Running") -> LiveSaga:
    return LiveSaga(f"c-{number}", "order/1", phase, datetime(2026, 5, 1, tzinfo=UTC))


def shown(live: LiveSagas) -> list[str]:
    return [labels[0] for named, labels, _ in live.samples() if named is INSTANCE_PHASE]


def dropped(live: LiveSagas) -> object:
    return next(value for named, _, value in live.samples() if named is INSTANCE_DROPPED)


def test_beyond_the_cap_the_oldest_saga_has_no_series_and_is_counted() -> None:
    live = LiveSagas(2)
    for number in range(5):
        live.add(saga(number))
    assert (shown(live), dropped(live)) == (["c-3", "c-4"], 3)
    live.end("c-0")
    assert (shown(live), dropped(live)) == (["c-3", "c-4"], 2)
    live.end("c-4")
    assert (shown(live), dropped(live)) == (["c-3"], 2)


def test_what_a_saga_comes_to_replaces_what_it_was() -> None:
    live = LiveSagas(2)
    live.add(saga(1))
    live.change(saga(1, "Compensating"))
    live.change(saga(9, "Compensating"))
    assert [labels for named, labels, _ in live.samples() if named is INSTANCE_PHASE] == [
        ("c-1", "order/1", "Compensating")
    ]
    assert dropped(live) == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20))), st.integers(1, 5))
def test_there_are_never_more_series_than_the_cap_and_all_that_lives_is_counted(
    steps: list[tuple[bool, int]], cap: int
) -> None:
    live, lives = LiveSagas(cap), set[int]()
    for begins, number in steps:
        if begins and number not in lives:
            live.add(saga(number))
            lives.add(number)
        elif not begins and number in lives:
            live.end(f"c-{number}")
            lives.discard(number)
        assert len(live) <= cap
        assert len(live) + live.dropped == len(lives)
        assert set(shown(live)) <= {f"c-{its}" for its in lives}


def test_only_the_capped_family_has_ids_for_labels() -> None:
    for named in CATALOGUE:
        ids = {"correlation_id", "saga_id", "order_id", "trace_id", "user_id"} & set(named.labels)
        assert bool(ids) == named.name.startswith("saga_instance_") or named is INSTANCE_DROPPED, named.name


def test_a_histogram_has_buckets_and_a_unit_in_its_name() -> None:
    for named in CATALOGUE:
        assert bool(named.buckets) == (named.kind == "histogram")
        if named.unit == "seconds":
            assert named.name.endswith("_seconds"), named.name


def published(module: ModuleType) -> Iterator[str]:
    """Yield the names that a module of the model publishes and does not deprecate: the docstring below each says so."""
    for node, below in pairwise(ast.parse(inspect.getsource(module)).body):
        match node, below:
            case ast.AnnAssign(value=ast.Constant(value=str(name))), ast.Expr(value=ast.Constant(value=str(said))):
                if not said.strip().startswith("Deprecated"):
                    yield name
            case _:
                pass


def test_the_attributes_of_messaging_are_those_of_the_published_model() -> None:
    known = {name for module in (messaging_attributes, error_attributes) for name in published(module)}
    assert "messaging.message.id" in known
    assert not {"messaging.operation", "messaging.kafka.message.offset"} & known, "what is deprecated is not known"
    ours = {name for name in ATTRIBUTES if not name.startswith("saga.")}
    assert {name for name in ours if name.startswith("messaging.")}
    assert ours <= known


def test_a_metric_of_messaging_is_one_of_the_published_model_with_labels_of_it() -> None:
    known = {each.replace(".", "_") for each in published(messaging_metrics)}
    ours = [named for named in CATALOGUE if named.name.startswith("messaging_")]
    assert {named.name.removesuffix("_seconds") for named in ours} <= known
    attributes = {name.replace(".", "_") for name in ATTRIBUTES}
    assert all(set(named.labels) <= attributes for named in ours)
    assert len(ours) == 2
