"""What happens to an order. Read it top to bottom; every sentence holds in both modes of coordination."""

from collections.abc import Mapping

import pytest

from sagakit.core.decide import cancel_refused
from sagakit.core.facts import AbortCode, Phase, StepStatus, Verb
from sagakit.core.messages import Mode
from sagakit.testing.model_world import Interruption, ModelWorld, statuses
from sagakit.testing.script import Plays, Script
from shop_contracts.order_saga import ORDER_SAGA

pytestmark = pytest.mark.parametrize("mode", Mode)

DEADLINE = AbortCode.DEADLINE_PASSED
WHEN_ALL_IS_QUIET = 1_000_000


def order(
    mode: Mode, script: Script | None = None, interruptions: Mapping[int, Interruption] | None = None, **plays: Plays
) -> ModelWorld:
    """Play an order to its end and check what holds for every order."""
    world = ModelWorld(ORDER_SAGA, mode, script or Script(plays)).play(interruptions)
    assert world.state.phase is Phase.KILLED or world.wrongs() == []
    return world


def said(world: ModelWorld) -> list[str]:
    return [message.type for message in world.messages]


def test_an_order_is_paid_set_aside_shipped_taken_off_the_stock_and_confirmed(mode: Mode) -> None:
    world = order(mode)
    assert world.state.phase is Phase.COMPLETED
    assert world.done == ["ChargePayment", "ReserveInventory", "ScheduleShipment", "ConsumeReservation"]
    assert said(world)[-1] == "OrderConfirmed"


def test_a_declined_payment_is_not_refunded(mode: Mode) -> None:
    world = order(mode, payment=Plays.REFUSES)
    assert world.state.phase is Phase.COMPENSATED
    assert world.done == []
    assert "PaymentRefunded" not in said(world)


def test_an_order_without_stock_is_refunded_and_the_stock_is_not_released(mode: Mode) -> None:
    world = order(mode, inventory=Plays.REFUSES)
    assert world.done == ["ChargePayment", "RefundPayment"]
    assert statuses(world)["inventory"] is StepStatus.REFUSED
    assert world.state.reason == "inventory refused"


def test_an_order_that_cannot_be_shipped_is_taken_back_newest_first(mode: Mode) -> None:
    world = order(mode, shipping=Plays.REFUSES)
    assert world.done == ["ChargePayment", "ReserveInventory", "ReleaseInventory", "RefundPayment"]


def test_a_silent_payment_that_succeeded_after_the_abort_is_refunded_and_never_dropped(mode: Mode) -> None:
    world = order(mode, payment=Plays.SUCCEEDS_LATE)
    assert world.state.phase is Phase.COMPENSATED
    assert world.state.reason == DEADLINE
    assert world.done == ["ChargePayment", "RefundPayment"]


def test_a_silent_payment_that_was_declined_after_the_abort_is_not_refunded(mode: Mode) -> None:
    assert order(mode, payment=Plays.REFUSES_LATE).done == []


def test_a_silent_reservation_is_released_and_the_payment_refunded_after_it(mode: Mode) -> None:
    world = order(mode, inventory=Plays.SUCCEEDS_LATE)
    assert world.done == ["ChargePayment", "ReserveInventory", "ReleaseInventory", "RefundPayment"]


def test_an_abort_bars_whoever_has_not_acted_for_good(mode: Mode) -> None:
    world = order(mode, inventory=Plays.IS_AWAY)
    assert world.done == ["ChargePayment", "RefundPayment"]
    assert statuses(world)["inventory"] is StepStatus.BARRED
    failed = next(message for message in world.messages if message.type == "InventoryFailed")
    assert b"DEADLINE_PASSED" in bytes(failed.data)


def test_compensation_begins_with_an_event_and_never_with_the_request_to_abort(mode: Mode) -> None:
    world = order(mode, inventory=Plays.SUCCEEDS_LATE)
    by_id = {message.id: message.type for message in world.messages}
    causes = {message.type: by_id.get(message.causation_id) for message in world.messages}
    for undone in ("InventoryReleased", "PaymentRefunded"):
        assert causes[undone] != "AbortSaga"


