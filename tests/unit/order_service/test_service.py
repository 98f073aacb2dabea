"""The order service as a whole: every loop runs, and it stops at once."""

import asyncio
import time

import httpx
from tests.unit.order_service.shop import HandClock, an_order, make_shop

from order_service.settings import OrderSettings
from order_service.wiring import TABLES, build
from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.runtime.clock import SystemClock
from sagakit.runtime.wire import draft

STOPPED_SECONDS_MAX = 3.0
DONE_SECONDS_MAX = 10.0


async def test_an_order_by_message_is_answered_by_events_and_the_service_stops_without_waiting_for_its_loops() -> None:
    clock = SystemClock()
    store, log = MemoryStore(TABLES), MemoryLog(clock)
    shop = make_shop(HandClock())
    async with build(OrderSettings(port=0), store, log, clock) as service, asyncio.timeout(DONE_SECONDS_MAX):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}") as client:
            await log.publish([draft("payments.events", shop.message("PaymentFailed", "order-7"))])
            await log.publish([draft("order.commands", shop.create_order("order-7", **an_order()))])
            while (answer := await client.get("/orders/order-7")).json().get("status") != "cancelled":
                await log.wait(0.02)
        assert answer.json()["cancellationReason"] == "DECLINED"
        stopped_at = time.monotonic()
    assert time.monotonic() - stopped_at < STOPPED_SECONDS_MAX
