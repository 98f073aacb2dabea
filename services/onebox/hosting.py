"""A box under sagactl: started with a sentence when it cannot start, stocked, and run until somebody ends it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from onebox.answers import Stock
from onebox.box import Box, BoxError
from onebox.client import Shop, path_of
from onebox.demo import PRODUCTS, STOCK_QUANTITY
from onebox.errors import Unreachable
from onebox.layout import SERVICES, Layout
from onebox.settings import CtlSettings, ctl_settings

REMEDY = "its last lines say why; with other data: --data-dir, with none: --fresh"


@asynccontextmanager
async def hosted(
    directory: Path, layout: Layout, processes: int = 1, environment: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Box, Shop]]:
    """Run the services, and speak to them.

    Raises:
        Unreachable: when they do not become ready, or a process ends by itself.
    """
    settings = ctl_settings()
    own = CtlSettings({name: layout.url(name) for name in SERVICES}, settings.actor, settings.timeout_seconds)
    try:
        async with Box(directory, processes, environment or {}, layout) as box, Shop(own) as shop:
            yield box, shop
    except BoxError as error:
        raise Unreachable(str(error), REMEDY) from None
    except TimeoutError:
        raise Unreachable("the services did not become ready in time", REMEDY) from None


async def stock_up(shop: Shop) -> None:
    """Put stock on the shelves for the products that are not there yet."""
    there = {stock.product_id for stock in await shop.some("inventory", "/stock", "items", Stock)}
    for product in PRODUCTS:
        if product not in there:
            path = path_of("stock", product)
            await shop.send("PUT", "inventory", path, Stock, body={"quantity": STOCK_QUANTITY})


async def until_ended(box: Box) -> None:
    """Return when somebody ends sagactl by Ctrl-C or SIGTERM.

    Raises:
        BoxError: when a process ended by itself.
    """
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    watching = asyncio.create_task(box.watch())
    asked = asyncio.create_task(ended.wait())
    await asyncio.wait((watching, asked), return_when=asyncio.FIRST_COMPLETED)
    for task in (watching, asked):
        task.cancel()
    if ended.is_set():
        # Ctrl-C reaches the children too, so that they may have ended before we heard of it.
        with suppress(BoxError, asyncio.CancelledError):
            await watching
    else:
        await watching