def test_a_shipment_under_way_beats_the_abort(mode: Mode) -> None:
    world = order(mode, shipping=Plays.SUCCEEDS_LATE)
    assert world.state.abort is not None
    assert world.state.phase is Phase.COMPLETED
    assert cancel_refused(ORDER_SAGA, world.state)
    assert world.done[-1] == "ConsumeReservation"


def test_a_cancel_that_lost_against_the_shipment_shows_as_refused(mode: Mode) -> None:
    world = ModelWorld(ORDER_SAGA, mode, Script({"shipping": Plays.SUCCEEDS_LATE}))
    world.play({WHEN_ALL_IS_QUIET: Verb.CANCEL})
    assert world.wrongs() == []
    assert cancel_refused(ORDER_SAGA, world.state)
    assert world.state.phase is Phase.COMPLETED
    assert world.state.reason is None


def test_what_follows_the_shipment_is_never_barred_however_long_it_takes(mode: Mode) -> None:
    for plays in (Plays.IS_AWAY, Plays.SUCCEEDS_LATE, Plays.GIVES_UP):
        world = order(mode, stock=plays)
        assert world.state.abort is None
        assert statuses(world)["stock"] is StepStatus.SUCCEEDED


def test_a_cancel_before_anything_happened_leaves_nothing_to_undo(mode: Mode) -> None:
    world = order(mode, interruptions={0: Verb.CANCEL}, payment=Plays.IS_AWAY)
    assert world.state.phase is Phase.COMPENSATED
    assert world.state.reason == AbortCode.CANCELLED
    assert world.done == []


def test_a_cancel_of_a_running_order_takes_back_what_was_done(mode: Mode) -> None:
    world = order(mode, interruptions={WHEN_ALL_IS_QUIET: Verb.CANCEL}, inventory=Plays.SUCCEEDS_LATE)
    assert world.state.reason == AbortCode.CANCELLED
    assert world.done == ["ChargePayment", "ReserveInventory", "ReleaseInventory", "RefundPayment"]


def test_the_first_reason_is_the_one_reported(mode: Mode) -> None:
    script = Script({"inventory": Plays.REFUSES}, frozenset({"payment"}))
    world = order(mode, script, {WHEN_ALL_IS_QUIET: DEADLINE})
    assert world.state.phase is Phase.COMPENSATED
    assert world.state.reason == "inventory refused"
    cancelled = next(message for message in world.messages if message.type == "OrderCancelled")
    assert b"inventory refused" in bytes(cancelled.data)


def test_a_cancel_of_a_confirmed_order_is_a_conflict(mode: Mode) -> None:
    world = order(mode)
    conflict = world.interrupt(Verb.CANCEL)
    assert conflict is not None
    assert "has ended (Completed)" in conflict.sentence


def test_a_cancel_of_a_cancelled_order_has_no_effect(mode: Mode) -> None:
    world = order(mode, payment=Plays.REFUSES)
    before = len(world.messages)
    assert world.interrupt(Verb.CANCEL) is None
    assert len(world.messages) == before


def test_a_killed_order_leaves_things_as_they_are_and_says_so(mode: Mode) -> None:
    world = order(mode, interruptions={WHEN_ALL_IS_QUIET: Verb.KILL}, inventory=Plays.IS_AWAY)
    assert world.state.phase is Phase.KILLED
    assert world.state.reason == "KILLED"
    assert world.done == ["ChargePayment"]
    assert said(world)[-2:] == ["SagaKilled", "OrderCancelled"]


def test_a_payment_in_doubt_when_the_order_is_killed_is_found_out_and_moves_nobody(mode: Mode) -> None:
    world = order(mode, interruptions={WHEN_ALL_IS_QUIET: Verb.KILL}, payment=Plays.SUCCEEDS_LATE)
    assert world.done == ["ChargePayment"]
    assert said(world)[-1] == "PaymentCompleted"


