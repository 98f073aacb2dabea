#!/usr/bin/env python3
"""Wait until a service can start: its brokers, topics and tables are there. `wait.py SERVICE SECONDS`.

Ends with 1 when they are not in time; what is missing is said when it changes.
"""

import asyncio
import logging
import os
import sys
import time
from importlib import import_module

from onebox.wiring import ALL_TOPICS
from sagakit.adapters.postgres import Address
from sagakit.adapters.postgres.migration import migrate
from sagakit.hosting import opened
from sagakit.hosting.process import TOLD, quiet_libraries
from sagakit.hosting.settings import PlatformSettings
from sagakit.runtime.settings import read

LOOK_SECONDS = 2.0
ANSWER_SECONDS_MAX = 60.0
"""The database answers later while another changes its tables, and does not say so."""

log = logging.getLogger("wait")


async def missing(service: str, seconds: float) -> str:
    """Return what the service still lacks, or nothing; first what is the cheapest to ask."""
    try:
        async with asyncio.timeout(seconds):
            url = read(PlatformSettings, os.environ).checked().database_of(service)
            for schema, tables in import_module(f"{service}_service.wiring").STORES.items():
                if url and (lacks := await migrate(Address(url, schema), tables, dry=True)):
                    return f"lacking in {lacks[0]}"
            async with opened(os.environ, [topic.name for topic in ALL_TOPICS]):
                return ""
    except TOLD as error:
        return str(error)
    except TimeoutError:
        return "no answer in time: perhaps the tables are being changed, or a server hangs"


async def wait(service: str, seconds: float) -> int:
    """Return 0 when nothing is missing any more, 1 when that took too long."""
    until, said = time.monotonic() + seconds, ""
    while lacks := await missing(service, min(max(until - time.monotonic(), LOOK_SECONDS), ANSWER_SECONDS_MAX)):
        if lacks != said:
            log.warning("%s", lacks)
            said = lacks
        if time.monotonic() > until:
            log.error("given up after %.0f s", seconds)
            return 1
        await asyncio.sleep(LOOK_SECONDS)
    return 0


quiet_libraries()
sys.exit(asyncio.run(wait(sys.argv[1], float(sys.argv[2]))))
