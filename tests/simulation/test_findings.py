"""What the simulation found, each told in the small before it was mended."""

from random import Random

from tests.simulation.counter import OLD, Counter, finish

from notification_service.listener import NOTIFICATIONS, Listener
from sagakit.adapters.memory import MemoryStore
from sagakit.core.facts import StepStatus, Verb
from sagakit.testing.simulation import VirtualClock
from sagakit.testing.simulation.clock import START
from sagakit.testing.voice import Voice
from shop_contracts.order_saga import ORDER_SAGA


def test_a_late_answer_to_a_charge_does_not_settle_the_refund_that_is_under_way() -> None:
    shop = Counter()
    shop.line.next = ["held after", "well", "lost"]
    shop.hears("OrderCreated")
    late = shop.steps()
    shop.passes(11)
    shop.steps(instance=1)
    assert shop.said == ["PaymentCompleted"]
    shop.hears("InventoryFailed")
    shop.steps()
    assert late is not None
    finish(late)
    assert shop.said == ["PaymentCompleted"]
    assert shop.status is StepStatus.UNDOING
    shop.passes(11)
    shop.steps()
    assert shop.said == ["PaymentCompleted", "PaymentRefunded"]
    assert (shop.payment.status, shop.moved_minor) == ("refunded", 0)


def test_silence_that_is_heard_late_does_not_make_a_stuck_step_stuck_again() -> None:
    shop = Counter()
    shop.line.next = ["held before lost", "lost", "lost", "lost"]
    shop.hears("OrderCreated")
    late = shop.steps()
    for _ in range(3):
        shop.passes(11)
        shop.steps(instance=1)
    assert shop.said == ["StepStuck"]
    assert late is not None
    finish(late)
    assert shop.said == ["StepStuck"]


def test_an_answer_that_is_heard_late_frees_a_stuck_step() -> None:
    shop = Counter()
    shop.line.next = ["held after", "lost", "lost", "lost"]
    shop.hears("OrderCreated")
    late = shop.steps()
    for _ in range(3):
        shop.passes(11)
        shop.steps(instance=1)
    assert late is not None
    finish(late)
    assert shop.said == ["StepStuck", "PaymentCompleted"]
    shop.hears(shop.voice.repair(Verb.SKIP, "payment", 1))
    assert shop.said == ["StepStuck", "PaymentCompleted"]


def test_a_call_that_is_to_be_made_twice_at_once_is_made_and_answered_once() -> None:
    shop = Counter()
    shop.line.next = ["lost", "lost", "lost"]
    shop.hears("OrderCreated")
    for _ in range(3):
        shop.passes(11)
        shop.steps(instance=1)
    shop.hears(shop.voice.repair(Verb.RETRY, "payment", 1), "InventoryFailed")
    shop.steps()
    assert shop.said == ["StepStuck", "PaymentCompleted"]
    assert shop.status is StepStatus.UNDOING
    shop.steps()
    assert shop.said == ["StepStuck", "PaymentCompleted", "PaymentRefunded"]
    assert shop.moved_minor == 0


def test_a_process_that_does_not_know_a_definition_leaves_its_retries_to_one_that_does() -> None:
    shop = Counter()
    shop.line.next = ["lost"]
    shop.hears("OrderCreated")
    shop.steps()
    shop.passes(11)
    shop.steps(instance=OLD)
    assert shop.said == []
    shop.steps()
    assert shop.said == ["PaymentCompleted"]


def test_what_an_old_process_parks_while_a_new_one_is_there_is_heard_by_the_new_one() -> None:
    shop = Counter()
    shop.steps()
    shop.hears("OrderCreated", instance=OLD)
    shop.steps()
    assert shop.said == []
    shop.passes(5)
    shop.steps()
    assert shop.said == ["PaymentCompleted"]


def test_a_customer_is_told_once_how_her_order_ended_however_often_it_is_said() -> None:
    clock, store = VirtualClock(Random(1)), MemoryStore([NOTIFICATIONS])
    end = Voice(ORDER_SAGA).say(
        "OrderCancelled", data={"orderId": "saga-1", "reason": "late", "cancelledAt": clock.now()}
    )
    for _ in range(2):
        finish(store.transact(lambda tx: Listener().handle(tx, [end, end], clock.now())))
        clock.pass_by(1)
    (told,) = store.state.rows["notifications"].values()
    assert told.at == START


def test_a_charge_that_reaches_the_bank_after_its_refund_takes_no_money() -> None:
    shop = Counter()
    shop.line.next = ["held before", "lost", "lost", "lost"]
    shop.hears("OrderCreated")
    late = shop.steps()
    for _ in range(3):
        shop.passes(11)
        shop.steps(instance=1)
    shop.hears(shop.voice.repair(Verb.SKIP, "payment", 1), "InventoryFailed")
    shop.steps()
    assert shop.said == ["StepStuck", "PaymentCompleted", "PaymentRefunded"]
    assert late is not None
    finish(late)
    assert shop.moved_minor == 0