def test_a_suspended_order_begins_nothing_and_goes_on_when_resumed(mode: Mode) -> None:
    world = ModelWorld(ORDER_SAGA, mode)
    world.publish(world.tracker.start(world.now))
    world.interrupt(Verb.SUSPEND)
    world.parts["payment"].take(next(m for m in world.messages if m.type == "SagaSuspended"), world.now)
    while world.deliver():
        pass
    assert world.done == []
    world.interrupt(Verb.RESUME)
    while world.deliver():
        pass
    assert world.state.phase is Phase.COMPLETED


def test_a_suspended_order_still_meets_its_deadline_and_is_taken_back(mode: Mode) -> None:
    script = Script({"payment": Plays.SUCCEEDS_SLOWLY})
    world = ModelWorld(ORDER_SAGA, mode, script).play({3: Verb.SUSPEND})
    assert world.wrongs() == []
    assert world.state.reason == DEADLINE
    assert world.done == ["ChargePayment", "RefundPayment"]
    assert "SagaResumed" not in said(world)


def test_a_suspended_order_can_be_cancelled_without_being_resumed(mode: Mode) -> None:
    script = Script({"payment": Plays.SUCCEEDS_SLOWLY})
    world = ModelWorld(ORDER_SAGA, mode, script).play({3: Verb.SUSPEND, WHEN_ALL_IS_QUIET: Verb.CANCEL})
    assert world.state.reason == AbortCode.CANCELLED
    assert world.done == ["ChargePayment", "RefundPayment"]
    assert "SagaResumed" not in said(world)


def test_a_suspended_order_goes_on_being_taken_back(mode: Mode) -> None:
    script = Script({"shipping": Plays.REFUSES}, frozenset({"inventory"}))
    world = ModelWorld(ORDER_SAGA, mode, script).play({WHEN_ALL_IS_QUIET: Verb.SUSPEND})
    assert world.wrongs() == []
    assert world.done[-2:] == ["ReleaseInventory", "RefundPayment"]


@pytest.mark.parametrize("decision", [Verb.RETRY, Verb.SKIP, Verb.MARK_DONE])
def test_a_refund_that_keeps_failing_needs_a_person_who_decides(mode: Mode, decision: Verb) -> None:
    script = Script({"inventory": Plays.REFUSES}, frozenset({"payment"}), decision)
    world = order(mode, script)
    assert "StepStuck" in said(world)
    assert world.state.phase is Phase.COMPENSATED
    assert world.state.step("payment").by_hand == (None if decision is Verb.RETRY else "operator-1")


@pytest.mark.parametrize("decision", [Verb.SKIP, Verb.MARK_DONE])
def test_who_decided_and_why_stands_in_the_event_of_the_participant(mode: Mode, decision: Verb) -> None:
    world = order(mode, Script({"inventory": Plays.REFUSES}, frozenset({"payment"}), decision))
    refunded = next(message for message in world.messages if message.type == "PaymentRefunded")
    assert refunded.source == "payment"
    for word in ("resolvedBy", decision.value, "operator-1"):
        assert word.encode() in bytes(refunded.data)


def test_a_payment_that_is_stuck_when_the_order_is_aborted_waits_for_a_person_and_is_refunded(mode: Mode) -> None:
    world = order(mode, interruptions={WHEN_ALL_IS_QUIET: Verb.CANCEL}, payment=Plays.GIVES_UP)
    assert world.state.phase is Phase.COMPENSATED
    assert world.done == ["ChargePayment", "RefundPayment"]


def test_whatever_is_said_after_the_end_changes_nothing(mode: Mode) -> None:
    for plays in (Plays.SUCCEEDS, Plays.REFUSES):
        world = order(mode, shipping=plays)
        ended, done, count = world.state, list(world.done), len(world.messages)
        world.repeat_everything()
        assert (world.state, world.done, len(world.messages)) == (ended, done, count)
