"""Orders over HTTP: placed once, read at once, listed from the read model."""

import asyncio
from dataclasses import replace
from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.unit.order_service.shop import NOON, Shop, an_order

from order_service.desk import ORDERS
from order_service.domain import OrderLine, OrderRequest, fingerprint
from shop_contracts.order_saga import ORDER_SAGA

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_placed_order_is_pending_and_readable_at_once(shop: Shop) -> None:
    answer = await shop.client.post("/orders", json=an_order())
    order = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/orders/{order['id']}"
    assert (order["status"], order["total"], order["sagaId"]) == ("pending", 44.98, order["id"])
    assert order["correlationId"] == order["id"]
    assert '"total":44.98' in answer.text
    assert await shop.get(f"/orders/{order['id']}") == order


async def test_ids_without_a_key_are_in_the_order_of_time(shop: Shop) -> None:
    ids = [(await shop.order())["id"] for _ in range(20)]
    assert ids == sorted(ids)


async def test_placing_says_order_created_on_the_events_topic(shop: Shop) -> None:
    await shop.order()
    assert await shop.outbox() == [("orders.events", "OrderCreated")]


async def test_in_orchestration_placing_also_asks_for_the_payment(shop: Shop) -> None:
    await shop.order(mode="orchestration")
    assert await shop.outbox() == [("orders.events", "OrderCreated"), ("payment.commands", "ChargePayment")]


async def test_the_same_key_and_body_again_is_the_same_order(shop: Shop) -> None:
    first = await shop.order(headers={"Idempotency-Key": "k1"})
    again = await shop.client.post("/orders", json=an_order(), headers={"Idempotency-Key": "k1"})
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json()["id"] == first["id"]


async def test_the_same_key_with_another_body_is_a_conflict(shop: Shop) -> None:
    await shop.order(headers={"Idempotency-Key": "k1"})
    other = await shop.client.post("/orders", json=an_order(currency="EUR"), headers={"Idempotency-Key": "k1"})
    assert (other.status_code, other.json()["field"]) == (409, "Idempotency-Key")


async def test_keys_of_two_users_are_apart_also_when_they_join_alike(shop: Shop) -> None:
    one = await shop.order(userId="a/b", headers={"Idempotency-Key": "c"})
    two = await shop.order(userId="a", headers={"Idempotency-Key": "b/c"})
    assert one["id"] != two["id"]


async def test_twenty_identical_orders_at_once_are_one_order(shop: Shop) -> None:
    posts = [shop.client.post("/orders", json=an_order(), headers={"Idempotency-Key": "k"}) for _ in range(20)]
    answers = await asyncio.gather(*posts)
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await shop.store.view(lambda reader: reader.count(ORDERS, {"status": "pending"})) == 1


async def test_a_correlation_id_belongs_to_one_saga(shop: Shop) -> None:
    first = await shop.order(correlationId="trip-7")
    again = await shop.client.post("/orders", json=an_order(correlationId="trip-7"))
    assert (again.status_code, again.json()["field"]) == (409, "/correlationId")
    taken = await shop.client.post("/orders", json=an_order(correlationId=first["id"]))
    assert taken.status_code == 409


async def test_an_id_that_is_anothers_correlation_id_is_refused(shop: Shop) -> None:
    first = await shop.order(correlationId="order-9")
    await shop.handle(shop.create_orders(), [shop.create_order("order-9", **an_order())])
    await shop.handle(shop.create_orders(), [shop.create_order("order-9", **an_order(correlationId="own"))])
    assert (await shop.outbox()).count(("order.dlq", "DeadLetter")) == 2
    assert (await shop.get("/sagas/order-9"))["sagaId"] == first["id"]


async def test_a_valid_traceparent_travels_and_any_other_is_ignored(shop: Shop) -> None:
    traced = await shop.order(headers={"traceparent": TRACEPARENT})
    assert (await shop.state(traced["id"])).traceparent == TRACEPARENT
    ignored = await shop.order(headers={"traceparent": "00-zz-1"})
    assert (await shop.state(ignored["id"])).traceparent is None


