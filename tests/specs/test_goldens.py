"""What is stored today can be read tomorrow, and the pictures show what is defined."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.specs import golden_files
from tests.specs.examples import FAIR, PARTY

from sagakit.core.contracts import encode_data
from sagakit.core.definition import Saga
from sagakit.core.diagram import mermaid
from sagakit.core.facts import (
    FACTS_VERSION,
    AbortAsked,
    AbortCode,
    AnyFact,
    ByHand,
    SagaCompensated,
    SagaCompleted,
    SagaKilled,
    SagaResumed,
    SagaStarted,
    SagaSuspended,
    StepAsked,
    StepCompensated,
    StepFailed,
    StepStuck,
    StepSucceeded,
    Verb,
    VerbAsked,
    decode_fact,
    encode_fact,
)
from sagakit.core.messages import Mode
from sagakit.core.state import fold
from shop_contracts.order_saga import ORDER_SAGA

AT = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
HAND = ByHand(verb=Verb.SKIP, actor="ada", reason="the bank confirmed it by phone")
DATA = encode_data({"orderId": "order-7"})
EVERY_FACT: tuple[AnyFact, ...] = (
    SagaStarted(
        at=AT,
        definition="order/1",
        mode=Mode.ORCHESTRATION,
        correlation_id="c-7",
        deadline=AT + timedelta(seconds=30),
        input=DATA,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
    SagaStarted(at=AT, definition="order/1", mode=Mode.CHOREOGRAPHY, correlation_id="order-7", deadline=AT),
    StepAsked(at=AT, step="payment"),
    StepAsked(at=AT, step="payment", compensating=True, attempt=1),
    StepSucceeded(at=AT, step="payment", data=DATA),
    StepSucceeded(at=AT, step="payment", by_hand=HAND),
    StepFailed(at=AT, step="payment", reason="card declined", code="DECLINED", data=DATA),
    StepFailed(at=AT, step="payment", reason="CANCELLED", barred=True),
    StepCompensated(at=AT, step="payment", data=DATA, by_hand=HAND),
    StepStuck(at=AT, step="payment", compensating=True, attempts=8, error="no answer"),
    AbortAsked(at=AT, code=AbortCode.STEP_TIMED_OUT, reason="payment was silent", requested_by="order"),
    VerbAsked(at=AT, verb=Verb.RETRY, step="payment", actor="ada", reason="the bank is back", attempt=2),
    SagaSuspended(at=AT, actor="ada", reason="stocktaking"),
    SagaResumed(at=AT, actor="ada", reason="counted"),
    SagaCompleted(at=AT),
    SagaCompensated(at=AT, reason="CANCELLED"),
    SagaKilled(at=AT, actor="ada", reason="a test order"),
)


def test_every_fact_is_stored_as_it_always_was() -> None:
    lines = [bytes(encode_fact(fact)).decode() for fact in EVERY_FACT]
    golden_files.check(f"facts.v{FACTS_VERSION}.jsonl", "\n".join(lines) + "\n")


def test_every_fact_stored_once_reads_as_what_it_meant() -> None:
    stored = (golden_files.GOLDEN / f"facts.v{FACTS_VERSION}.jsonl").read_bytes().splitlines()
    assert tuple(decode_fact(msgspec.Raw(line)) for line in stored) == EVERY_FACT


def test_the_facts_of_an_order_amount_to_what_they_always_did() -> None:
    facts = [decode_fact(encode_fact(fact)) for fact in EVERY_FACT[:1] + EVERY_FACT[2:14] + EVERY_FACT[15:16]]
    state = fold(ORDER_SAGA, "order-7", facts)
    golden_files.check("state.v1.json", msgspec.json.format(msgspec.json.encode(state)).decode() + "\n")


def test_there_is_an_example_of_every_fact() -> None:
    assert {type(fact) for fact in EVERY_FACT} == set(AnyFact.__args__)


def test_a_fact_of_a_later_kind_is_not_guessed_at() -> None:
    with pytest.raises(msgspec.ValidationError, match="SagaPaused"):
        decode_fact(msgspec.Raw(b'{"fact":"SagaPaused","at":"2026-01-01T00:00:00Z"}'))


@pytest.mark.parametrize("saga", [ORDER_SAGA, PARTY, FAIR], ids=lambda saga: saga.name)
def test_the_picture_of_a_saga_shows_its_definition(saga: Saga) -> None:
    golden_files.check(f"{saga.name}.mmd", mermaid(saga))
