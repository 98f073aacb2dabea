"""A saga always says what it waits for, in both modes."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from sagakit.core.facts import (
    AbortAsked,
    AbortCode,
    AnyFact,
    SagaCompensated,
    SagaStarted,
    SagaSuspended,
    StepAsked,
    StepCompensated,
    StepFailed,
    StepStuck,
    StepSucceeded,
    Verb,
)
from sagakit.core.messages import Mode
from sagakit.core.state import SagaState, fold
from sagakit.core.waiting import Waiting, WaitsFor, waiting
from shop_contracts.order_saga import ORDER_SAGA

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BOTH = pytest.mark.parametrize("mode", list(Mode))


def at(seconds: int) -> datetime:
    return NOON + timedelta(seconds=seconds)


def state(mode: Mode, *facts: AnyFact) -> SagaState:
    start = SagaStarted(
        at=NOON, definition=ORDER_SAGA.ref, mode=mode, correlation_id="o", deadline=at(30), input=msgspec.Raw(b"{}")
    )
    asked = [StepAsked(at=NOON, step="payment")] if mode is Mode.ORCHESTRATION else []
    return fold(ORDER_SAGA, "o", [start, *asked, *facts])


def wait(mode: Mode, *facts: AnyFact) -> Waiting:
    found = waiting(ORDER_SAGA, state(mode, *facts))
    assert found is not None
    return found


@BOTH
def test_a_new_order_waits_for_its_payment_until_the_deadline(mode: Mode) -> None:
    found = wait(mode)
    assert (found.kind, found.steps, found.since, found.until) == (WaitsFor.ANSWER, ("payment",), NOON, at(30))
    assert "PaymentCompleted or PaymentFailed" in found.sentence


def test_in_choreography_the_step_after_the_last_success_is_in_doubt_since_that_success() -> None:
    found = wait(Mode.CHOREOGRAPHY, StepSucceeded(at=at(3), step="payment"))
    assert (found.steps, found.since) == (("inventory",), at(3))


@BOTH
def test_a_refused_shipment_leaves_the_release_of_the_stock_owed(mode: Mode) -> None:
    found = wait(
        mode,
        StepSucceeded(at=at(1), step="payment"),
        StepSucceeded(at=at(2), step="inventory"),
        StepFailed(at=at(3), step="shipping", reason="no carrier"),
    )
    assert (found.kind, found.steps, found.since, found.until) == (
        WaitsFor.COMPENSATION,
        ("inventory",),
        at(3),
        None,
    )
    assert "ReleaseInventory → InventoryReleased" in found.sentence


@BOTH
def test_a_released_reservation_leaves_the_refund_owed(mode: Mode) -> None:
    found = wait(
        mode,
        StepSucceeded(at=at(1), step="payment"),
        StepSucceeded(at=at(2), step="inventory"),
        StepFailed(at=at(3), step="shipping", reason="no carrier"),
        StepCompensated(at=at(4), step="inventory"),
    )
    assert (found.steps, found.since) == (("payment",), at(4))


@BOTH
def test_an_aborted_order_waits_until_the_step_in_doubt_says_whether_it_acted(mode: Mode) -> None:
    asked = AbortAsked(at=at(30), code=AbortCode.DEADLINE_PASSED, reason="late", requested_by="order")
    found = wait(mode, asked)
    assert (found.kind, found.steps, found.since) == (WaitsFor.ABORT, ("payment",), at(30))


def test_a_suspended_order_waits_to_be_resumed() -> None:
    found = wait(Mode.CHOREOGRAPHY, SagaSuspended(at=at(5), actor="ops", reason="audit"))
    assert (found.kind, found.since) == (WaitsFor.RESUME, at(5))
    assert Verb.RESUME in found.verbs


@BOTH
def test_a_stuck_refund_waits_for_a_person_and_names_the_error_and_the_verbs_that_help(mode: Mode) -> None:
    found = wait(
        mode,
        StepSucceeded(at=at(1), step="payment"),
        StepFailed(at=at(2), step="inventory", reason="out of stock"),
        StepStuck(at=at(9), step="payment", compensating=True, attempts=8, error="provider down"),
    )
    assert (found.kind, found.steps, found.since, found.error) == (
        WaitsFor.PERSON,
        ("payment",),
        at(9),
        "provider down",
    )
    assert found.verbs == (Verb.RETRY, Verb.SKIP, Verb.MARK_DONE, Verb.KILL)
    assert "RefundPayment after 8 attempts" in found.sentence


@BOTH
def test_after_the_pivot_an_order_waits_without_limit(mode: Mode) -> None:
    steps = ("payment", "inventory", "shipping")
    found = wait(mode, *(StepSucceeded(at=at(n), step=name) for n, name in enumerate(steps, 1)))
    assert (found.steps, found.until, found.verbs) == (("stock",), None, ())


@BOTH
def test_an_ended_order_waits_for_nothing(mode: Mode) -> None:
    failed = StepFailed(at=at(1), step="payment", reason="declined")
    assert waiting(ORDER_SAGA, state(mode, failed, SagaCompensated(at=at(1), reason="declined"))) is None
