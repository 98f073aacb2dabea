"""Sagas over HTTP: what one waits for, what it went through, and every verb in every phase."""

from typing import Any

import pytest
from tests.unit.definitions.town import short
from tests.unit.order_service.shop import Shop

from order_service import definition_routes
from sagakit.core.facts import Verb
from sagakit.runtime.http.pages import cursor_of
from shop_contracts.definitions import definition_of

PAID = ("PaymentCompleted",)
SHIPPED = (*PAID, "InventoryReserved", "ShipmentScheduled")
CONFIRMED = (*SHIPPED, "ReservationConsumed")
COMPENSATING = (*PAID, "InventoryReserved", "ShipmentFailed")
CANCELLED = ("PaymentFailed",)


async def ask(shop: Shop, saga_id: str, verb: str, **more: str) -> tuple[int, dict[str, Any]]:
    answer = await shop.client.post(
        f"/sagas/{saga_id}/{verb}", json={"reason": "audit", **more}, headers={"X-Actor": "olga"}
    )
    return answer.status_code, answer.json()


async def test_a_saga_says_what_it_waits_for(shop: Shop) -> None:
    order_id = (await shop.order())["id"]
    saga = await shop.get(f"/sagas/{order_id}")
    assert (saga["phase"], saga["definition"], saga["definitionVersion"], saga["mode"]) == (
        "Pending",
        "order/1",
        1,
        "choreography",
    )
    waiting = saga["waitingFor"]
    assert (waiting["kind"], waiting["steps"], waiting["until"]) == ("answer", ["payment"], saga["deadline"])
    assert waiting["sentence"].startswith(f"{order_id} waits for payment to answer")
    assert [(step["name"], step["inDoubt"]) for step in saga["steps"]][:2] == [("payment", True), ("inventory", False)]


async def test_a_saga_is_found_by_its_correlation_id(shop: Shop) -> None:
    order = await shop.order(correlationId="trip-7")
    assert (await shop.get("/sagas/trip-7"))["sagaId"] == order["id"]
    assert (await ask(shop, "trip-7", "suspend"))[0] == 202


async def test_a_stuck_saga_names_the_error_and_the_verbs_that_help(shop: Shop) -> None:
    order_id = await shop.stuck()
    waiting = (await shop.get(f"/sagas/{order_id}"))["waitingFor"]
    assert (waiting["kind"], waiting["error"]) == ("person", "provider down")
    assert {"retry", "skip", "mark-done"} <= set(waiting["verbs"])


async def test_lists_are_by_phase_and_reason(shop: Shop) -> None:
    running, failed, other = [(await shop.order())["id"] for _ in range(3)]
    await shop.hear(*PAID, of=running)
    await shop.hear("PaymentFailed", of=failed)
    await shop.hear(*PAID, "InventoryFailed", "PaymentRefunded", of=other)
    found = await shop.get("/sagas", phase="Compensated", reason="DECLINED")
    assert [saga["sagaId"] for saga in found["sagas"]] == [failed]
    assert len((await shop.get("/sagas", phase="Compensated"))["sagas"]) == 2
    assert [saga["sagaId"] for saga in (await shop.get("/sagas", reason="OUT_OF_STOCK"))["sagas"]] == [other]
    assert len((await shop.get("/sagas"))["sagas"]) == 3


