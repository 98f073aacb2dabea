"""Where messages cross. Each of these once went wrong, or was feared to."""

import msgspec
import pytest
from tests.specs.examples import ERRANDS, PARTY, PICNIC, sketch

from sagakit.core.definition import Saga
from sagakit.core.facts import AbortCode, Phase, StepStatus, Verb
from sagakit.core.messages import Mode
from sagakit.core.part import RESUMED, SUSPENDED
from sagakit.testing.part_scenario import PartScenario
from sagakit.testing.scenario import Scenario
from sagakit.testing.voice import Voice
from shop_contracts.order_saga import ORDER_SAGA


def part(saga: Saga, participant: str, mode: Mode = Mode.CHOREOGRAPHY) -> PartScenario:
    return PartScenario(saga, participant, mode)


def test_whoever_bars_her_second_step_takes_back_her_first() -> None:
    held = part(ERRANDS, "anna").hears("Asked").hears(SUSPENDED, attempt=1).succeeds()
    held.then_says("FetchDone").then_does()
    held.hears_abort().then_says("WrapRefused").then_does("UndoFetch")


def test_whoever_bars_one_of_two_parallel_steps_takes_back_the_other() -> None:
    half = part(PICNIC, "anna").hears("Asked").then_does("DoBread", "DoWine").succeeds("bread").refuses("wine")
    half.then_says("WineRefused").then_does("UndoBread")


def test_a_group_is_not_taken_back_before_all_its_members_have_answered() -> None:
    paid = part(PARTY, "band").hears("Asked", "HallDone").succeeds()
    barred_behind = paid.hears("InviteRefused").then_nothing_happened()
    barred_behind.hears("CakeDone").then_does("UndoBand")
    barred_behind.hears("CakeRefused").then_does("UndoBand")


def test_a_sibling_that_failed_first_does_not_stop_a_step_that_has_not_begun() -> None:
    early = part(PARTY, "band").hears("Asked", "CakeRefused").then_nothing_happened()
    early.hears("HallDone").then_does("DoBand").succeeds().then_says("BandDone").then_does("UndoBand")


def test_a_step_behind_which_all_is_barred_waits_for_the_request_to_abort_and_bars() -> None:
    held = part(PARTY, "hall").hears(SUSPENDED, attempt=1).hears("Asked", "BandRefused", "CakeRefused")
    resumed = held.hears(RESUMED, attempt=2).then_nothing_happened()
    resumed.hears_abort().then_says("HallRefused")


def test_an_old_suspension_said_again_does_not_suspend_again() -> None:
    switched = part(ORDER_SAGA, "payment").hears("OrderCreated")
    for attempt in range(1, 60, 2):
        switched = switched.hears(SUSPENDED, attempt=attempt).hears(RESUMED, attempt=attempt + 1)
    again = switched.hears(SUSPENDED, attempt=1)
    again.then_nothing_happened()
    assert again.part is not None
    assert not again.part.suspended


def test_a_repeated_retry_does_not_try_a_step_that_got_stuck_again() -> None:
    stuck = part(ORDER_SAGA, "payment").hears("OrderCreated").gives_up().then_says("StepStuck")
    retried = stuck.hears_repair(Verb.RETRY, "payment", attempt=1).then_does("ChargePayment").gives_up()
    retried.hears_repair(Verb.RETRY, "payment", attempt=1).then_nothing_happened()
    retried.hears_repair(Verb.RETRY, "payment", attempt=2).then_does("ChargePayment")


def test_an_undo_that_is_tried_again_still_knows_that_nothing_had_happened() -> None:
    early = part(ORDER_SAGA, "payment", Mode.ORCHESTRATION).hears("RefundPayment")
    early.then_does("RefundPayment").then_nothing_is_taken_back("payment")
    early.gives_up().hears_repair(Verb.RETRY, "payment", attempt=1).then_nothing_is_taken_back("payment")


