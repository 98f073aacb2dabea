"""What payment, inventory, shipping and notification answer of an order that went through them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest
from tests.unit.http.services import build_all

from payment_service.actions import PAYMENTS
from payment_service.domain import pending
from sagakit.core.contracts import encode_data
from sagakit.core.messages import Message
from sagakit.ports import StoreUnavailableError
from sagakit.runtime.service import Service
from sagakit.runtime.wire import draft
from shop_contracts import messages as m
from shop_contracts.order_saga import ORDER_SAGA

Json = dict[str, Any]
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
TURNS_MAX = 100


class Shop:
    """All services, stepped by hand until nothing more happens; an order's messages are put in by the test."""

    def __init__(self, services: dict[str, Service], clients: dict[str, httpx.AsyncClient]) -> None:
        self.services = services
        self.clients = clients

    async def put_in(self, order_id: str, event: msgspec.Struct, topic: str = "orders.events") -> None:
        """Say an event of the order service, through the outbox of another."""
        kind = type(event).__name__
        message = Message(
            id=f"{order_id}-{kind}",
            type=kind,
            source="order",
            time=NOON,
            saga_id=order_id,
            correlation_id=order_id,
            causation_id="",
            definition=ORDER_SAGA.ref,
            data_version=2 if kind == "OrderCreated" else 1,
            deadline=NOON + timedelta(days=1),
            data=encode_data(event),
        )
        await self.services["shipping"].store.transact(lambda tx: tx.send([draft(topic, message)]))

    async def order(self, order_id: str, product: str = "pen", quantity: int = 2, user_id: str = "ann") -> None:
        item = m.Item(product_id=product, quantity=quantity, price=Decimal("2.50"))
        total = Decimal("2.50") * quantity
        await self.put_in(
            order_id, m.OrderCreated(order_id=order_id, user_id=user_id, items=[item], total=total, currency="USD")
        )
        await self.settle()

    async def settle(self) -> None:
        for _ in range(TURNS_MAX):
            steps = [loop.steps for service in self.services.values() for loop in service.runner.loops]
            if not any([await step.step() for step in steps]):
                return
        raise AssertionError("it never comes to rest")

    async def get(self, service: str, path: str, status: int = 200) -> Json:
        answer = await self.clients[service].get(path)
        assert answer.status_code == status, answer.text
        told: Json = answer.json()
        return told

    async def put(self, service: str, path: str, body: Json, status: int = 200) -> Json:
        answer = await self.clients[service].put(path, json=body)
        assert answer.status_code == status, answer.text
        told: Json = answer.json()
        return told


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    services = build_all()
    async with AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(
                httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url=f"http://{name}")
            )
            for name, service in services.items()
        }
        made = Shop(services, clients)
        await made.put("inventory", "/stock/pen", {"quantity": 10}, 201)
        yield made


async def test_an_order_that_went_well_is_captured_consumed_scheduled_and_told(shop: Shop) -> None:
    await shop.order("order-1")
    payment = await shop.get("payment", "/payments/order-1")
    assert {k: payment[k] for k in ("orderId", "amount", "currency", "status", "refunds")} == {
        "orderId": "order-1",
        "amount": 5.0,
        "currency": "USD",
        "status": "captured",
        "refunds": [],
    }
    reservation = await shop.get("inventory", "/reservations/order-1")
    assert (reservation["status"], reservation["items"]) == ("consumed", [{"productId": "pen", "quantity": 2}])
    shipment = await shop.get("shipping", "/shipments/order-1")
    assert shipment["status"] == "scheduled"
    assert shipment["shipmentId"]
    assert shipment["carrier"]
    assert shipment["trackingNumber"]
    assert await shop.get("inventory", "/stock/pen") == {
        "productId": "pen",
        "onHand": 8,
        "reserved": 0,
        "available": 8,
    }
    assert (await shop.get("notification", "/notifications/order-1", 404))["field"] == "orderId"
    await shop.put_in("order-1", m.OrderConfirmed(order_id="order-1", confirmed_at=NOON))
    await shop.settle()
    assert (await shop.get("notification", "/notifications/order-1"))["subject"] == "confirmed"


async def test_an_order_without_stock_is_refunded_and_refused(shop: Shop) -> None:
    await shop.order("order-1", quantity=11)
    payment = await shop.get("payment", "/payments/order-1")
    assert payment["status"] == "refunded"
    (refund,) = payment["refunds"]
    assert (refund["amount"], refund["method"], refund["byHand"]) == (27.5, "refund", None)
    assert refund["refundId"]
    assert refund["at"].endswith("Z")
    assert (await shop.get("inventory", "/reservations/order-1"))["status"] == "refused"
    await shop.get("shipping", "/shipments/order-1", 404)


