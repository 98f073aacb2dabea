"""A run of the whole shop that has most of what can happen in it, and Prometheus looking on."""

import asyncio
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.observability.prometheus import Measurements, Prometheus

from onebox.box import Box
from onebox.layout import Layout

LUCK = {"SAGAPLANE_SEED": "3", "PAYMENT_SUCCESS_RATE": "0.7", "INVENTORY_SUCCESS_RATE": "0.8"}
SHELVES = {"quantity": 100_000}
MODES = ("choreography", "orchestration")
WAVE = 20
AWAY = {"PAYMENT_PROVIDER_KEY": "sk_test_1", "PAYMENT_PROVIDER_ATTEMPTS_MAX": "2", "PAYMENT_BREAKER_FAILURES": "2"}
"""One call is repeated once, and then the circuit is open."""

LOOKED_SELDOM = "cluster_namespace_loop:saga_not_read_soon:minutes3d"
"""The last of the rules that have an interval of their own."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was to be seen of a run, and when it was."""

    prometheus: Measurements
    begin: float
    end: float
    live: str
    """The correlation id of a saga that lived for a while."""

    def told(self, asks: str) -> list[str]:
        """Return every number that answers the question."""
        found = self.prometheus.between(asks, self.begin, self.end)
        return [value for series in found for _, value in series["values"] if value != "NaN"]


async def run(prometheus: Prometheus, layout: Layout, place: Path, environment: Mapping[str, str]) -> Seen:
    """Let sagas complete, be compensated, stand still, pass their deadline, and be killed."""
    begin = time.time()
    async with (
        Box(place, 2, {**LUCK, **environment}, layout) as box,
        httpx.AsyncClient(timeout=30, trust_env=False) as client,
    ):
        shop = _Shop(layout, client)
        await shop.stock()
        prometheus.start()
        await shop.seen(prometheus, "saga_started_total == 0")
        for wave in range(1, 4):
            await shop.orders(WAVE)
            await shop.seen(prometheus, f"sum(saga_finished_total) >= {wave * WAVE}")
        await shop.nonsense()
        box.children[1].send_signal(signal.SIGSTOP)
        late = await shop.order(timeoutSeconds=1)
        kept = await shop.order(timeoutSeconds=600)
        killed = await shop.order(timeoutSeconds=600)
        await shop.seen(prometheus, f'saga_instance_phase{{correlation_id="{kept["id"]}"}}')
        await shop.seen(prometheus, 'sum(saga_timeouts_total{code="DEADLINE_PASSED"}) >= 1')
        await shop.kill(killed["id"])
        box.children[1].send_signal(signal.SIGCONT)
        await shop.seen(prometheus, f"sum(saga_finished_total) >= {3 * WAVE + 3}")
        await shop.orders(WAVE)
        await shop.seen(prometheus, f"sum(saga_finished_total) >= {4 * WAVE + 3}")
        await shop.seen(prometheus, 'sum(increase(saga_http_requests_total{job="sagaplane-analytics"}[1m])) > 0')
        await shop.seen(prometheus, LOOKED_SELDOM)
        assert late["id"] != kept["id"]
    await _without_a_provider(prometheus, layout, place / "provider", environment)
    return Seen(prometheus, begin, time.time(), kept["id"])


async def _without_a_provider(
    prometheus: Prometheus, layout: Layout, place: Path, environment: Mapping[str, str]
) -> None:
    """Let another shop at the same ports take an order whose provider refuses connections."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = {**AWAY, "PAYMENT_PROVIDER_URL": f"http://127.0.0.1:{nobody.getsockname()[1]}"}
        async with (
            Box(place, 1, {**away, **environment}, layout),
            httpx.AsyncClient(timeout=30, trust_env=False) as client,
        ):
            shop = _Shop(layout, client)
            await shop.stock()
            await shop.seen(prometheus, "saga_payment_provider_calls_total == 0")
            await shop.order()
            await shop.seen(prometheus, "sum(rate(saga_payment_provider_calls_total[5s])) > 0")
            await shop.seen(prometheus, "saga_payment_provider_circuit_open == 1")


class _Shop:
    def __init__(self, layout: Layout, client: httpx.AsyncClient) -> None:
        self._layout = layout
        self._client = client

    async def stock(self) -> None:
        (await self._client.put(f"{self._layout.url('inventory')}/stock/p", json=SHELVES)).raise_for_status()

    async def order(self, **more: object) -> dict[str, Any]:
        body = {"userId": "ann", "items": [{"productId": "p", "quantity": 1, "price": 5}], **more}
        answer = await self._client.post(f"{self._layout.url('order')}/orders", json=body)
        assert answer.status_code == 201, answer.text
        placed: dict[str, Any] = answer.json()
        return placed

    async def orders(self, number: int) -> None:
        await asyncio.gather(*(self.order(mode=MODES[place % 2]) for place in range(number)))

    async def nonsense(self) -> None:
        """Ask for what is not there, and of the analytics what is."""
        assert (await self._client.get(f"{self._layout.url('order')}/sagas/nobody")).status_code == 404
        assert (await self._client.get(f"{self._layout.url('analytics')}/")).is_success

    async def kill(self, saga_id: str) -> None:
        answer = await self._client.post(f"{self._layout.url('order')}/sagas/{saga_id}/kill", json={"reason": "a test"})
        answer.raise_for_status()

    async def seen(self, prometheus: Prometheus, asks: str) -> None:
        """Return when Prometheus has seen it; the shop goes on meanwhile."""
        await asyncio.to_thread(prometheus.wait_for, asks)
