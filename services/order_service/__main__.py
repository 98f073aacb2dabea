"""The order service as a process of its own, over SQLite."""

import os

from order_service.settings import OrderSettings
from order_service.wiring import TABLES, build
from sagakit.adapters.sqlite import SqliteLog, SqliteStore
from sagakit.runtime.clock import SystemClock
from sagakit.runtime.process import run, until_told_to_stop
from sagakit.runtime.settings import read


async def main() -> None:
    """Serve until told to stop."""
    settings = read(OrderSettings, os.environ)
    store = SqliteStore(settings.file("order"), TABLES)
    log = SqliteLog(settings.file("log"))
    async with build(settings, store, log, SystemClock()):
        await until_told_to_stop(settings)
    await store.close()
    await log.close()


if __name__ == "__main__":
    run(main)
