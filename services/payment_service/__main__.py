"""The payment service as a process of its own, over SQLite, with the built-in bank."""

import os

from payment_service.provider import BANK_TABLES
from payment_service.settings import PaymentSettings
from payment_service.wiring import TABLES, build, open_bank
from sagakit.adapters.sqlite import SqliteLog, SqliteStore
from sagakit.runtime.clock import SystemClock
from sagakit.runtime.process import run, until_told_to_stop
from sagakit.runtime.settings import read


async def main() -> None:
    """Serve until told to stop."""
    settings, clock = read(PaymentSettings, os.environ), SystemClock()
    store = SqliteStore(settings.file("payment"), TABLES)
    vault = SqliteStore(settings.file("bank"), BANK_TABLES)
    log = SqliteLog(settings.file("log"))
    async with build(settings, store, log, clock, open_bank(settings, vault, clock)):
        await until_told_to_stop(settings)
    await store.close()
    await vault.close()
    await log.close()


if __name__ == "__main__":
    run(main)
