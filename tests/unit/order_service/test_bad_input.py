"""What breaks a rule is refused with its field and the rule, and leaves nothing behind."""

import json
from typing import Any

import pytest
from tests.unit.order_service.shop import Shop, an_order

from order_service.desk import ORDERS
from sagakit.ports import Reader, StoreUnavailableError
from sagakit.runtime.tracker import CORRELATIONS, SAGAS


def a_line(**wished: object) -> list[dict[str, object]]:
    return [{"productId": "prod-1", "quantity": 1, "price": 1, **wished}]


async def nothing_is_stored(shop: Shop) -> bool:
    async def count(reader: Reader) -> int:
        return sum(
            [await reader.count(ORDERS, {}), await reader.count(SAGAS, {}), await reader.count(CORRELATIONS, {})]
        )

    return await shop.store.view(count) == 0 and not await shop.outbox()


BAD: list[tuple[dict[str, Any], str]] = [
    ({"items": []}, "/items"),
    ({"items": a_line() * 101}, "/items"),
    ({"items": a_line(price=-1)}, "/items/0/price"),
    ({"items": a_line(price=1.999)}, "/items/0/price"),
    ({"items": a_line(price="1.0000000000000000000000000000000001")}, "/items/0/price"),
    ({"items": a_line(price="NaN")}, "/items/0/price"),
    ({"items": a_line(price="-Infinity")}, "/items/0/price"),
    ({"items": a_line(price="1e999999")}, "/items/0/price"),
    ({"items": a_line(price="1e99999999999")}, "/items/0/price"),
    ({"items": a_line(price="dear")}, "/items/0/price"),
    ({"items": a_line(price=10**14, quantity=1_000_000)}, "/items"),
    ({"items": a_line(price=0.5), "currency": "JPY"}, "/items/0/price"),
    ({"currency": "XXZ"}, "/currency"),
    ({"currency": "XAU"}, "/currency"),
    ({"items": a_line(quantity=0)}, "/items/0/quantity"),
    ({"items": a_line(quantity=-3)}, "/items/0/quantity"),
    ({"items": a_line(quantity=1.5)}, "/items/0/quantity"),
    ({"items": a_line(quantity="2")}, "/items/0/quantity"),
    ({"items": a_line(quantity=True)}, "/items/0/quantity"),
    ({"items": a_line(quantity=10**30)}, "/items/0/quantity"),
    ({"items": a_line(colour="red")}, "/items/0/colour"),
    ({"items": a_line(productId="")}, "/items/0/productId"),
    ({"items": [{"productId": "prod-1", "quantity": 1}]}, "/items/0/price"),
    ({"items": "many"}, "/items"),
    ({"discount": 1}, "/discount"),
    ({"userId": ""}, "/userId"),
    ({"userId": " alice"}, "/userId"),
    ({"userId": "a\u0000b"}, "/userId"),
    ({"userId": "a" * 101}, "/userId"),
    ({"userId": 7}, "/userId"),
    ({"mode": "telepathy"}, "/mode"),
    ({"timeoutSeconds": 0}, "/timeoutSeconds"),
    ({"timeoutSeconds": 10**9}, "/timeoutSeconds"),
    ({"correlationId": ""}, "/correlationId"),
    ({"correlationId": "a b"}, "/correlationId"),
    ({"correlationId": "a" * 51}, "/correlationId"),
    ({"refundPolicy": "never"}, "/refundPolicy"),
]


@pytest.mark.parametrize(("wished", "field"), BAD, ids=[f"{field} {str(bad)[:40]}" for bad, field in BAD])
async def test_a_broken_rule_is_named_with_its_field_and_nothing_is_stored(
    shop: Shop, wished: dict[str, Any], field: str
) -> None:
    answer = await shop.client.post("/orders", json=an_order(**wished))
    told = answer.json()
    assert (answer.status_code, told["field"]) == (400, field), told
    assert told["rule"]
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert await nothing_is_stored(shop)


