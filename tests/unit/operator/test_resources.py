"""Resources as values: what is refused and in which words, what is read back, and what is written."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.e2e.resources.corpus import CORPUS, Case, manifest
from tests.unit.operator.largest import CONDITIONS, NOW, TEXTS, largest_status

from saga_operator.resources import (
    REASON_LENGTH_MAX,
    STATUS_BYTES_MAX,
    TRANSITIONS_MAX,
    Condition,
    DefinedKind,
    DefinitionResource,
    DefinitionStatus,
    DeletionPolicy,
    MalformedError,
    OrderSaga,
    RefundPolicy,
    RetryPolicy,
    SagaMode,
    Status,
    StepState,
    StepStatus,
    Transition,
    Truth,
    parse,
    parse_definition,
    shortened,
    word,
)
from sagakit.core import facts
from sagakit.core.definition import StepKind
from sagakit.core.facts import Phase
from sagakit.core.messages import Mode
from shop_contracts.definitions import definition_of
from shop_contracts.messages import RefundMethod

ROOT = Path(__file__).parents[3]
MALFORMED = [case for case in CORPUS.malformed if not case.server_only]
ORDER = {"userId": "user-1", "items": [{"productId": "prod-1", "quantity": 2, "price": "19.99"}]}


def stored(body: dict[str, Any], **metadata: object) -> dict[str, Any]:
    """Return the manifest with what the API server adds."""
    added = {"namespace": "shop", "uid": "u-1", "generation": 3, "resourceVersion": "17"}
    made = body["metadata"] | added | {"creationTimestamp": "2026-11-26T10:00:00Z"} | metadata
    return body | {"metadata": made}


def read(case: Case) -> OrderSaga | DefinitionResource:
    body = stored(case.manifest())
    return parse(body) if body["kind"] == "OrderSaga" else parse_definition(body)


def saga(**body: object) -> OrderSaga:
    return parse(stored(manifest("OrderSaga", "order-1", {"order": ORDER})) | body)


@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: case.name)
def test_what_the_api_server_refuses_the_operator_refuses_in_one_sentence(case: Case) -> None:
    with pytest.raises(MalformedError) as refused:
        read(case)
    sentence = str(refused.value)
    assert sentence.startswith(("spec", "metadata"))
    assert "\n" not in sentence
    assert "`" not in sentence


@pytest.mark.parametrize(
    "case", [case for case in CORPUS.good if case.operator_says is None], ids=lambda case: case.name
)
def test_what_the_api_server_accepts_the_operator_reads(case: Case) -> None:
    assert read(case).name == case.name


@pytest.mark.parametrize("case", [case for case in CORPUS.good if case.operator_says], ids=lambda case: case.name)
def test_what_no_schema_can_say_the_operator_says(case: Case) -> None:
    with pytest.raises(MalformedError) as refused:
        read(case)
    assert str(case.operator_says) in str(refused.value)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({}, "spec: exactly one of order and sagaRef is needed"),
        ({"order": {"userId": "user-1"}}, "spec.order needs a field 'items'"),
        ({"order": ORDER, "mode": "Dance"}, "spec.mode cannot be 'Dance'"),
        ({"order": ORDER, "timeoutSeconds": 0}, "spec.timeoutSeconds must be a whole number >= 1"),
        ({"order": ORDER, "timeoutSeconds": "30s"}, "spec.timeoutSeconds must be a whole number, not a text"),
        ({"order": ORDER, "correlationId": "a b"}, "spec.correlationId is not of the form"),
        ({"order": ORDER, "cancelReason": "why"}, "spec.cancelReason: cancelReason needs cancel: true"),
        ("everything", "spec must be a mapping, not a text"),
        (None, "spec must be a mapping, not nothing"),
    ],
)
def test_a_refusal_names_the_place(spec: object, sentence: str) -> None:
    with pytest.raises(MalformedError) as refused:
        saga(spec=spec)
    assert sentence in str(refused.value)


def test_a_total_beyond_bounds_and_unprintable_names_are_refused_although_each_line_is_fine() -> None:
    dear = {"productId": "prod-1", "quantity": 1_000_000, "price": "999999999.99"}
    with pytest.raises(MalformedError, match=r"the total of 999999999990000\.00 is beyond bounds"):
        saga(spec={"order": {"userId": "user-1", "items": [dear]}})
    with pytest.raises(MalformedError, match=r"userId: .* cannot be printed"):
        saga(spec={"order": {**ORDER, "userId": "us\x07er"}})


def test_what_is_left_out_has_its_default() -> None:
    spec = saga().spec
    assert spec.order is not None
    assert (spec.order.currency, spec.order.refund_policy) == ("USD", RefundPolicy.REFUND)
    assert (spec.mode, spec.timeout_seconds, spec.suspend, spec.cancel) == (SagaMode.CHOREOGRAPHY, 30, False, False)
    assert (spec.retry_policy, spec.deletion_policy) == (
        RetryPolicy(limit=0, backoff_seconds=30),
        DeletionPolicy.COMPENSATE,
    )
    assert (spec.saga_ref, spec.definition_ref, spec.retry_token, spec.ttl_seconds_after_finished) == (None,) * 4


def test_a_later_version_of_the_schema_does_not_stop_this_operator() -> None:
    assert saga(spec={"order": ORDER, "priority": 1}).spec.order is not None


def test_metadata_is_read_as_it_stands() -> None:
    body = stored(
        manifest("OrderSaga", "order-1", {"order": ORDER, "definitionRef": {"name": "order", "version": 2}}),
        deletionTimestamp="2026-11-26T11:00:00Z",
        finalizers=["sagaplane.io/compensation"],
        annotations={"sagaplane.io/started-at": "2026-11-26T10:00:01Z"},
        managedFields=[{"manager": "kubectl"}],
    )
    its = parse(MappingProxyType(body))
    assert (its.namespace, its.name, its.uid, its.generation, its.resource_version) == (
        "shop",
        "order-1",
        "u-1",
        3,
        "17",
    )
    assert its.created_at == datetime(2026, 11, 26, 10, tzinfo=UTC)
    assert its.deleted_at == datetime(2026, 11, 26, 11, tzinfo=UTC)
    assert its.finalizers == ("sagaplane.io/compensation",)
    assert its.annotations["sagaplane.io/started-at"] == "2026-11-26T10:00:01Z"
    assert its.spec.definition_ref is not None
    assert its.spec.definition_ref.ref == "order/2"


def test_a_definition_is_read_with_its_ref() -> None:
    its = parse_definition(stored(samples("definition-inventory-first.yaml")[0]))
    assert its.spec.ref == "inventory-first/1"
    assert [step.name for stage in its.spec.stages for step in stage.steps] == [
        "inventory",
        "payment",
        "shipping",
        "stock",
    ]


def test_the_definition_among_the_samples_is_one_that_the_shop_can_carry_out() -> None:
    saga = definition_of(samples("definition-inventory-first.yaml")[0]["spec"])
    assert saga.ref == "inventory-first/1"
    assert [step.name for step in saga.steps] == ["inventory", "payment", "shipping", "stock"]


def test_what_was_reported_is_read_back() -> None:
    body = largest_status("late").to_body()
    seen = saga(status=body).status
    assert seen.deadline == NOW.replace(microsecond=0)
    assert (seen.phase, seen.observed_retry_token, seen.retries) == (Phase.NEEDS_INTERVENTION, "t" * 63, 100)
    assert [condition.type for condition in seen.conditions] == list(CONDITIONS)
    assert len(seen.transitions) == len(body["transitions"])


@pytest.mark.parametrize("status", [None, "lost", [], {"conditions": "none", "transitions": 3, "deadline": "soon"}])
def test_a_status_that_cannot_be_read_counts_as_absent(status: object) -> None:
    seen = saga(status=status).status
    assert (seen.deadline, seen.phase, seen.conditions, seen.transitions) == (None, None, (), ())


def test_of_a_status_that_is_partly_unreadable_the_rest_is_read() -> None:
    fine = {"type": "Finished", "status": "True", "reason": "Completed", "lastTransitionTime": "2026-11-26T10:00:00Z"}
    body = {"phase": "Dancing", "deadline": "2026-11-26T10:00:30Z", "conditions": [{"type": "Ready"}, fine]}
    seen = saga(status=body).status
    assert seen.phase is None
    assert seen.deadline == datetime(2026, 11, 26, 10, 0, 30, tzinfo=UTC)
    assert [condition.type for condition in seen.conditions] == ["Finished"]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_status_of_ten_steps_stays_below_ten_kilobytes_whatever_the_texts(text: str) -> None:
    body = largest_status(text).to_body()
    assert stored_bytes(body) <= STATUS_BYTES_MAX
    assert len(body["steps"]) == 10
    assert len(body["conditions"]) == len(CONDITIONS)
    assert body["transitions"][-1]["reason"].startswith("R")


@given(st.text(max_size=3_000))
def test_a_status_stays_below_ten_kilobytes_for_any_text(text: str) -> None:
    assert stored_bytes(largest_status(text).to_body()) <= STATUS_BYTES_MAX


def test_an_ordinary_status_keeps_its_texts_and_transitions() -> None:
    status = Status(
        message="m" * 1_000,
        steps=tuple(
            StepStatus(name=f"step-{n}", participant="payment", state=StepState.BEGUN, message="s" * 200)
            for n in range(4)
        ),
        transitions=tuple(Transition(time=NOW, phase=Phase.RUNNING, reason=f"R{n}") for n in range(12)),
    )
    body = status.to_body()
    assert body["message"] == "m" * 1_000
    assert body["steps"][0]["message"] == "s" * 200
    assert [each["reason"] for each in body["transitions"]] == [f"R{n}" for n in range(2, 12)]
    assert len(body["transitions"]) == TRANSITIONS_MAX


def test_times_are_written_in_utc_and_whole_seconds_and_nothing_unsaid_is_written() -> None:
    at = datetime(2026, 11, 26, 12, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))
    status = Status(deadline=at, phase=Phase.PENDING, suspended=False, retries=0)
    assert status.to_body() == {"phase": "Pending", "deadline": "2026-11-26T10:00:00Z", "retries": 0}


def test_the_status_of_a_definition_is_written_too() -> None:
    told = Condition(
        type="Validated", status=Truth.FALSE, reason="Invalid", message="x" * 600, last_transition_time=NOW
    )
    body = DefinitionStatus(observed_generation=1, ref="order/1", conditions=(told,)).to_body()
    assert body["observedGeneration"] == 1
    assert body["conditions"][0]["status"] == "False"
    assert len(body["conditions"][0]["message"]) == 256


@pytest.mark.parametrize(
    ("text", "length_max", "short"),
    [("two\n  lines", 20, "two lines"), ("exactly", 7, "exactly"), ("too long", 7, "too lo…"), ("nothing", 0, "")],
)
def test_a_text_becomes_one_line_within_its_bound(text: str, length_max: int, short: str) -> None:
    assert shortened(text, length_max) == short


@pytest.mark.parametrize(
    ("text", "reason"),
    [("CARD_DECLINED", "CARD_DECLINED"), ("no such card!", "no_such_card"), ("404", "R_404"), ("", "R_"), ("é", "R_")],
)
def test_a_reason_becomes_one_word(text: str, reason: str) -> None:
    assert word(text) == reason


@given(st.text(max_size=200))
def test_any_reason_is_one_that_the_schema_takes(text: str) -> None:
    made = word(text)
    assert 1 <= len(made) <= REASON_LENGTH_MAX
    assert (
        msgspec.convert({"time": "2026-11-26T10:00:00Z", "phase": "Running", "reason": made}, Transition).reason == made
    )


def test_words_of_kubernetes_mean_those_of_the_kit() -> None:
    assert {word: word.mode for word in SagaMode} == dict(zip(SagaMode, Mode, strict=True))
    assert {word.method for word in RefundPolicy} == set(RefundMethod)
    assert {word.kind for word in DefinedKind} == set(StepKind)
    assert [StepState.of(status) for status in facts.StepStatus] == list(StepState)


def samples(name: str) -> list[dict[str, Any]]:
    return [msgspec.yaml.decode(part) for part in (ROOT / "k8s" / "samples" / name).read_text().split("\n---\n")]


def test_every_sample_can_be_read_and_says_first_what_will_happen() -> None:
    names = []
    for path in sorted((ROOT / "k8s" / "samples").glob("*.yaml")):
        assert path.read_text().startswith("# "), path.name
        for body in samples(path.name):
            its = parse(stored(body)) if body["kind"] == "OrderSaga" else parse_definition(stored(body))
            names.append(its.name)
    assert len(names) == len(set(names))
    promised = ("confirmed", "declined", "out-of-stock", "timed-out", "orchestrated", "suspended")
    assert {f"order-{name}" for name in promised} <= set(names)
    assert len(samples("ten.yaml")) == 10


def stored_bytes(body: dict[str, Any]) -> int:
    """Return the bytes of the JSON of Go, which writes `<`, `>` and `&` in six characters."""
    text = msgspec.json.encode(body).decode()
    for sign in "<>&":
        text = text.replace(sign, rf"\u{ord(sign):04x}")
    return len(text.encode())
