"""What a person may ask of an order, in each phase of it, and what time asks; the same in both modes."""

from dataclasses import replace

import pytest
from tests.specs.examples import PARTY, sketch, step

from sagakit.core.definition import Saga
from sagakit.core.facts import AbortCode, Phase, StepCompensated, StepFailed, Verb
from sagakit.core.messages import Mode
from sagakit.testing.scenario import Scenario
from sagakit.testing.voice import T0
from shop_contracts.order_saga import ORDER_SAGA

REPAIRS = (Verb.RETRY, Verb.SKIP, Verb.MARK_DONE)
pytestmark = pytest.mark.parametrize("mode", Mode)


def order(mode: Mode, saga: Saga = ORDER_SAGA) -> Scenario:
    return Scenario(saga, mode).started()


def paid(mode: Mode) -> Scenario:
    return order(mode).when("PaymentCompleted")


def shipped(mode: Mode) -> Scenario:
    return paid(mode).when("InventoryReserved", "ShipmentScheduled")


def test_an_order_placed_is_pending_until_something_was_asked_or_answered(mode: Mode) -> None:
    order(mode).then_is(Phase.RUNNING if mode is Mode.ORCHESTRATION else Phase.PENDING)
    paid(mode).then_is(Phase.RUNNING)


def test_an_orchestrator_owes_one_command_after_the_other_and_a_tracker_none(mode: Mode) -> None:
    directs = mode is Mode.ORCHESTRATION
    order(mode).then_owes(*["ChargePayment"] * directs)
    paid(mode).then_owes(*["ReserveInventory"] * directs)
    paid(mode).when("InventoryFailed").then_owes(*["RefundPayment"] * directs)
    paid(mode).when("InventoryReserved").when("ShipmentScheduled").then_owes(*["ConsumeReservation"] * directs)
    order(mode, PARTY).when("HallDone").then_owes(*["DoBand", "DoCake"] * directs)


def test_a_cancel_of_a_pending_order_asks_everybody_to_abort(mode: Mode) -> None:
    order(mode).wishes(Verb.CANCEL).then_asks_to_abort(AbortCode.CANCELLED)


def test_a_cancel_of_a_running_order_asks_everybody_to_abort_and_owes_no_further_step(mode: Mode) -> None:
    asked = paid(mode).wishes(Verb.CANCEL).then_asks_to_abort(AbortCode.CANCELLED)
    asked.when("InventoryReserved").then_owes()
    asked.wishes(Verb.CANCEL).then_nothing_happened()


def test_a_cancel_of_an_order_being_compensated_has_no_effect(mode: Mode) -> None:
    paid(mode).when("InventoryFailed").then_is(Phase.COMPENSATING).wishes(Verb.CANCEL).then_nothing_happened()


def test_a_cancel_of_a_cancelled_order_has_no_effect(mode: Mode) -> None:
    order(mode).when("PaymentFailed").then_is(Phase.COMPENSATED).wishes(Verb.CANCEL).then_nothing_happened()
    order(mode).wishes(Verb.KILL).then_is(Phase.KILLED).wishes(Verb.CANCEL).then_nothing_happened()


def test_a_cancel_after_the_shipment_is_a_conflict(mode: Mode) -> None:
    shipped(mode).wishes(Verb.CANCEL).then_conflicts("past its pivot").then_is(Phase.RUNNING)


def test_a_cancel_of_a_confirmed_order_is_a_conflict(mode: Mode) -> None:
    confirmed = shipped(mode).when("ReservationConsumed").then_is(Phase.COMPLETED)
    confirmed.wishes(Verb.CANCEL).then_conflicts("has ended (Completed)")


def test_what_has_ended_can_be_neither_killed_nor_suspended_nor_resumed_nor_repaired(mode: Mode) -> None:
    ended = order(mode).when("PaymentFailed").then_is(Phase.COMPENSATED)
    for verb in (Verb.KILL, Verb.SUSPEND, Verb.RESUME, *REPAIRS):
        ended.wishes(verb).then_conflicts("has ended (Compensated)")


def test_the_first_reason_is_reported_whatever_is_asked_later(mode: Mode) -> None:
    declined = StepFailed(at=T0, step="inventory", reason="too few", code="OUT_OF_STOCK")
    refused = paid(mode).when(declined)
    refused.after(31).when("PaymentRefunded").then_is(Phase.COMPENSATED, reason="OUT_OF_STOCK")
    cancelled = paid(mode).wishes(Verb.CANCEL)
    cancelled.when(declined, StepCompensated(at=T0, step="payment")).then_is(Phase.COMPENSATED, reason="CANCELLED")


