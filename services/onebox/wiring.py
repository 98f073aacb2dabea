"""The services of one process of the box, put together by hand: settings, adapters, services."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import analytics_service.wiring as analytics
import inventory_service.wiring as inventory
import notification_service.wiring as notification
import order_service.wiring as order
import payment_service.wiring as payment
import shipping_service.wiring as shipping
from sagakit.hosting import Adapters, opened
from sagakit.runtime.service import Service
from shop_contracts.access import ACCESS, listener
from shop_contracts.order_saga import ORDER
from shop_contracts.topics import TOPICS, topics_of

HOSTS: Mapping[str, Callable[[Adapters], Awaitable[Service]]] = {
    "order": order.host,
    "payment": payment.host,
    "inventory": inventory.host,
    "shipping": shipping.host,
    "notification": notification.host,
    "analytics": analytics.host,
}
ALL_TOPICS = (*TOPICS, *topics_of("notification"))
"""Those of the shop, and those of the service that the shop does not know of."""
ALL_ACCESS = {**ACCESS, "notification": listener("notification", ORDER.events_topic)}


@asynccontextmanager
async def build_services(names: Iterable[str]) -> AsyncIterator[list[Service]]:
    """Run these services over the adapters that the environment names: without any, files in its data directory."""
    async with AsyncExitStack() as stack:
        adapters = await stack.enter_async_context(opened(os.environ, [topic.name for topic in ALL_TOPICS]))
        services = [adapters.watch(await HOSTS[name](adapters)) for name in names]
        for service in services:
            await stack.enter_async_context(service)
        yield services