async def test_pages_of_sagas_hold_each_saga_once(shop: Shop) -> None:
    placed = [(await shop.order())["id"] for _ in range(7)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await shop.get("/sagas", limit=2, **cursor)
        seen += [saga["sagaId"] for saga in page["sagas"]]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
        await shop.hear("PaymentFailed", of=seen[-1])
    assert sorted(seen) == sorted(placed)


async def test_the_history_is_paged_and_names_who_did_what(shop: Shop) -> None:
    order_id = await shop.stuck()
    await ask(shop, order_id, "retry")
    first = await shop.get(f"/sagas/{order_id}/history", limit=2)
    rest = await shop.get(f"/sagas/{order_id}/history", cursor=first["nextCursor"])
    facts = [*first["facts"], *rest["facts"]]
    assert [fact["fact"] for fact in facts] == ["SagaStarted", "StepStuck", "VerbAsked"]
    assert facts[2]["details"]["actor"] == "olga"
    assert facts[2]["details"]["reason"] == "audit"
    assert rest["nextCursor"] is None


VERBS = [
    ((), "cancel", 202),
    ((), "suspend", 202),
    ((), "kill", 202),
    ((), "resume", 200),
    ((), "retry", 409),
    ((), "skip", 409),
    ((), "mark-done", 409),
    (("StepStuck",), "retry", 202),
    (("StepStuck",), "skip", 202),
    (("StepStuck",), "mark-done", 202),
    (PAID, "cancel", 202),
    (SHIPPED, "cancel", 409),
    (COMPENSATING, "cancel", 200),
    (COMPENSATING, "kill", 202),
    (CANCELLED, "cancel", 200),
    (CANCELLED, "kill", 409),
    (CANCELLED, "suspend", 409),
    (CANCELLED, "resume", 409),
    (CANCELLED, "retry", 409),
    (CONFIRMED, "cancel", 409),
    (CONFIRMED, "kill", 409),
    (CONFIRMED, "skip", 409),
]


@pytest.mark.parametrize(("heard", "verb", "status"), VERBS, ids=[f"{h[-1] if h else 'new'} {v}" for h, v, _ in VERBS])
async def test_a_verb_is_accepted_without_effect_or_refused_as_the_saga_stands(
    shop: Shop, heard: tuple[str, ...], verb: str, status: int
) -> None:
    order_id = (await shop.order())["id"]
    await shop.hear(*heard, of=order_id)
    before = await shop.state(order_id)
    got, said = await ask(shop, order_id, verb)
    assert got == status, said
    assert ((await shop.state(order_id)).version > before.version) is (status == 202)
    if status == 409:
        assert said["detail"]


@pytest.mark.parametrize("verb", list(Verb))
async def test_a_verb_on_an_unknown_saga_is_not_found(shop: Shop, verb: str) -> None:
    assert (await ask(shop, "nope", verb))[0] == 404


async def test_a_second_cancel_has_no_effect_and_the_first_reason_stays(shop: Shop) -> None:
    order_id = (await shop.order())["id"]
    assert (await shop.client.post(f"/orders/{order_id}/cancel", json={"reason": "one"})).status_code == 202
    assert (await shop.client.post(f"/orders/{order_id}/cancel", json={"reason": "two"})).status_code == 200
    saga = await shop.get(f"/sagas/{order_id}")
    assert (saga["abort"]["reason"], saga["reason"], saga["waitingFor"]["kind"]) == ("one", "CANCELLED", "abort")
    assert (await shop.outbox()).count(("sagas.events", "AbortSaga")) == 1


async def test_a_cancel_that_loses_against_the_pivot_is_shown_as_refused(shop: Shop) -> None:
    order_id = (await shop.order())["id"]
    await shop.hear("PaymentCompleted", "InventoryReserved", of=order_id)
    assert (await ask(shop, order_id, "cancel"))[0] == 202
    await shop.hear("ShipmentScheduled", of=order_id)
    saga = await shop.get(f"/sagas/{order_id}")
    assert (saga["cancelRefused"], saga["waitingFor"]["steps"]) == (True, ["stock"])


async def test_a_killed_order_is_cancelled_and_says_killed(shop: Shop) -> None:
    order_id = (await shop.order())["id"]
    await ask(shop, order_id, "kill")
    order = await shop.get(f"/orders/{order_id}")
    assert (order["status"], order["cancellationReason"]) == ("cancelled", "KILLED")
    assert (await shop.outbox())[1:] == [("sagas.events", "SagaKilled"), ("orders.events", "OrderCancelled")]
    assert (await shop.get(f"/sagas/{order_id}"))["waitingFor"] is None


async def test_definitions_are_data_and_drawn(shop: Shop) -> None:
    [listed] = (await shop.get("/definitions"))["definitions"]
    one = await shop.get("/definitions/order/1")
    assert one == listed
    assert one["mermaid"].startswith("stateDiagram")
    assert one["definition"]["name"] == "order"
    assert (await shop.client.get("/definitions/order/2")).status_code == 404


async def test_definitions_come_page_by_page_each_version_once(shop: Shop) -> None:
    for ref in ("careful/2", "careful/10", "zoo/1"):
        name, _, version = ref.partition("/")
        shop.tracker.sagas[ref] = definition_of(short(name, int(version)))

    async def page(**asked: int | str | None) -> tuple[list[str], str | None]:
        found = await shop.get("/definitions", **asked)
        return [each["ref"] for each in found["definitions"]], found["nextCursor"]

    first, cursor = await page(limit=2)
    assert first == ["careful/2", "careful/10"]
    assert await page(limit=2, cursor=cursor) == (["order/1", "zoo/1"], None)
    assert await page() == (["careful/2", "careful/10", "order/1", "zoo/1"], None)
    for text in ("careful/99", "careful/10/x", "careful/10"):
        assert await page(cursor=cursor_of(text)) == (["order/1", "zoo/1"], None)
    assert len((await page(cursor=cursor_of("any text")))[0]) == 4
    assert (await shop.client.get("/definitions?limit=0")).json()["field"] == "limit"
    assert (await shop.client.get("/definitions?cursor=%2B")).json()["field"] == "cursor"


async def test_of_so_many_definitions_none_is_added_and_each_may_be_said_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(definition_routes, "DEFINITIONS_MAX", 2)
    shop.tracker.sagas["own/1"] = definition_of(short("own"))
    body = {"stages": short("own")["stages"]}
    again = await shop.client.put("/definitions/own/1", json=body)
    assert again.status_code == 200
    refused = await shop.client.put("/definitions/own/2", json=body)
    assert (refused.status_code, refused.json()["field"]) == (409, "name")
    assert await shop.outbox() == []
    del shop.tracker.sagas["own/1"]
    assert (await shop.client.put("/definitions/own/2", json=body)).status_code == 202