def test_the_deadline_asks_to_abort_once_and_not_before_its_time(mode: Mode) -> None:
    paid(mode).after(29.9).then_nothing_happened()
    late = paid(mode).after(30).then_asks_to_abort(AbortCode.DEADLINE_PASSED)
    late.after(3600).then_nothing_happened()


def test_the_deadline_asks_nothing_of_an_order_that_was_shipped_or_has_ended(mode: Mode) -> None:
    shipped(mode).after(3600).then_nothing_happened()
    order(mode).when("PaymentFailed").after(3600).then_nothing_happened()


def test_the_time_limit_of_a_step_asks_to_abort_before_the_deadline(mode: Mode) -> None:
    brisk = sketch("pay", "pack", "ship!")
    pack = step("pack", timeout_seconds=5)
    limited = replace(brisk, stages=(brisk.stages[0], (pack,), brisk.stages[2]))
    begun = Scenario(limited, mode).started().after(20).when("PayDone")
    begun.after(4).then_nothing_happened()
    begun.after(5).then_asks_to_abort(AbortCode.STEP_TIMED_OUT)
    begun.when("PackDone").after(5).then_nothing_happened()


def test_a_suspended_order_owes_no_step_and_after_it_is_resumed_the_next_one(mode: Mode) -> None:
    held = order(mode).wishes(Verb.SUSPEND).when("PaymentCompleted").then_owes()
    held.wishes(Verb.SUSPEND).then_nothing_happened()
    resumed = held.wishes(Verb.RESUME).then_owes(*["ReserveInventory"] * (mode is Mode.ORCHESTRATION))
    resumed.wishes(Verb.RESUME).then_nothing_happened()


def test_a_suspended_order_owes_its_compensations_all_the_same(mode: Mode) -> None:
    held = paid(mode).wishes(Verb.SUSPEND).when("InventoryFailed")
    held.then_owes(*["RefundPayment"] * (mode is Mode.ORCHESTRATION))
    held.when("PaymentRefunded").then_is(Phase.COMPENSATED)


def test_a_compensation_that_gave_up_needs_a_person_and_a_decision_goes_to_its_participant(mode: Mode) -> None:
    stuck = paid(mode).when("InventoryFailed").stuck("payment", compensating=True).then_is(Phase.NEEDS_INTERVENTION)
    for verb in REPAIRS:
        stuck.wishes(verb).then_tells_the_participant(verb, "payment").then_is(Phase.COMPENSATING)
    stuck.wishes(Verb.RETRY).when("PaymentRefunded").then_is(Phase.COMPENSATED)


def test_a_step_that_gave_up_needs_a_person_and_runs_on_when_it_is_decided(mode: Mode) -> None:
    stuck = paid(mode).stuck("inventory").then_is(Phase.NEEDS_INTERVENTION)
    stuck.wishes(Verb.RETRY, step="inventory").then_is(Phase.RUNNING).when("InventoryReserved").then_is(Phase.RUNNING)


def test_a_repair_of_what_is_not_stuck_is_a_conflict_that_says_so(mode: Mode) -> None:
    paid(mode).wishes(Verb.RETRY).then_conflicts("no step is waiting for a person (Running)")
    paid(mode).wishes(Verb.SKIP, step="payment").then_conflicts("step 'payment' is not waiting for a person")
    paid(mode).wishes(Verb.SKIP, step="drone").then_conflicts("has no step 'drone'; it has payment, inventory")


def test_an_answer_that_is_repeated_or_comes_after_the_end_is_no_news(mode: Mode) -> None:
    paid(mode).when("PaymentCompleted").then_nothing_happened()
    paid(mode).when("PaymentFailed").then_nothing_happened()
    ended = order(mode).when("PaymentFailed")
    for event in ("PaymentFailed", "PaymentRefunded", "InventoryFailed", "ShipmentFailed"):
        ended.when(event).then_nothing_happened()
    shipped(mode).when("ReservationConsumed").stuck("stock").then_nothing_happened()


def test_answers_may_overtake_each_other_on_their_way_from_different_participants(mode: Mode) -> None:
    early = order(mode).when("InventoryFailed").then_is(Phase.COMPENSATING)
    early.when("PaymentCompleted").then_owes(*["RefundPayment"] * (mode is Mode.ORCHESTRATION))
    early.when("PaymentCompleted", "PaymentRefunded").then_is(Phase.COMPENSATED)
