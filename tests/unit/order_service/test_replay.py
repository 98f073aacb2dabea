"""A replay rebuilds an order from its facts, and finds every place where the store says something else."""

from typing import Any

from msgspec.structs import replace
from tests.unit.order_service.shop import Shop

from order_service.desk import ORDERS
from sagakit.core.facts import Phase
from sagakit.ports import Transaction
from sagakit.runtime.tracker import SAGAS


async def replay(shop: Shop, order_id: str) -> dict[str, Any]:
    answer = await shop.client.post(f"/orders/{order_id}/replay")
    said: dict[str, Any] = answer.json()
    return said


async def test_what_was_written_by_the_service_is_equal_at_every_stage(shop: Shop) -> None:
    for heard in ((), ("PaymentCompleted",), ("PaymentFailed",), ("StepStuck",)):
        for mode in ("choreography", "orchestration"):
            order_id = (await shop.order(mode=mode))["id"]
            await shop.hear(*heard, of=order_id)
            said = await replay(shop, order_id)
            assert said["equal"], said


async def test_a_tampered_row_and_state_are_named_field_by_field(shop: Shop) -> None:
    order_id = (await shop.order())["id"]
    await shop.hear("PaymentFailed", of=order_id)

    async def tamper(transaction: Transaction) -> None:
        row = (await transaction.load(ORDERS, [order_id]))[order_id]
        state = (await transaction.load(SAGAS, [order_id]))[order_id]
        await transaction.save(ORDERS, [replace(row, status="confirmed", total_minor=1)])
        await transaction.save(SAGAS, [replace(state, phase=Phase.COMPLETED)])

    await shop.store.transact(tamper)
    said = await replay(shop, order_id)
    assert not said["equal"]
    assert [(d["record"], d["field"], d["rebuilt"], d["stored"]) for d in said["differences"]] == [
        ("saga", "phase", "Compensated", "Completed"),
        ("order", "status", "cancelled", "confirmed"),
        ("order", "total_minor", 4498, 1),
    ]


async def test_a_missing_row_is_a_difference(shop: Shop) -> None:
    order_id = (await shop.order())["id"]
    await shop.store.transact(lambda transaction: transaction.delete(ORDERS, [order_id]))
    [difference] = (await replay(shop, order_id))["differences"]
    assert (difference["record"], difference["rebuilt"], difference["stored"]) == ("order", True, False)


async def test_an_order_that_never_was_cannot_be_replayed(shop: Shop) -> None:
    assert (await shop.client.post("/orders/nope/replay")).status_code == 404
