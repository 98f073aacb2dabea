"""How one participant behaves, whoever coordinates: what it does, what it says, and what leaves it unmoved."""

import pytest
from tests.specs.examples import PARTY

from sagakit.core.facts import AbortCode, StepStatus, Verb
from sagakit.core.messages import Mode
from sagakit.core.part import KILLED, RESUMED, SUSPENDED
from sagakit.testing.part_scenario import PartScenario
from shop_contracts.order_saga import ORDER_SAGA

DIRECTED, FREE = Mode.ORCHESTRATION, Mode.CHOREOGRAPHY
TRIGGERS = {
    (FREE, "payment"): ["OrderCreated"],
    (FREE, "inventory"): ["OrderCreated", "PaymentCompleted"],
    (FREE, "shipping"): ["OrderCreated", "InventoryReserved"],
    (FREE, "stock"): ["OrderCreated", "PaymentCompleted", "ShipmentScheduled"],
    (DIRECTED, "payment"): ["ChargePayment"],
    (DIRECTED, "inventory"): ["ReserveInventory"],
    (DIRECTED, "shipping"): ["ScheduleShipment"],
    (DIRECTED, "stock"): ["ReserveInventory", "ConsumeReservation"],
}
UNDO = {FREE: "InventoryFailed", DIRECTED: "RefundPayment"}
modes = pytest.mark.parametrize("mode", Mode)


def part(participant: str, mode: Mode) -> PartScenario:
    return PartScenario(ORDER_SAGA, participant, mode)


def begun(step: str, mode: Mode) -> PartScenario:
    return part(ORDER_SAGA.step(step).participant, mode).hears(*TRIGGERS[mode, step])


@modes
def test_a_step_begins_on_its_cause_and_says_what_came_of_it(mode: Mode) -> None:
    begun("payment", mode).then_does("ChargePayment").succeeds().then_says("PaymentCompleted")
    begun("payment", mode).refuses().then_says("PaymentFailed").then_does()


@modes
def test_a_step_that_refused_is_not_taken_back(mode: Mode) -> None:
    refused = begun("payment", mode).refuses()
    if mode is FREE:
        refused.hears("InventoryFailed").then_nothing_happened()
    refused.hears_abort().then_nothing_happened()


@modes
def test_a_step_that_acted_waits_for_its_undo_when_asked_to_abort(mode: Mode) -> None:
    acted = begun("payment", mode).succeeds().hears_abort().then_nothing_happened()
    acted.hears(UNDO[mode]).then_does("RefundPayment").succeeds().then_says("PaymentRefunded")


@modes
def test_a_step_in_doubt_answers_when_it_knows_although_an_abort_was_asked(mode: Mode) -> None:
    doubtful = begun("payment", mode).hears_abort().then_nothing_happened()
    doubtful.succeeds().then_says("PaymentCompleted")
    doubtful.refuses().then_says("PaymentFailed")


@modes
def test_a_step_that_has_not_acted_is_barred_for_good_and_says_why(mode: Mode) -> None:
    barred = part("payment", mode).hears_abort(AbortCode.CANCELLED).then_says("PaymentFailed")
    barred.then_step_is("payment", StepStatus.BARRED)
    assert [getattr(item, "code", None) for item in barred.todo] == [AbortCode.CANCELLED]
    barred.hears(*TRIGGERS[mode, "payment"]).then_nothing_happened()


@modes
def test_a_step_behind_the_pivot_is_not_barred_and_acts_after_the_abort(mode: Mode) -> None:
    reserved = begun("inventory", mode).succeeds().hears_abort().then_nothing_happened()
    later = ["ShipmentScheduled"] if mode is FREE else ["ConsumeReservation"]
    reserved.hears(*later).then_does("ConsumeReservation").succeeds().then_says("ReservationConsumed")


@modes
@pytest.mark.parametrize("step", ["payment", "inventory", "shipping"])
def test_no_step_up_to_the_pivot_begins_after_the_deadline_its_message_carries(mode: Mode, step: str) -> None:
    late = part(ORDER_SAGA.step(step).participant, mode).after(30).hears(*TRIGGERS[mode, step])
    late.then_does().then_step_is(step, StepStatus.BARRED)


@modes
def test_a_step_behind_the_pivot_begins_after_the_deadline_all_the_same(mode: Mode) -> None:
    reserved = begun("inventory", mode).succeeds().after(3600)
    later = ["ShipmentScheduled"] if mode is FREE else ["ConsumeReservation"]
    reserved.hears(*later).then_does("ConsumeReservation")


@modes
def test_a_step_not_yet_begun_is_held_while_suspended(mode: Mode) -> None:
    held = part("payment", mode).hears(SUSPENDED, attempt=1).hears(*TRIGGERS[mode, "payment"]).then_nothing_happened()
    held.hears(RESUMED, attempt=2).then_does("ChargePayment")
    held.hears_abort().then_says("PaymentFailed")