async def test_a_payment_over_the_limit_of_its_user_is_declined(shop: Shop) -> None:
    assert await shop.get("payment", "/accounts/ann") == {"userId": "ann", "limit": 10000.0}
    assert await shop.put("payment", "/accounts/ann", {"limit": "4.99"}) == {"userId": "ann", "limit": 4.99}
    await shop.order("order-1")
    payment = await shop.get("payment", "/payments/order-1")
    assert (payment["status"], payment["code"]) == ("declined", "LIMIT_EXCEEDED")
    await shop.get("inventory", "/reservations/order-1", 404)


@pytest.mark.parametrize("limit", [-1, 1.001, 10**14, "NaN", "1e3", None, "", [], True])
async def test_a_limit_that_is_no_amount_is_refused(shop: Shop, limit: object) -> None:
    assert (await shop.put("payment", "/accounts/ann", {"limit": limit}, 400))["field"] == "/limit"
    assert (await shop.get("payment", "/accounts/ann"))["limit"] == 10000


async def test_what_is_on_hand_is_set_and_every_setting_is_in_the_ledger(shop: Shop) -> None:
    answer = await shop.clients["inventory"].put("/stock/ink", json={"quantity": 3})
    assert (answer.status_code, answer.headers["location"]) == (201, "/stock/ink")
    assert (await shop.put("inventory", "/stock/ink", {"quantity": 1}))["onHand"] == 1
    entries = (await shop.get("inventory", "/ledger?limit=1000"))["items"]
    assert [(entry["movement"], entry["lines"]) for entry in entries if entry["cause"] == "ink"] == [
        ("set", [{"productId": "ink", "onHand": 3, "reserved": 0}]),
        ("set", [{"productId": "ink", "onHand": -2, "reserved": 0}]),
    ]


async def test_less_than_is_reserved_cannot_be_set(shop: Shop) -> None:
    shipping = shop.services["shipping"].consumers[0]
    loops = shop.services["shipping"].runner.loops
    loops[:] = [loop for loop in loops if loop.steps is not shipping]  # nobody ships: the reservation stays
    await shop.order("order-1", quantity=4)
    told = await shop.put("inventory", "/stock/pen", {"quantity": 3}, 409)
    assert (told["field"], told["rule"]) == ("/quantity", "pen: 4 are reserved, so 3 cannot be on hand")
    assert (await shop.put("inventory", "/stock/pen", {"quantity": 4}))["available"] == 0


@pytest.mark.parametrize("quantity", [-1, 1.5, "3", None, 2**63, 2**70])
async def test_a_quantity_that_is_no_count_is_refused_and_nothing_is_stored(shop: Shop, quantity: object) -> None:
    assert (await shop.put("inventory", "/stock/ink", {"quantity": quantity}, 400))["field"] == "/quantity"
    await shop.get("inventory", "/stock/ink", 404)


async def pages(get: Callable[[str], Awaitable[Json]], path: str, limit: int) -> list[list[Json]]:
    found, cursor = [], ""
    while True:
        page = await get(f"{path}?limit={limit}{cursor}")
        found.append(page["items"])
        if page["nextCursor"] is None:
            return found
        cursor = f"&cursor={page['nextCursor']}"


@pytest.mark.parametrize(
    ("service", "path"),
    [("payment", "/payments"), ("inventory", "/reservations"), ("shipping", "/shipments")],
)
async def test_an_auditor_who_follows_the_cursors_sees_each_order_once(shop: Shop, service: str, path: str) -> None:
    orders = [f"order-{number}" for number in range(5)]
    for order_id in orders:
        await shop.order(order_id, quantity=1)
    found = await pages(lambda target: shop.get(service, target), path, 2)
    assert [len(page) for page in found] == [2, 2, 1]
    assert [item["orderId"] for page in found for item in page] == orders


@pytest.mark.parametrize("page", ["limit=0", "limit=1001", "cursor=%00", "cursor="])
async def test_a_page_that_cannot_be_is_refused(shop: Shop, page: str) -> None:
    assert (await shop.get("payment", f"/payments?{page}", 400))["field"] in ("limit", "cursor")


async def test_a_cursor_from_elsewhere_means_some_place_and_no_error(shop: Shop) -> None:
    for cursor in ("a", "____", "x" * 399):
        await shop.get("payment", f"/payments?cursor={cursor}")


async def test_a_payment_not_yet_answered_is_pending(shop: Shop) -> None:
    payment = pending("order-9", "ann", 100, "JPY", NOON)
    await shop.services["payment"].store.transact(lambda tx: tx.save(PAYMENTS, [payment]))
    told = await shop.get("payment", "/payments/order-9")
    assert (told["status"], told["amount"], told["transactionId"]) == ("pending", 100, None)


async def test_a_locked_database_means_503_and_recovery_without_a_restart(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = shop.services["inventory"].store

    async def locked(_work: object) -> None:
        raise StoreUnavailableError("database is locked")

    with monkeypatch.context() as away:
        away.setattr(store, "transact", locked)
        told = await shop.put("inventory", "/stock/pen", {"quantity": 3}, 503)
    assert told["detail"] == "database is locked"
    assert (await shop.put("inventory", "/stock/pen", {"quantity": 3}))["onHand"] == 3
