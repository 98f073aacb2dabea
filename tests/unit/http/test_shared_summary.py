"""However many dashboards wake at once, the service looks once."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta

import pytest
from tests.analytics.running import Running

from sagakit.ports import LogUnavailableError

WATCHERS = 5
TURNS = 200


@pytest.fixture
async def shop() -> AsyncIterator[Running]:
    made = Running()
    async with made.client:
        await made.hear()
        yield made


class Looks:
    """The log as the dashboards see it: it lets them wait, and counts how often it was asked."""

    def __init__(self, shop: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ends = shop.log.ends
        self.asked = 0
        self.answers = asyncio.Event()
        self.error: Exception | None = None
        monkeypatch.setattr(shop.log, "ends", self.look)

    async def look(self, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        self.asked += 1
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        return await self.ends(topics)


async def watching(shop: Running) -> list[asyncio.Task[str]]:
    """Open streams in one step, and let each come as far as it can."""

    async def watch() -> str:
        return (await shop.client.get("/analytics/stream")).text

    streams = [asyncio.create_task(watch()) for _ in range(WATCHERS)]
    for _ in range(TURNS):
        await asyncio.sleep(0)
    return streams


async def texts(shop: Running, looks: Looks, streams: Iterable[asyncio.Task[str]]) -> list[str]:
    shop.service.runner.stop.set()
    looks.answers.set()
    async with asyncio.timeout(10):
        return [await stream for stream in streams]


async def test_streams_that_wake_together_share_one_summary(shop: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(shop, monkeypatch)
    told = await texts(shop, looks, await watching(shop))
    assert looks.asked == 1
    assert len(set(told)) == 1
    assert told[0].startswith("event: summary\ndata: {")


async def test_who_goes_away_does_not_take_the_summary_from_the_others(
    shop: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = Looks(shop, monkeypatch)
    first, *others = await watching(shop)
    first.cancel()
    await asyncio.wait([first], timeout=10)
    told = await texts(shop, looks, others)
    assert looks.asked == 2
    assert all(text.startswith("event: summary\n") for text in told)


async def test_what_could_not_be_seen_is_told_to_all_and_looked_for_again(
    shop: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = Looks(shop, monkeypatch)
    looks.error = LogUnavailableError("the log is away")
    assert await texts(shop, looks, await watching(shop)) == [": the log is away\n\n"] * WATCHERS
    assert looks.asked == 1
    looks.error = None
    shop.clock.moment += timedelta(seconds=1)
    shop.service.runner.stop.clear()
    told = await texts(shop, looks, await watching(shop))
    assert all(text.startswith("event: summary\n") for text in told)
    assert looks.asked == 2
