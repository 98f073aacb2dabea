"""What the tracker makes of messages that are repeated, early, strange or for a saga that is not known."""

from datetime import timedelta

import pytest
from msgspec.structs import replace
from tests.unit.order_service.shop import Shop, an_order

from sagakit.core.contracts import UnreadableError
from sagakit.core.facts import Phase
from sagakit.ports import Transaction
from sagakit.runtime.expiry import ParkingExpiry
from sagakit.runtime.parking import PARKED
from sagakit.runtime.tracker import SAGAS

HOUR = 3600


async def test_a_second_retry_is_asked_under_another_id(shop: Shop) -> None:
    order_id = await shop.stuck()
    for attempt in (1, 2):
        answer = await shop.client.post(f"/sagas/{order_id}/retry", json={"reason": "again"})
        assert answer.status_code == 202
        await shop.handle(shop.tracker, [shop.message("StepStuck", order_id, attempt=attempt)])
    ids = await shop.said_ids("RetryStep")
    assert len(set(ids)) == len(ids) == 2


async def test_every_suspension_and_resumption_has_an_id_of_its_own(shop: Shop) -> None:
    order_id = (await shop.order())["id"]
    for verb in ("suspend", "resume", "suspend", "resume"):
        assert (await shop.client.post(f"/sagas/{order_id}/{verb}", json={"reason": "x"})).status_code == 202
    for kind in ("SagaSuspended", "SagaResumed"):
        ids = await shop.said_ids(kind)
        assert len(set(ids)) == len(ids) == 2


async def test_a_repeated_stuck_message_does_not_undo_a_retry(shop: Shop) -> None:
    order_id = await shop.stuck()
    await shop.client.post(f"/sagas/{order_id}/retry", json={"reason": "provider is back"})
    await shop.hear("StepStuck", of=order_id)
    assert (await shop.state(order_id)).phase is not Phase.NEEDS_INTERVENTION


async def test_a_stuck_step_that_the_saga_does_not_have_is_unreadable(shop: Shop) -> None:
    order_id = (await shop.order())["id"]
    with pytest.raises(UnreadableError, match="no step 'teleport'"):
        await shop.hear("StepStuck", of=order_id, step="teleport")
    assert (await shop.state(order_id)).version == 1


async def test_an_answer_that_comes_before_its_saga_is_parked_and_heard_when_the_saga_starts(shop: Shop) -> None:
    await shop.hear("PaymentCompleted", of="order-7")
    assert await shop.store.view(lambda reader: reader.count(PARKED, {})) == 1
    await shop.handle(shop.create_orders(), [shop.create_order("order-7", **an_order())])
    assert (await shop.state("order-7")).phase is Phase.RUNNING
    assert await shop.store.view(lambda reader: reader.count(PARKED, {})) == 0


async def test_many_strangers_do_not_hide_the_one_whose_saga_starts(shop: Shop) -> None:
    for number in range(150):
        await shop.hear("PaymentCompleted", of=f"stranger-{number}")
    await shop.handle(shop.create_orders(), [shop.create_order("stranger-149", **an_order())])
    assert (await shop.state("stranger-149")).phase is Phase.RUNNING
    assert await shop.store.view(lambda reader: reader.count(PARKED, {})) == 149


async def test_a_stranger_that_waits_for_an_hour_is_a_dead_letter(shop: Shop) -> None:
    expiry = ParkingExpiry("order", shop.store, shop.clock)
    await shop.hear("PaymentCompleted", of="nobody")
    shop.clock.pass_seconds(HOUR - 1)
    assert not await expiry.step()
    assert await shop.outbox() == []
    shop.clock.pass_seconds(1)
    await expiry.step()
    assert await shop.outbox() == [("order.dlq", "DeadLetter")]
    assert await shop.store.view(lambda reader: reader.count(PARKED, {})) == 0


async def test_one_bad_create_order_takes_no_other_of_its_batch_down(shop: Shop) -> None:
    intake = shop.create_orders()
    good, also = shop.create_order("good", **an_order()), shop.create_order("also", **an_order())
    wrong = shop.create_order("wrong", **an_order(currency="XXZ"))
    shapeless = shop.create_order("shapeless", userId=7)
    clash = shop.create_order("clash", **an_order(correlationId="good"))
    await shop.handle(intake, [good, wrong, shapeless, clash, also])
    listed = {order["id"] for order in (await shop.get("/orders"))["orders"]}
    assert listed == {"good", "also"}
    assert (await shop.outbox()).count(("order.dlq", "DeadLetter")) == 3
    assert intake.counts["dead letters"] == 3


async def test_a_create_order_again_changes_nothing(shop: Shop) -> None:
    message = shop.create_order("order-7", **an_order())
    await shop.handle(shop.create_orders(), [message, message])
    await shop.handle(shop.create_orders(), [message])
    assert (await shop.state("order-7")).version == 1
    assert await shop.outbox() == [("orders.events", "OrderCreated")]


async def test_a_passed_deadline_asks_an_abort_once(shop: Shop) -> None:
    order_id = (await shop.order(timeoutSeconds=5))["id"]
    shop.clock.pass_seconds(4)
    await shop.deadlines()
    assert (await shop.state(order_id)).abort is None
    shop.clock.pass_seconds(2)
    await shop.deadlines()
    await shop.deadlines()
    assert (await shop.outbox()).count(("sagas.events", "AbortSaga")) == 1
    assert (await shop.state(order_id)).reason == "DEADLINE_PASSED"


async def test_a_saga_of_a_definition_that_is_not_known_here_holds_no_other_deadline_up(shop: Shop) -> None:
    strange, order_id = (await shop.order(timeoutSeconds=1))["id"], (await shop.order(timeoutSeconds=2))["id"]

    async def rename(transaction: Transaction) -> None:
        state = (await transaction.load(SAGAS, [strange]))[strange]
        await transaction.save(SAGAS, [replace(state, definition="order/99")])

    await shop.store.transact(rename)
    shop.clock.time += timedelta(seconds=5)
    await shop.deadlines()
    assert (await shop.state(order_id)).abort is not None
    for verb in ("cancel", "kill"):
        assert (await shop.client.post(f"/sagas/{strange}/{verb}", json={"reason": "x"})).status_code == 409


async def test_orchestration_asks_each_step_and_each_compensation_once(shop: Shop) -> None:
    order_id = (await shop.order(mode="orchestration"))["id"]
    for kind in ("PaymentCompleted", "InventoryReserved", "ShipmentFailed", "InventoryReleased", "PaymentRefunded"):
        await shop.hear(kind, kind, of=order_id)
        await shop.hear(kind, of=order_id)
    asked = [kind for topic, kind in await shop.outbox() if topic.endswith(".commands")]
    assert asked == ["ChargePayment", "ReserveInventory", "ScheduleShipment", "ReleaseInventory", "RefundPayment"]
    assert (await shop.state(order_id)).phase is Phase.COMPENSATED
    order = await shop.get(f"/orders/{order_id}")
    assert (order["status"], order["cancellationReason"]) == ("cancelled", "NO_CARRIER")


async def test_a_killed_saga_hears_nothing_more(shop: Shop) -> None:
    order_id = (await shop.order(mode="orchestration"))["id"]
    await shop.client.post(f"/sagas/{order_id}/kill", json={"reason": "fraud"})
    before = await shop.outbox()
    await shop.hear("PaymentCompleted", "InventoryReserved", of=order_id)
    assert await shop.outbox() == before
    assert (await shop.state(order_id)).phase is Phase.KILLED
