"""All services of the shop over one log in memory, stepped by hand and with a clock that is turned."""

from collections.abc import Callable, Mapping
from typing import Any

import httpx
from tests.unit.order_service.shop import HandClock

import inventory_service.wiring as inventory
import order_service.wiring as order
import payment_service.wiring as payment
import shipping_service.wiring as shipping
from inventory_service.actions import STOCK
from inventory_service.domain import Stock
from inventory_service.settings import InventorySettings
from order_service.settings import OrderSettings
from payment_service.provider import BANK_TABLES
from payment_service.settings import PaymentSettings
from sagakit.adapters.memory import MemoryLog, MemoryState, MemoryStore
from sagakit.ports import Record
from sagakit.runtime.http.app import build_app
from sagakit.runtime.service import Service
from sagakit.runtime.topics import SAGAS_DEFINITIONS
from sagakit.runtime.wire import parse
from shipping_service.settings import ShippingSettings

Json = Any
TURNS_MAX = 600
TURN_SECONDS = 0.1
STEPS: Mapping[str, tuple[str, str]] = {
    "inventory": ("inventory", "ReserveInventory"),
    "payment": ("payment", "ChargePayment"),
    "shipping": ("shipping", "ScheduleShipment"),
    "stock": ("inventory", "ConsumeReservation"),
}


def short(name: str, version: int = 1, *order_of: str, **changes: Json) -> dict[str, Json]:
    """Return a definition in short data; by default the goods are set aside before they are paid."""
    steps = order_of or ("inventory", "payment", "shipping", "stock")
    stages = [{"steps": [{"name": s, "participant": STEPS[s][0], "command": STEPS[s][1]}]} for s in steps]
    return {"name": name, "version": version, "stages": stages, **changes}


class Town:
    """The services by name; those in `deaf` hear nothing, of definitions or else, as long as they stand there."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.log = MemoryLog(self.clock)
        self.deaf: set[str] = set()
        self.state = {name: MemoryState() for name in ("order", "payment", "bank", "inventory", "shipping")}
        self.services: dict[str, Service] = {}
        self.app: Json = None
        for name in ("order", "payment", "inventory", "shipping"):
            self.open(name)

    def open(self, name: str) -> None:
        """Put a new process of this service in the place of the one before, over the same rows."""
        log, clock = self.log, self.clock
        if name == "payment":
            money = PaymentSettings(port=0)
            bank = payment.open_bank(money, MemoryStore(BANK_TABLES, self.state["bank"]), clock)
            opened = payment.build(money, MemoryStore(payment.TABLES, self.state[name]), log, clock, bank)
        elif name == "inventory":
            opened = inventory.build(
                InventorySettings(port=0), MemoryStore(inventory.TABLES, self.state[name]), log, clock
            )
        elif name == "shipping":
            opened = shipping.build(
                ShippingSettings(port=0), MemoryStore(shipping.TABLES, self.state[name]), log, clock
            )
        else:
            opened = order.build(OrderSettings(port=0), MemoryStore(order.TABLES, self.state[name]), log, clock)
            self.app = build_app(opened.routes)
        self.services[name] = opened

    async def stock(self, product: str, quantity: int) -> None:
        await self.services["inventory"].store.transact(lambda tx: tx.save(STOCK, [Stock(product, quantity)]))

    async def turn(self) -> None:
        """Let every loop have its step, and time pass."""
        for service in self.services.values():
            for loop in service.runner.loops:
                if loop.steps.name not in self.deaf:
                    more = await loop.steps.step()
                    while more and loop.steps.name.endswith(" definitions"):  # whoever needs them waits for them
                        more = await loop.steps.step()
        self.clock.pass_seconds(TURN_SECONDS)

    async def until(self, met: Callable[[], Any], what: str) -> None:
        """Return when it is so, which takes no more turns than are allowed."""
        for _ in range(TURNS_MAX):
            if await met():
                return
            await self.turn()
        raise AssertionError(f"not within {TURNS_MAX} turns: {what}")

    async def ask(self, method: str, path: str, body: Json = None, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://order") as client:
            return await client.request(method, path, json=body, headers=headers)

    async def define(self, said: Mapping[str, Json]) -> httpx.Response:
        body = {key: value for key, value in said.items() if key not in ("name", "version")}
        return await self.ask("PUT", f"/definitions/{said['name']}/{said['version']}", body)

    async def knows(self, ref: str) -> None:
        """Return when every service that hears has learned the definition."""
        await self.until(lambda: self._all_know(ref), f"{ref} is known")

    async def order(self, **wished: Json) -> str:
        answer = await self.ask("POST", "/orders", an_order(**wished))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def ended(self, order_id: str) -> dict[str, Json]:
        """Return the order once it has ended."""
        found: dict[str, Json] = {}

        async def met() -> bool:
            answer = await self.ask("GET", f"/orders/{order_id}")
            found.update(answer.json())
            return answer.is_success and found["status"] != "pending"

        await self.until(met, f"{order_id} ends: {found}")
        await self.turn()  # and that is said
        return found

    async def records(self, topic: str) -> list[Record]:
        places = [(topic, number) for number in range(self.log.partitions)]
        return await self.log.fetch(dict.fromkeys(places, 0), 10_000)

    async def said(self, order_id: str) -> list[str]:
        """Return the types of what was said of an order, in the order of time."""
        topics = ("orders.events", "payments.events", "inventory.events", "shipping.events")
        records = [record for topic in topics for record in await self.records(topic) if record.key == order_id]
        return [parse(record).type for record in sorted(records, key=lambda record: record.appended_at)]

    async def dead_letters(self) -> int:
        return sum([len(await self.records(f"{name}.dlq")) for name in self.services])

    async def _all_know(self, ref: str) -> bool:
        published = any(record.key == ref for record in await self.records(SAGAS_DEFINITIONS))
        hearing = [
            loop.steps
            for service in self.services.values()
            for loop in service.runner.loops
            if loop.steps.name.endswith(" definitions") and loop.steps.name not in self.deaf
        ]
        return published and all(ref in getattr(steps, "sagas", ()) for steps in hearing)


def an_order(**wished: Json) -> dict[str, Json]:
    return {"userId": "ann", "items": [{"productId": "pen", "quantity": 2, "price": "1.50"}], **wished}