@modes
def test_a_step_that_has_begun_finishes_and_is_taken_back_while_suspended(mode: Mode) -> None:
    finished = begun("payment", mode).hears(SUSPENDED, attempt=1).succeeds().then_says("PaymentCompleted")
    finished.hears(UNDO[mode]).then_does("RefundPayment")


@modes
def test_after_a_kill_nothing_begins_and_nothing_is_taken_back(mode: Mode) -> None:
    part("payment", mode).hears(KILLED, *TRIGGERS[mode, "payment"]).then_nothing_happened()
    begun("payment", mode).succeeds().hears(KILLED, UNDO[mode]).then_nothing_happened()


@modes
def test_a_step_in_doubt_when_killed_is_found_out_and_said(mode: Mode) -> None:
    begun("payment", mode).hears(KILLED).succeeds().then_says("PaymentCompleted").then_does()


@modes
def test_a_repeated_message_is_dropped_wherever_the_step_stands(mode: Mode) -> None:
    before = TRIGGERS[mode, "payment"]
    begun("payment", mode).hears(*before).then_nothing_happened()
    begun("payment", mode).succeeds().hears(*before).then_nothing_happened()
    undone = begun("payment", mode).succeeds().hears(UNDO[mode]).succeeds().then_says("PaymentRefunded")
    undone.hears(*before, UNDO[mode]).then_nothing_happened()


@modes
@pytest.mark.parametrize("verb", [Verb.SKIP, Verb.MARK_DONE])
def test_a_person_decides_in_place_of_a_refund_that_gave_up(mode: Mode, verb: Verb) -> None:
    stuck = begun("payment", mode).succeeds().hears(UNDO[mode]).gives_up().then_says("StepStuck")
    decided = stuck.hears_repair(verb, "payment", attempt=1).then_is_resolved_by_hand("payment", verb)
    decided.succeeds().then_says("PaymentRefunded")


@modes
def test_a_decision_about_a_step_that_is_not_stuck_is_dropped(mode: Mode) -> None:
    for verb in (Verb.RETRY, Verb.SKIP, Verb.MARK_DONE):
        begun("payment", mode).hears_repair(verb, "payment", attempt=1).then_nothing_happened()


def test_a_command_sent_again_is_answered_with_the_stored_outcome() -> None:
    charged = begun("payment", DIRECTED).succeeds()
    charged.hears("ChargePayment", attempt=1).then_says_again("PaymentCompleted", 1).then_does()
    refused = begun("payment", DIRECTED).refuses()
    refused.hears("ChargePayment", attempt=1).then_says_again("PaymentFailed", 1)
    refunded = charged.hears("RefundPayment").succeeds()
    refunded.hears("RefundPayment", attempt=1).then_says_again("PaymentRefunded", 1).then_does()


def test_a_command_sent_again_while_it_is_carried_out_is_answered_once_it_is_known() -> None:
    again = begun("payment", DIRECTED).hears("ChargePayment", attempt=1).then_nothing_happened()
    again.succeeds().then_says_again("PaymentCompleted", 1)


def test_an_undo_of_what_never_happened_succeeds_without_effect_and_bars_the_late_action() -> None:
    early = part("payment", DIRECTED).hears("RefundPayment").then_does("RefundPayment")
    early.then_nothing_is_taken_back("payment").succeeds().then_says("PaymentRefunded")
    early.succeeds().hears("ChargePayment").then_nothing_happened()


def test_events_may_overtake_the_beginning_of_the_order() -> None:
    early = part("inventory", FREE).hears("PaymentCompleted").then_waits_for_the_beginning()
    early.hears("OrderCreated").then_does("ReserveInventory")


def test_a_step_is_taken_back_on_the_failure_or_the_undo_of_the_step_behind_it_and_on_nothing_else() -> None:
    paid = begun("payment", FREE).succeeds()
    for event in ("ShipmentFailed", "ReservationConsumed", "InventoryReserved", "OrderCancelled", "PaymentRefunded"):
        paid.hears(event).then_nothing_happened()
    paid.hears("InventoryFailed").then_does("RefundPayment")
    paid.hears("InventoryReleased").then_does("RefundPayment")


def test_a_step_before_a_group_is_taken_back_when_every_member_of_the_group_is_settled() -> None:
    hall = PartScenario(PARTY, "hall").hears("Asked").succeeds()
    one = hall.hears("BandRefused").then_nothing_happened()
    one.hears("CakeRefused").then_does("UndoHall")
    one.hears("CakeUndone").then_does("UndoHall")


def test_members_of_a_group_do_not_interrupt_each_other_and_each_success_is_undone() -> None:
    band = PartScenario(PARTY, "band").hears("Asked", "HallDone").then_does("DoBand")
    band.hears("CakeRefused").then_nothing_happened().succeeds().then_says("BandDone").then_does("UndoBand")
    band.hears("CakeRefused").refuses().then_says("BandRefused").then_does()


def test_a_group_joins_before_the_next_step_begins() -> None:
    invite = PartScenario(PARTY, "invite").hears("Asked", "BandDone").then_nothing_happened()
    invite.hears("CakeDone").then_does("DoInvite")
