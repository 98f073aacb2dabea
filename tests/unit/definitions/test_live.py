"""A definition that comes by the log while the shop runs is carried out by every service, from then on."""

from datetime import timedelta

import pytest
from tests.unit.definitions.town import Town, an_order, short
from tests.unit.order_service.shop import NOON

from sagakit.core.contracts import encode_data
from sagakit.core.messages import Message
from sagakit.ports import Draft
from sagakit.runtime.parking import PARKED
from sagakit.runtime.wire import draft

MODES = ("choreography", "orchestration")
DEAR = [{"productId": "pen", "quantity": 1, "price": "20000"}]
MANY = [{"productId": "pen", "quantity": 5000, "price": "0.01"}]
CAREFUL = short("careful")


@pytest.fixture
async def town() -> Town:
    its = Town()
    await its.stock("pen", 1000)
    return its


@pytest.mark.parametrize("mode", MODES)
async def test_goods_are_set_aside_before_they_are_paid_where_the_definition_says_so(town: Town, mode: str) -> None:
    assert (await town.define(CAREFUL)).status_code == 202
    await town.knows("careful/1")
    order_id = await town.order(mode=mode, definition="careful/1")
    order = await town.ended(order_id)
    assert (order["status"], order["payment"]["status"], order["reservation"]["status"]) == (
        "confirmed",
        "captured",
        "consumed",
    )
    expected = ["OrderCreated", "InventoryReserved", "PaymentCompleted", "ShipmentScheduled", "ReservationConsumed"]
    assert await town.said(order_id) == [*expected, "OrderConfirmed"]
    assert await town.dead_letters() == 0


@pytest.mark.parametrize("mode", MODES)
async def test_a_refused_payment_frees_what_was_set_aside_before(town: Town, mode: str) -> None:
    await town.define(CAREFUL)
    await town.knows("careful/1")
    order_id = await town.order(mode=mode, definition="careful/1", items=DEAR)
    assert (await town.ended(order_id))["reservation"]["status"] == "released"
    expected = ["OrderCreated", "InventoryReserved", "PaymentFailed", "InventoryReleased", "OrderCancelled"]
    assert await town.said(order_id) == expected


