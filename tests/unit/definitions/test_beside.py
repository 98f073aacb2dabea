"""Two instances of the order service over one store, of which only one has heard of a definition yet."""

from dataclasses import replace
from functools import partial

from msgspec.structs import replace as changed
from tests.unit.order_service.shop import HandClock, Shop, an_order, make_shop

from order_service.desk import CreateOrders, OrderDesk, hear_again
from sagakit.adapters.memory import MemoryState
from sagakit.core.facts import Phase, Verb
from sagakit.runtime.deadlines import Deadlines
from sagakit.runtime.parking import PARKED
from sagakit.runtime.rehearing import Rehearing
from shop_contracts.order_saga import ORDER_SAGA

SECOND = replace(ORDER_SAGA, version=2)


async def two_instances() -> tuple[Shop, Shop, str]:
    """Return one that knows the second version, one that does not, and an order of it."""
    clock, rows = HandClock(), MemoryState()
    knows, knows_not = make_shop(clock, rows), make_shop(clock, rows)
    knows.tracker.learn(SECOND)
    order = await knows.order(definition="order/2")
    return knows, knows_not, str(order["id"])


def rehearing(shop: Shop) -> Rehearing:
    hear = partial(hear_again, shop.tracker, CreateOrders(OrderDesk(shop.tracker)))
    return Rehearing("order", shop.tracker.sagas.keys(), hear, shop.store, shop.clock)


async def hears(shop: Shop, order_id: str, *types: str) -> None:
    messages = [changed(shop.message(kind, order_id), definition="order/2") for kind in types]
    await shop.handle(shop.tracker, messages)


async def parked(shop: Shop) -> int:
    return await shop.store.view(lambda reader: reader.count(PARKED, {}))


async def test_answers_wait_for_an_instance_that_knows_the_definition() -> None:
    knows, knows_not, order_id = await two_instances()
    await hears(knows_not, order_id, "PaymentCompleted", "InventoryReserved")
    assert (await knows.state(order_id)).version == 1
    assert await parked(knows) == 2
    await rehearing(knows).step()
    assert await parked(knows) == 0
    await hears(knows, order_id, "ShipmentScheduled", "ReservationConsumed")
    assert (await knows.state(order_id)).phase is Phase.COMPLETED


async def test_whoever_learns_the_definition_hears_what_it_parked_at_once() -> None:
    _, late, order_id = await two_instances()
    again = rehearing(late)
    await again.step()
    await hears(late, order_id, "PaymentFailed")
    await again.step()
    assert (await late.state(order_id)).version == 1
    late.tracker.learn(SECOND)
    await again.step()
    assert (await late.state(order_id)).phase is Phase.COMPENSATED


async def test_a_stuck_step_that_was_parked_is_news_when_it_is_heard() -> None:
    knows, knows_not, order_id = await two_instances()
    await hears(knows_not, order_id, "StepStuck")
    await rehearing(knows).step()
    assert (await knows.state(order_id)).phase is Phase.NEEDS_INTERVENTION


async def test_an_instance_that_does_not_know_it_leaves_the_saga_alone() -> None:
    knows, knows_not, order_id = await two_instances()
    before = await knows.state(order_id)
    for path in (f"/sagas/{order_id}", f"/orders/{order_id}", f"/orders/{order_id}/events"):
        assert (await knows_not.client.get(path)).status_code == 409
    answer = await knows_not.client.post(f"/sagas/{order_id}/{Verb.CANCEL}", json={"reason": "x"})
    assert answer.status_code == 409
    assert (await knows_not.client.post("/orders", json=an_order(definition="order/2"))).status_code == 422
    assert (await knows_not.client.get("/orders")).status_code == 200
    knows.clock.pass_seconds(60)
    await Deadlines(knows_not.tracker, knows_not.store, knows_not.clock).step()
    assert await knows.state(order_id) == before
    await knows.deadlines()
    assert (await knows.state(order_id)).abort is not None