@pytest.mark.parametrize(("wished", "field"), BAD, ids=[f"{field} {str(bad)[:40]}" for bad, field in BAD])
async def test_in_a_batch_a_broken_rule_spoils_no_other_order(shop: Shop, wished: dict[str, Any], field: str) -> None:
    orders = [an_order(), an_order(**wished), an_order()]
    answer = await shop.client.post("/orders/batch", json={"orders": orders})
    results = answer.json()["results"]
    assert [(result["index"], result["status"]) for result in results] == [(0, 201), (1, 400), (2, 201)]
    assert results[1]["problem"]["field"] == f"/orders/1{field}"
    assert len((await shop.get("/orders"))["orders"]) == 2


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"userId": "\\ud800"}', b"[" * 5000, b"NaN"])
async def test_what_is_no_json_object_is_refused(shop: Shop, body: bytes) -> None:
    for path in ("/orders", "/orders/batch", "/sagas/batch"):
        answer = await shop.client.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400, answer.text
    assert await nothing_is_stored(shop)


async def test_a_body_over_256_kib_is_too_large_and_one_of_a_batch_over_4_mib(shop: Shop) -> None:
    big = json.dumps(an_order(userId="a" * 262_144))
    assert (await shop.client.post("/orders", content=big)).status_code == 413
    huge = json.dumps({"orders": [an_order(userId="a" * 4_194_304)]})
    assert (await shop.client.post("/orders/batch", content=huge)).status_code == 413
    assert await nothing_is_stored(shop)


@pytest.mark.parametrize("orders", [[], [an_order()] * 1001, "many", None])
async def test_a_batch_has_1_to_1000_orders(shop: Shop, orders: object) -> None:
    answer = await shop.client.post("/orders/batch", json={"orders": orders})
    assert (answer.status_code, answer.json()["field"]) == (400, "/orders")
    assert await nothing_is_stored(shop)


@pytest.mark.parametrize("key", ["", " ", "a" * 256, "naïve"])
async def test_a_key_that_is_no_printable_ascii_is_refused(shop: Shop, key: str) -> None:
    headers = {"Idempotency-Key": key.encode()}
    answer = await shop.client.post("/orders", json=an_order(), headers=headers)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["field"]) == (400, "Idempotency-Key")
    assert await nothing_is_stored(shop)


async def test_prices_may_be_numeric_strings(shop: Shop) -> None:
    assert (await shop.order(items=a_line(price="19.90")))["total"] == 19.9


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/sagas/{}/cancel", {}, "/reason"),
        ("/sagas/{}/retry", {"reason": ""}, "/reason"),
        ("/sagas/{}/retry", {"reason": "x", "who": "me"}, "/who"),
        ("/orders/{}/cancel", {"reason": 7}, "/reason"),
        ("/orders/{}/cancel", {"reason": "\x1b]52;c;cm0=\x07"}, "/reason"),
        ("/sagas/{}/cancel", {"reason": "\x9b2J"}, "/reason"),
        ("/sagas/{}/cancel", {"reason": "over\rwritten"}, "/reason"),
        ("/sagas/batch", {"verb": "explode", "reason": "x", "filter": {"phase": "Running"}}, "/verb"),
        ("/sagas/batch", {"verb": "kill", "reason": "x", "filter": {}}, "/filter"),
        ("/sagas/batch", {"verb": "kill", "reason": "x", "filter": {"ids": ["a"], "phase": "Running"}}, "/filter/ids"),
        ("/sagas/batch", {"verb": "kill", "reason": "x", "filter": {"phase": "Odd"}}, "/filter/phase"),
        (
            "/sagas/batch",
            {"verb": "kill", "reason": "x", "filter": {"phase": "Running"}, "ratePerSecond": 0},
            "/ratePerSecond",
        ),
    ],
)
async def test_a_verb_says_why_and_what(shop: Shop, path: str, body: dict[str, Any], field: str) -> None:
    order_id = (await shop.order())["id"]
    answer = await shop.client.post(path.format(order_id), json=body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert (await shop.state(order_id)).version == 1


async def test_a_reason_has_lines_and_every_script(shop: Shop) -> None:
    order_id, reason = (await shop.order())["id"], "the customer\n\tsays: zurück, 返品\n"
    assert (await shop.client.post(f"/orders/{order_id}/cancel", json={"reason": reason})).status_code == 202
    assert (await shop.get(f"/sagas/{order_id}"))["abort"]["reason"] == reason


async def test_a_database_that_is_away_is_told_and_the_same_order_is_placed_when_it_is_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise StoreUnavailableError("database or disk is full")

    monkeypatch.setattr(type(shop.store), "transact", away)
    for path, body in (("/orders", an_order()), ("/orders/batch", {"orders": [an_order()]})):
        answer = await shop.client.post(path, json=body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    monkeypatch.undo()
    assert await nothing_is_stored(shop)
    assert (await shop.order())["status"] == "pending"
