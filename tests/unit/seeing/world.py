"""The whole shop in memory, its loops stepped by hand until nothing is left to do, and everything that it tells."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import httpx
from tests.unit.http.services import HandClock, build_all

import order_service.wiring as order
from order_service.settings import OrderSettings
from sagakit.adapters.memory import MemoryStore
from sagakit.core.traces import Span
from sagakit.runtime.actions import OutsideAction, Reply, Unknown
from sagakit.runtime.participant import Participant
from sagakit.runtime.service import Service

ROUNDS_MAX = 200


@dataclass
class Told:
    """Where the spans go."""

    spans: list[Span] = field(default_factory=list)

    def tell(self, span: Span) -> None:
        self.spans.append(span)

    def of(self, saga_id: str) -> list[Span]:
        return [span for span in self.spans if span.attributes.get("saga.id") == saga_id]


@dataclass
class World:
    """All services of the shop."""

    services: dict[str, Service]
    clock: HandClock
    told: Told

    async def order(self, headers: dict[str, str] | None = None, **more: object) -> str:
        """Place an order and return its id."""
        body = {"userId": "ann", "items": [{"productId": "pen", "quantity": 1, "price": 5}], **more}
        async with self.client("order") as client:
            answer = await client.post("/orders", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def stock(self, quantity: int) -> None:
        async with self.client("inventory") as client:
            (await client.put("/stock/pen", json={"quantity": quantity})).raise_for_status()

    async def cancel(self, order_id: str) -> None:
        async with self.client("order") as client:
            (await client.post(f"/orders/{order_id}/cancel", json={"reason": "changed my mind"})).raise_for_status()

    async def scrape(self, name: str, accept: str = "application/openmetrics-text") -> str:
        async with self.client(name) as client:
            return (await client.get("/metrics", headers={"Accept": accept})).text

    async def run(self) -> None:
        """Step every loop until a whole round found nothing to do."""
        for _ in range(ROUNDS_MAX):
            found = [
                await loop.steps.step()
                for service in self.services.values()
                for loop in service.runner.loops
                if "report" not in loop.steps.name
            ]
            if not any(found):
                return
        raise AssertionError("there is always something to do")

    async def pass_seconds(self, seconds: float) -> None:
        self.clock.moment += timedelta(seconds=seconds)
        await self.run()

    def client(self, name: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.services[name].app), base_url=f"http://{name}")


async def world(*, chosen: bool = True, traced: bool = True) -> World:
    """Return a shop with stock on its shelves, of whose sagas all are traced, or those that their callers choose."""
    services, told = build_all(), Told()
    clock = services["payment"].clock
    assert isinstance(clock, HandClock)
    log = services["payment"].log
    services["order"] = order.build(OrderSettings(port=0), MemoryStore(order.TABLES), log, clock)
    if traced:
        for service in services.values():
            service.trace(told, lambda _: chosen, "sagaplane")
    its = World(services, clock, told)
    await its.run()
    await its.stock(10)
    return its


def silence(its: World, command: str) -> None:
    """Let nobody answer who is asked to carry out this command."""

    async def silent(asks: Sequence[object]) -> list[Reply]:
        return [Unknown("nobody answers") for _ in asks]

    for loop in its.services["payment"].runner.loops:
        participant = getattr(loop.steps, "participant", None)
        if isinstance(participant, Participant):
            action = participant.actions[command]
            assert isinstance(action, OutsideAction)
            participant.actions[command] = replace(action, call=silent)