@pytest.mark.parametrize("mode", MODES)
async def test_goods_that_are_out_of_stock_are_never_paid(town: Town, mode: str) -> None:
    await town.define(CAREFUL)
    await town.knows("careful/1")
    order_id = await town.order(mode=mode, definition="careful/1", items=MANY)
    order = await town.ended(order_id)
    assert (order["status"], order["payment"], order["cancellationReason"]) == ("cancelled", None, "OUT_OF_STOCK")
    assert await town.said(order_id) == ["OrderCreated", "InventoryFailed", "OrderCancelled"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("late", ["payment", "inventory", "shipping"])
async def test_a_service_that_learns_late_carries_out_what_it_missed(town: Town, mode: str, late: str) -> None:
    town.deaf = {f"{late} definitions"}
    for loop in town.services[late].runner.loops:
        if loop.steps.name == f"{late} definitions":
            await loop.steps.step()  # it is loaded, and hears of nothing new
    await town.define(CAREFUL)
    await town.knows("careful/1")
    order_id = await town.order(mode=mode, definition="careful/1", timeoutSeconds=3600)
    for _ in range(30):
        await town.turn()
    assert (await town.ask("GET", f"/orders/{order_id}")).json()["status"] == "pending"
    town.deaf = set()
    assert (await town.ended(order_id))["status"] == "confirmed"
    assert await town.dead_letters() == 0


async def test_a_process_that_starts_again_hears_what_its_definitions_need_from_the_beginning(town: Town) -> None:
    await town.define(CAREFUL)
    await town.knows("careful/1")
    order_id = await town.order(definition="careful/1", timeoutSeconds=3600)
    town.deaf = {loop.steps.name for loop in town.services["shipping"].runner.loops}
    for _ in range(30):
        await town.turn()
    assert (await town.said(order_id))[-1] == "PaymentCompleted"
    town.deaf = set()
    for name in ("order", "payment", "inventory", "shipping"):
        town.open(name)
    assert (await town.ended(order_id))["status"] == "confirmed"


@pytest.mark.parametrize("mode", MODES)
async def test_sagas_of_the_first_version_end_by_it_while_the_second_is_learned(town: Town, mode: str) -> None:
    await town.define(short("twice", 1, "payment", "inventory", "shipping", "stock"))
    await town.knows("twice/1")
    first = [await town.order(mode=mode, definition="twice/1", userId=f"u{n}") for n in range(5)]
    await town.turn()
    await town.define(short("twice", 2))
    await town.turn()
    running = [(await town.ask("GET", f"/orders/{order_id}")).json()["status"] for order_id in first]
    assert "pending" in running
    await town.knows("twice/2")
    second = [await town.order(mode=mode, definition="twice/2", userId=f"v{n}") for n in range(5)]
    for order_id in (*first, *second):
        assert (await town.ended(order_id))["status"] == "confirmed"
    assert {(await town.said(order_id))[1] for order_id in first} == {"PaymentCompleted"}
    assert {(await town.said(order_id))[1] for order_id in second} == {"InventoryReserved"}


async def test_steps_may_have_other_names_and_run_in_parallel(town: Town) -> None:
    both = {
        "steps": [
            {"name": "goods", "participant": "inventory", "command": "ReserveInventory"},
            {"name": "money", "participant": "payment", "command": "ChargePayment"},
        ]
    }
    await town.define({**short("both"), "stages": [both, *short("both")["stages"][2:]]})
    await town.knows("both/1")
    orders = [await town.order(definition="both/1", mode=mode, items=items) for mode in MODES for items in (DEAR, MANY)]
    confirmed = [await town.order(definition="both/1", mode=mode) for mode in MODES]
    for order_id in orders:
        assert (await town.ended(order_id))["status"] == "cancelled"
    for order_id in confirmed:
        order = await town.ended(order_id)
        assert (order["payment"]["status"], order["reservation"]["status"]) == ("captured", "consumed")
        assert (await town.ask("GET", f"/orders/{order_id}/events")).json()["events"][-1]["type"] == "OrderConfirmed"
        assert (await town.ask("POST", f"/orders/{order_id}/replay")).json()["equal"]


async def test_an_order_by_message_waits_for_its_definition_and_is_placed_once_that_comes(town: Town) -> None:
    await town.turn()
    await town.log.publish([create_order("o-1", **an_order(definition="careful/1"))])
    for _ in range(5):
        await town.turn()
    assert (await town.ask("GET", "/orders/o-1")).status_code == 404
    await town.define(CAREFUL)
    await town.knows("careful/1")

    async def placed() -> bool:
        return (await town.ask("GET", "/orders/o-1")).status_code == 200

    await town.until(placed, "the order is placed")
    assert (await town.ended("o-1"))["status"] == "confirmed"
    assert await town.services["order"].store.view(lambda reader: reader.count(PARKED, {})) == 0


async def test_an_order_by_message_whose_definition_never_comes_is_a_dead_letter_after_an_hour(town: Town) -> None:
    await town.log.publish([create_order("o-1", **an_order(definition="nobodys/1"))])
    await town.turn()
    await town.turn()
    assert await town.dead_letters() == 0
    town.clock.pass_seconds(timedelta(hours=1).total_seconds())

    async def buried() -> bool:
        return await town.dead_letters() == 1

    await town.until(buried, "it is a dead letter")


def create_order(order_id: str, **said: object) -> Draft:
    message = Message(
        id=f"create-{order_id}",
        type="CreateOrder",
        source="test",
        time=NOON,
        saga_id=order_id,
        correlation_id=order_id,
        causation_id="",
        data=encode_data(said),
    )
    return draft("order.commands", message)
