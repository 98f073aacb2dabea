"""The analytics service as a process of its own, over SQLite."""

import os
from pathlib import Path

from analytics_service.files import FileStores
from analytics_service.settings import AnalyticsSettings
from analytics_service.wiring import TABLES, build
from sagakit.adapters.sqlite import SqliteLog, SqliteStore
from sagakit.runtime.clock import SystemClock
from sagakit.runtime.process import run, until_told_to_stop
from sagakit.runtime.settings import read


async def main() -> None:
    """Serve until told to stop."""
    settings = read(AnalyticsSettings, os.environ)
    catalogue = SqliteStore(settings.file("analytics"), TABLES)
    log = SqliteLog(settings.file("log"))
    async with build(settings, catalogue, FileStores(Path(settings.data_dir)), log, SystemClock()):
        await until_told_to_stop(settings)
    await catalogue.close()
    await log.close()


if __name__ == "__main__":
    run(main)