def test_what_is_said_after_a_repair_is_caused_by_the_repair() -> None:
    stuck = part(ORDER_SAGA, "payment").hears("OrderCreated").gives_up()
    said = stuck.hears_repair(Verb.RETRY, "payment", attempt=1).succeeds()
    repair = Voice(ORDER_SAGA).repair(Verb.RETRY, "payment", 1)
    assert [item.cause for item in said.todo] == [repair.id]


def test_an_undo_is_carried_out_with_its_own_command_and_not_with_that_of_the_action() -> None:
    say = Voice(ORDER_SAGA, mode=Mode.ORCHESTRATION).say
    charged = part(ORDER_SAGA, "payment", Mode.ORCHESTRATION).takes(say("ChargePayment", data={"total": 3})).succeeds()
    refunding = charged.takes(say("RefundPayment", data={"refundPolicy": "store-credit"})).then_does("RefundPayment")
    assert refunding.part is not None
    assert b"store-credit" in bytes(refunding.part.input_of("RefundPayment"))


def test_two_parallel_steps_of_one_participant_keep_their_own_commands() -> None:
    say = Voice(PICNIC, mode=Mode.ORCHESTRATION).say
    both = part(PICNIC, "anna", Mode.ORCHESTRATION).takes(
        say("DoBread", data={"loaves": 2}), say("DoWine", data={"bottles": 1})
    )
    assert both.part is not None
    assert msgspec.json.decode(both.part.input_of("DoBread"))["loaves"] == 2
    assert msgspec.json.decode(both.part.input_of("DoWine"))["bottles"] == 1


@pytest.mark.parametrize("mode", Mode)
def test_a_cancel_of_an_order_that_is_being_compensated_has_no_effect(mode: Mode) -> None:
    refused = Scenario(ORDER_SAGA, mode).started().when("PaymentCompleted", "InventoryFailed")
    refused.then_is(Phase.COMPENSATING).wishes(Verb.CANCEL).then_nothing_happened()
    stuck = refused.stuck("payment", compensating=True).then_is(Phase.NEEDS_INTERVENTION)
    stuck.wishes(Verb.CANCEL).then_nothing_happened()


@pytest.mark.parametrize("mode", Mode)
def test_a_saga_that_nobody_can_refuse_cannot_be_cancelled_and_has_no_deadline(mode: Mode) -> None:
    sure = Scenario(sketch("post+", "tell+"), mode).started()
    sure.wishes(Verb.CANCEL).then_conflicts("only goes forward")
    sure.after(3600).then_nothing_happened()


def test_an_abort_of_a_saga_not_heard_of_bars_its_steps_whatever_comes_later() -> None:
    barred = part(ORDER_SAGA, "payment").hears_abort(AbortCode.DEADLINE_PASSED).then_says("PaymentFailed")
    barred.hears("OrderCreated").then_nothing_happened()
    asked = part(ORDER_SAGA, "payment", Mode.ORCHESTRATION).hears_abort().then_says("PaymentFailed")
    asked.hears("ChargePayment").then_nothing_happened().then_step_is("payment", StepStatus.BARRED)


def test_an_undo_that_overtakes_its_action_bars_the_late_action() -> None:
    undone = part(ORDER_SAGA, "payment", Mode.ORCHESTRATION).hears("RefundPayment").succeeds()
    undone.then_says("PaymentRefunded").hears("ChargePayment").then_nothing_happened()


@pytest.mark.parametrize("mode", Mode)
def test_a_repeated_message_leaves_the_very_same_part_so_that_nothing_is_written(mode: Mode) -> None:
    beginning = "OrderCreated" if mode is Mode.CHOREOGRAPHY else "ChargePayment"
    charged = part(ORDER_SAGA, "payment", mode).hears(beginning).hears_abort().succeeds()
    assert charged.hears(beginning).part is charged.part
    assert charged.hears_abort().part is charged.part
