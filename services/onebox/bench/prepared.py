"""What the figures of the analytics begin with: a log that is there already, and the service alone over one."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from onebox.bench.events import Traffic, write
from onebox.bench.load import LoadError
from onebox.bench.scenarios import OFFSET, Bench
from onebox.box import Box
from onebox.layout import SERVICES, Layout

SECONDS_MAX = 3600.0
LOOK_SECONDS = 0.1
ALONE = frozenset(SERVICES) - {"analytics"}


async def log_of(bench: Bench, traffic: Traffic) -> Path:
    """Return the file of a log with this traffic; it is written once in a run."""
    path = bench.directory.absolute() / f"log-{hash(traffic):x}.db"
    if not path.exists():
        await write(traffic, path)
    return path


@dataclass(frozen=True, slots=True)
class Serving:
    """The analytics service, alone in its process, and a client of it."""

    directory: Path
    client: httpx.AsyncClient

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return what it answers."""
        answer = await self.client.get(path, params=params)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    async def versions(self) -> list[dict[str, Any]]:
        """Return the versions of the views, the newest first."""
        found: list[dict[str, Any]] = (await self.get("/analytics/versions"))["versions"]
        return found

    async def until_live(self, version: int) -> float:
        """Return how many seconds it took until a version was live and had handled everything."""
        began = time.perf_counter()
        while (seconds := time.perf_counter() - began) < SECONDS_MAX:
            for found in await self.versions():
                live = found["version"] == version and found["state"] == "live"
                if live and found["eventsHandled"] == found["eventsTotal"]:
                    return seconds
            await asyncio.sleep(LOOK_SECONDS)
        raise LoadError(f"version {version} of the views is not live after {SECONDS_MAX:.0f} s")


@asynccontextmanager
async def serving(bench: Bench, log: Path) -> AsyncIterator[Serving]:
    """Run the analytics service over a log, with new views."""
    layout = Layout(OFFSET, ALONE)
    with TemporaryDirectory(dir=bench.directory) as directory:
        (Path(directory) / "log.db").symlink_to(log)
        async with (
            Box(Path(directory), 1, {}, layout),
            httpx.AsyncClient(base_url=layout.url("analytics"), timeout=60) as client,
        ):
            yield Serving(Path(directory), client)