async def test_a_confirmed_order_shows_payment_reservation_and_shipment(shop: Shop) -> None:
    order_id = (await shop.order())["id"]
    await shop.hear("PaymentCompleted", "InventoryReserved", "ShipmentScheduled", "ReservationConsumed", of=order_id)
    order = await shop.get(f"/orders/{order_id}")
    assert order["status"] == "confirmed"
    assert (order["payment"]["status"], order["payment"]["amount"]) == ("captured", 44.98)
    assert (order["reservation"]["status"], order["shipment"]["trackingNumber"]) == ("consumed", "T1")


async def test_a_compensated_order_says_why_and_that_the_money_went_back(shop: Shop) -> None:
    order_id = (await shop.order())["id"]
    await shop.hear("PaymentCompleted", "InventoryFailed", "PaymentRefunded", of=order_id)
    order = await shop.get(f"/orders/{order_id}")
    assert (order["status"], order["cancellationReason"]) == ("cancelled", "OUT_OF_STOCK")
    assert (order["payment"]["status"], order["payment"]["refundId"]) == ("refunded", "ref-1")
    assert order["reservation"]["status"] == "refused"
    assert (await shop.get("/orders", status="cancelled"))["orders"][0]["id"] == order_id


async def test_events_are_told_under_their_names_on_the_wire(shop: Shop) -> None:
    order_id = (await shop.order())["id"]
    await shop.hear("PaymentCompleted", "InventoryFailed", "PaymentRefunded", of=order_id)
    events = (await shop.get(f"/orders/{order_id}/events"))["events"]
    expected = ["OrderCreated", "PaymentCompleted", "InventoryFailed", "PaymentRefunded", "OrderCancelled"]
    assert [event["type"] for event in events] == expected
    assert events[1]["data"]["paymentId"] == "pay-1"


async def test_lists_are_by_status_and_user(shop: Shop) -> None:
    for user in ("alice", "bob", "alice"):
        await shop.order(userId=user)
    assert len((await shop.get("/orders", userId="alice"))["orders"]) == 2
    assert len((await shop.get("/orders", userId="alice", status="confirmed"))["orders"]) == 0
    assert len((await shop.get("/orders"))["orders"]) == 3


async def test_whoever_follows_the_cursors_sees_each_order_once_whatever_happens_meanwhile(shop: Shop) -> None:
    placed = []
    for _ in range(10):
        placed.append((await shop.order())["id"])
        shop.clock.pass_seconds(0.5 if len(placed) % 3 else 0)
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await shop.get("/orders", limit=3, **cursor)
        seen += [order["id"] for order in page["orders"]]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
        await shop.order()
        await shop.hear("PaymentFailed", of=seen[-1])
        await shop.hear("PaymentFailed", of=placed[0])
    assert sorted(seen) == sorted(placed)


async def test_a_cursor_not_made_here_is_refused(shop: Shop) -> None:
    for path in ("/orders", "/sagas", "/batches"):
        answer = await shop.client.get(path, params={"cursor": "bogus"})
        assert (answer.status_code, answer.json()["field"]) == (400, "cursor")


@pytest.mark.parametrize("path", ["/orders/nope", "/orders/nope/events", "/sagas/nope", "/batches/nope"])
async def test_an_unknown_id_is_not_found(shop: Shop, path: str) -> None:
    answer = await shop.client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")


async def test_an_order_of_an_unknown_definition_is_told_which_are_known(shop: Shop) -> None:
    answer = await shop.client.post("/orders", json=an_order(definition="trip/7"))
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, "urn:sagaplane:problem:unknown-definition")
    assert (problem["field"], problem["rule"]) == ("/definition", "there is no definition trip/7; known: order/1")
    results = await shop.client.post("/orders/batch", json={"orders": [an_order(), an_order(definition="trip/7")]})
    first, second = results.json()["results"]
    assert (first["status"], second["status"], second["problem"]["field"]) == (201, 422, "/orders/1/definition")


