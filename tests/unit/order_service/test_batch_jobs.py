"""One verb over many sagas: counted, at a rate, each failure with its reason, through a restart."""

import asyncio

import pytest
from tests.unit.order_service.shop import HandClock, Json, Shop, make_shop

from sagakit.runtime.failpoints import ARMED


async def begin(shop: Shop, verb: str = "cancel", **asked: Json) -> Json:
    body = {"verb": verb, "reason": "recall", "filter": {"phase": "Pending"}, **asked}
    answer = await shop.client.post("/sagas/batch", json=body, headers={"X-Actor": "olga"})
    assert answer.status_code == (200 if asked.get("dryRun") else 202), answer.text
    if answer.status_code == 202:
        assert answer.headers["location"] == f"/batches/{answer.json()['batchId']}"
    return answer.json()


async def work(shop: Shop, steps: int = 1000) -> None:
    for _ in range(steps):
        if not await shop.batches.step():
            break
        shop.clock.pass_seconds(1)


async def job(shop: Shop, batch_id: str) -> Json:
    return await shop.get(f"/batches/{batch_id}")


async def test_a_dry_run_counts_and_does_nothing(shop: Shop) -> None:
    placed = [(await shop.order())["id"] for _ in range(3)]
    said = await begin(shop, dryRun=True)
    assert (said["total"], sorted(said["sample"])) == (3, sorted(placed))
    assert not await shop.batches.step()
    assert (await shop.get("/batches"))["batches"] == []


async def test_a_job_does_its_verb_to_every_saga_that_matches(shop: Shop) -> None:
    placed = [(await shop.order())["id"] for _ in range(25)]
    await shop.hear("PaymentFailed", of=placed[0])
    batch_id = (await begin(shop))["batchId"]
    await work(shop)
    done = await job(shop, batch_id)
    assert (done["state"], done["total"], done["done"], done["failed"]) == ("completed", 24, 24, 0)
    assert all([(await shop.state(saga_id)).abort is not None for saga_id in placed[1:]])
    abort = (await shop.state(placed[1])).abort
    assert abort is not None
    assert (abort.requested_by, abort.reason) == ("olga", "recall")


async def test_named_sagas_that_cannot_are_listed_with_the_reason(shop: Shop) -> None:
    fine, ended = (await shop.order())["id"], (await shop.order())["id"]
    await shop.hear("PaymentFailed", of=ended)
    batch_id = (await begin(shop, "suspend", filter={"ids": [fine, ended, "nope", fine]}))["batchId"]
    await work(shop)
    done = await job(shop, batch_id)
    assert (done["total"], done["done"], done["failed"]) == (3, 1, 2)
    assert [failure["sagaId"] for failure in done["failures"]] == [ended, "nope"]
    assert "has ended" in done["failures"][0]["reason"]


async def test_what_was_so_already_is_done_without_effect(shop: Shop) -> None:
    order_id = (await shop.order())["id"]
    await begin(shop, filter={"ids": [order_id]})
    await work(shop)
    batch_id = (await begin(shop, filter={"ids": [order_id]}))["batchId"]
    await work(shop)
    assert (await job(shop, batch_id))["withoutEffect"] == 1


async def test_only_sagas_that_are_old_enough_are_meant(shop: Shop) -> None:
    old = (await shop.order())["id"]
    shop.clock.pass_seconds(60)
    await shop.order()
    said = await begin(shop, dryRun=True, filter={"olderThanSeconds": 30})
    assert (said["total"], said["sample"]) == (1, [old])


async def test_a_job_keeps_its_rate(shop: Shop) -> None:
    for _ in range(10):
        await shop.order()
    batch_id = (await begin(shop, ratePerSecond=2))["batchId"]
    for _ in range(40):
        await shop.batches.step()
        shop.clock.pass_seconds(0.05)
    assert 3 <= (await job(shop, batch_id))["done"] <= 5


async def test_a_stopped_job_does_nothing_more(shop: Shop) -> None:
    for _ in range(5):
        await shop.order()
    batch_id = (await begin(shop, ratePerSecond=1))["batchId"]
    await work(shop, 2)
    assert (await shop.client.post(f"/batches/{batch_id}/stop")).json()["state"] == "stopped"
    await work(shop)
    assert (await job(shop, batch_id))["done"] == 1


async def test_a_job_goes_on_after_a_restart_and_asks_nobody_twice(shop: Shop) -> None:
    placed = [(await shop.order())["id"] for _ in range(12)]
    batch_id = (await begin(shop, ratePerSecond=3))["batchId"]
    await work(shop, 5)
    assert 0 < (await job(shop, batch_id))["done"] < 12
    after = make_shop(shop.clock, shop.store.state)
    async with after.client:
        await work(after)
        done = await job(after, batch_id)
        assert (done["state"], done["done"], done["withoutEffect"]) == ("completed", 12, 0)
        assert [(await after.state(saga_id)).version for saga_id in placed] == [2] * 12


async def test_a_crash_before_the_commit_loses_nothing_and_repeats_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await shop.order()
    batch_id = (await begin(shop))["batchId"]

    def crash() -> None:
        raise RuntimeError("crash")

    monkeypatch.setitem(ARMED, "batches.before_commit", crash)
    with pytest.raises(RuntimeError):
        await shop.batches.step()
    monkeypatch.undo()
    await work(shop)
    assert (await job(shop, batch_id))["done"] == 3


async def test_two_loops_at_once_do_each_part_of_a_job_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    view = type(shop.store).view

    async def slow_view(self: Json, look: Json) -> Json:
        seen = await view(self, look)
        await asyncio.sleep(0)
        return seen

    monkeypatch.setattr(type(shop.store), "view", slow_view)
    for _ in range(40):
        await shop.order()
    batch_id = (await begin(shop, "suspend"))["batchId"]
    seen = []
    for _ in range(12):
        # Both look before either moves the job.
        await asyncio.gather(shop.batches.step(), shop.batches.step())
        shop.clock.pass_seconds(1)
        seen.append((await job(shop, batch_id))["done"])
    assert [done for done in seen if 0 < done < 40][:2] == [10, 20]
    assert (await job(shop, batch_id))["withoutEffect"] == 0


async def test_a_job_over_nothing_is_completed(shop: Shop) -> None:
    batch_id = (await begin(shop))["batchId"]
    await work(shop)
    assert (await job(shop, batch_id))["state"] == "completed"


async def test_more_sagas_than_one_chunk_are_each_met_once() -> None:
    shop = make_shop(HandClock())
    async with shop.client:
        for _ in range(3):
            orders = [{"userId": "u", "items": [{"productId": "p", "quantity": 1, "price": 1}]}] * 800
            assert (await shop.client.post("/orders/batch", json={"orders": orders})).status_code == 200
        batch_id = (await begin(shop, "suspend", ratePerSecond=1000))["batchId"]
        await work(shop)
        done = await job(shop, batch_id)
        assert (done["total"], done["done"], done["withoutEffect"]) == (2400, 2400, 0)
