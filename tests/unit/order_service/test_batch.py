"""Orders by the thousand: each for itself, in one transaction, in the order in which they came."""

from typing import Any

import pytest
from tests.unit.order_service.shop import Json, Shop, an_order

from sagakit.adapters.memory import MemoryStore


async def place(shop: Shop, *orders: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await shop.client.post("/orders/batch", json={"orders": orders})
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


async def test_a_thousand_orders_are_one_transaction(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    transactions = 0
    transact = MemoryStore.transact

    async def counting(self: MemoryStore, work: Json) -> Json:
        nonlocal transactions
        transactions += 1
        return await transact(self, work)

    monkeypatch.setattr(MemoryStore, "transact", counting)
    results = await place(shop, *(an_order(userId=f"user-{n}") for n in range(1000)))
    assert transactions == 1
    assert [(r["index"], r["status"]) for r in results] == [(n, 201) for n in range(1000)]
    assert [r["order"]["userId"] for r in results] == [f"user-{n}" for n in range(1000)]


async def test_an_order_of_a_batch_is_readable_at_once(shop: Shop) -> None:
    [result] = await place(shop, an_order())
    assert (await shop.get(f"/orders/{result['order']['id']}"))["total"] == 44.98


async def test_each_order_has_its_own_key_and_a_repeat_is_the_same_order(shop: Shop) -> None:
    first = await place(shop, an_order(idempotencyKey="a"), an_order(idempotencyKey="b"))
    again = await place(shop, an_order(idempotencyKey="b"), an_order(idempotencyKey="c"), an_order(idempotencyKey="c"))
    assert [result["status"] for result in again] == [200, 201, 200]
    assert again[0]["order"]["id"] == first[1]["order"]["id"]


async def test_a_key_means_the_same_alone_and_in_a_batch(shop: Shop) -> None:
    alone = await shop.order(headers={"Idempotency-Key": "k"})
    [result] = await place(shop, an_order(idempotencyKey="k"))
    assert (result["status"], result["order"]["id"]) == (200, alone["id"])


async def test_a_clash_within_a_batch_concerns_the_later_order_only(shop: Shop) -> None:
    results = await place(
        shop,
        an_order(correlationId="x"),
        an_order(correlationId="x"),
        an_order(idempotencyKey="k"),
        an_order(idempotencyKey="k", currency="EUR"),
    )
    assert [result["status"] for result in results] == [201, 409, 201, 409]
    assert results[1]["problem"]["field"] == "/orders/1/correlationId"
    assert results[3]["problem"]["field"] == "/orders/3/idempotencyKey"


@pytest.mark.parametrize("bad", [None, 7, "order", [], {}, {"userId": 5}, {"items": {"a": 1}}])
async def test_an_order_of_a_wrong_type_spoils_no_other(shop: Shop, bad: object) -> None:
    answer = await shop.client.post("/orders/batch", json={"orders": [bad, an_order()]})
    assert [result["status"] for result in answer.json()["results"]] == [400, 201]


async def test_a_batch_of_bad_orders_only_is_answered_without_a_transaction(shop: Shop) -> None:
    results = await place(shop, an_order(currency="?"), an_order(items=[]))
    assert [result["status"] for result in results] == [400, 400]