async def test_an_order_follows_the_definition_that_it_names(shop: Shop) -> None:
    shop.tracker.learn(replace(ORDER_SAGA, version=2))
    named = await shop.order(definition="order/2")
    usual = await shop.order()
    assert [(await shop.state(order["id"])).definition for order in (named, usual)] == ["order/2", "order/1"]


async def test_a_deadline_is_a_moment_in_any_time_zone(shop: Shop) -> None:
    order = await shop.order(deadline="2026-01-01T14:05:00+02:00")
    assert (order["deadline"], (await shop.state(order["id"])).deadline) == (
        "2026-01-01T12:05:00Z",
        NOON + timedelta(minutes=5),
    )


@pytest.mark.parametrize(
    ("wished", "field", "rule"),
    [
        ({"deadline": "2026-01-01T12:00:00Z"}, "/deadline", "2026-01-01T12:00:00+00:00 has passed"),
        ({"deadline": "0001-01-01T00:00:00+02:00"}, "/deadline", "0001-01-01T00:00:00+02:00 has passed"),
        (
            {"deadline": "2026-01-02T12:00:00Z", "timeoutSeconds": 5},
            "/deadline",
            "either a deadline or timeoutSeconds, not both",
        ),
        (
            {"deadline": "9999-01-02T12:00:00Z"},
            "/deadline",
            "at most 604800 seconds ahead, not 9999-01-02T12:00:00+00:00",
        ),
        ({"deadline": "2026-01-02T12:00:00"}, "/deadline", "Expected datetime with a timezone component"),
        ({"definition": "order"}, "/definition", None),
    ],
)
async def test_a_deadline_that_cannot_be_is_refused_in_a_sentence(
    shop: Shop, wished: dict[str, Any], field: str, rule: str | None
) -> None:
    answer = await shop.client.post("/orders", json=an_order(**wished))
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert rule in (None, answer.json()["rule"])
    assert (await shop.get("/orders"))["orders"] == []


async def test_what_was_placed_in_time_is_answered_also_when_it_is_asked_again_too_late(shop: Shop) -> None:
    asked, key = an_order(deadline="2026-01-01T12:00:10Z"), {"Idempotency-Key": "k"}
    first = await shop.client.post("/orders", json=asked, headers=key)
    shop.clock.pass_seconds(60)
    again = await shop.client.post("/orders", json=asked, headers=key)
    assert (first.status_code, again.status_code, again.json()["id"]) == (201, 200, first.json()["id"])


async def test_an_order_by_message_that_comes_too_late_is_a_dead_letter(shop: Shop) -> None:
    late = shop.create_order("o-1", **an_order(deadline="2026-01-01T11:59:59Z"))
    await shop.handle(shop.create_orders(), [late, shop.create_order("o-2", **an_order())])
    assert (await shop.outbox()) == [("orders.events", "OrderCreated"), ("order.dlq", "DeadLetter")]


def test_orders_that_name_neither_definition_nor_deadline_have_the_fingerprints_they_always_had() -> None:
    usual = OrderRequest(user_id="ann", items=[OrderLine(product_id="pen", quantity=2, price=Decimal("1.50"))])
    assert fingerprint(usual) == "7f3636a5bf82432e922999bf143e857b"
    assert fingerprint(msgspec.structs.replace(usual, definition="order/1")) == fingerprint(usual)
    others = [
        msgspec.structs.replace(usual, definition="order/2"),
        msgspec.structs.replace(usual, deadline=NOON),
        msgspec.structs.replace(usual, deadline=NOON + timedelta(seconds=1)),
        usual,
    ]
    assert len({fingerprint(other) for other in others}) == len(others)
    in_rome = NOON.astimezone(timezone(timedelta(hours=1)))
    assert fingerprint(msgspec.structs.replace(usual, deadline=in_rome)) == fingerprint(others[1])
