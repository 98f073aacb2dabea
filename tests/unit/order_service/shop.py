"""An order service over the memory adapters, with a clock turned by hand and no server."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
from msgspec.structs import replace

from order_service.app import routes
from order_service.desk import CreateOrders, OrderDesk, order_tracker
from order_service.wiring import TABLES
from sagakit.adapters.memory import MemoryState, MemoryStore
from sagakit.core.contracts import encode_data
from sagakit.core.messages import Message, Mode, message_id
from sagakit.core.state import SagaState
from sagakit.ports import Transaction
from sagakit.runtime.batches import Batches
from sagakit.runtime.consumer import Handler
from sagakit.runtime.deadlines import Deadlines
from sagakit.runtime.http.app import build_app
from sagakit.runtime.tracker import SAGAS, Tracker
from shop_contracts.catalogue import SHOP

Json = Any
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SAID: dict[str, dict[str, Any]] = {
    "PaymentCompleted": {"paymentId": "pay-1", "amount": 44.98, "transactionId": "tx-1"},
    "PaymentFailed": {"reason": "the card was declined", "errorCode": "DECLINED"},
    "PaymentRefunded": {"paymentId": "pay-1", "amount": 44.98, "refundId": "ref-1", "method": "refund"},
    "InventoryReserved": {"reservationId": "res-1", "items": [{"productId": "prod-1", "quantity": 2}]},
    "InventoryFailed": {"reason": "OUT_OF_STOCK", "items": [{"productId": "prod-1", "availableQuantity": 0}]},
    "InventoryReleased": {"reservationId": "res-1"},
    "ShipmentScheduled": {"shipmentId": "ship-1", "carrier": "ACME", "trackingNumber": "T1"},
    "ShipmentFailed": {"reason": "NO_CARRIER"},
    "ReservationConsumed": {"reservationId": "res-1"},
    "StepStuck": {"step": "payment", "compensating": False, "attempts": 8, "error": "provider down"},
}


class HandClock:
    """Time stands until it is turned; chance runs in a circle."""

    def __init__(self) -> None:
        self.time = NOON
        self.turns = 0

    def now(self) -> datetime:
        return self.time

    def chance(self) -> float:
        self.turns += 1
        return (self.turns * 0.618033988749895) % 1

    async def sleep(self, seconds: float) -> None:
        self.pass_seconds(seconds)

    def pass_seconds(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass
class Shop:
    """The service as its clients and its participants see it."""

    client: httpx.AsyncClient
    tracker: Tracker
    desk: OrderDesk
    store: MemoryStore
    clock: HandClock
    attempts: dict[str, int] = field(default_factory=dict)

    @property
    def batches(self) -> Batches:
        return Batches(self.tracker, self.store, self.clock)

    async def order(self, **wished: Json) -> dict[str, Any]:
        """Place an order that keeps every rule, but for what is wished otherwise."""
        headers = wished.pop("headers", {})
        answer = await self.client.post("/orders", json=an_order(**wished), headers=headers)
        assert answer.status_code == 201, answer.text
        said: dict[str, Any] = answer.json()
        return said

    async def hear(self, *types: str, of: str, **data: Json) -> None:
        """Let the tracker hear these messages of a saga, in one batch."""
        await self.handle(self.tracker, [self.message(kind, of, **data) for kind in types])

    async def handle(self, handler: Handler, messages: list[Message]) -> None:
        """Let a handler have a batch of messages, as the consumer loop does."""

        async def work(transaction: Transaction) -> None:
            await handler.handle(transaction, messages, self.clock.now())

        await self.store.transact(work)

    def message(self, kind: str, saga_id: str, *, attempt: int = 0, **data: Json) -> Message:
        return Message(
            id=message_id(saga_id, data.get("step", ""), kind, attempt),
            type=kind,
            source="test",
            time=self.clock.now(),
            saga_id=saga_id,
            correlation_id=saga_id,
            causation_id="",
            mode=Mode.CHOREOGRAPHY,
            definition="order/1",
            attempt=attempt,
            data_version=SHOP.version_of(kind),
            data=encode_data({"orderId": saga_id, "sagaId": saga_id, **SAID.get(kind, {}), **data}),
        )

    def create_orders(self) -> CreateOrders:
        return CreateOrders(self.desk)

    def create_order(self, saga_id: str, **order: Json) -> Message:
        return replace(self.message("CreateOrder", saga_id), data=encode_data(order))

    async def state(self, saga_id: str) -> SagaState:
        return (await self.store.view(lambda reader: reader.load(SAGAS, [saga_id])))[saga_id]

    async def outbox(self) -> list[tuple[str, str]]:
        """Return (topic, message type) of everything that was said."""
        return [(e.draft.topic, header(e.draft.headers, "ce_type")) for e in await self.store.outbox(10_000)]

    async def said_ids(self, kind: str) -> list[str]:
        drafts = [entry.draft for entry in await self.store.outbox(10_000)]
        return [header(d.headers, "ce_id") for d in drafts if header(d.headers, "ce_type") == kind]

    async def deadlines(self) -> None:
        await Deadlines(self.tracker, self.store, self.clock).step()

    async def stuck(self, **wished: Json) -> str:
        """Place an order whose payment is stuck."""
        order_id = str((await self.order(**wished))["id"])
        await self.hear("StepStuck", of=order_id)
        return order_id

    async def get(self, path: str, **params: Json) -> Json:
        answer = await self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()


def header(headers: bytes, name: str) -> str:
    return str(msgspec.json.decode(headers)[name])


def an_order(**wished: Json) -> dict[str, Any]:
    order: dict[str, Any] = {
        "userId": "alice",
        "items": [
            {"productId": "prod-1", "quantity": 2, "price": 19.99},
            {"productId": "prod-2", "quantity": 1, "price": "5.00"},
        ],
    }
    return {**order, **wished}


def make_shop(clock: HandClock, state: MemoryState | None = None) -> Shop:
    tracker = order_tracker()
    desk, store = OrderDesk(tracker), MemoryStore(TABLES, state)
    app: Json = build_app(routes(tracker, desk, store, clock))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://order")
    return Shop(client, tracker, desk, store, clock)
