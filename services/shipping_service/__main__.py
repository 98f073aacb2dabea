"""The shipping service as a process of its own, over SQLite."""

import os

from sagakit.adapters.sqlite import SqliteLog, SqliteStore
from sagakit.runtime.clock import SystemClock
from sagakit.runtime.process import run, until_told_to_stop
from sagakit.runtime.settings import read
from shipping_service.settings import ShippingSettings
from shipping_service.wiring import TABLES, build


async def main() -> None:
    """Serve until told to stop."""
    settings = read(ShippingSettings, os.environ)
    store = SqliteStore(settings.file("shipping"), TABLES)
    log = SqliteLog(settings.file("log"))
    async with build(settings, store, log, SystemClock()):
        await until_told_to_stop(settings)
    await store.close()
    await log.close()


if __name__ == "__main__":
    run(main)
