"""Waiting for news, and letting go."""

import asyncio

import pytest

from sagakit.ports import LogUnavailableError
from sagakit.testing.contracts.things import draft
from sagakit.testing.contracts.world import LONG_SECONDS, LogWorld


class WaitingContract:
    """What `wait` and `close` promise."""

    async def test_wait_returns_when_something_is_published(self, world: LogWorld) -> None:
        log, elsewhere = world.open(), world.open()
        for publisher in (log, elsewhere):
            waiting = asyncio.create_task(log.wait(LONG_SECONDS))
            await asyncio.sleep(0)
            await publisher.publish([draft("t", "k")])
            await asyncio.wait_for(waiting, LONG_SECONDS / 2)

    async def test_wait_wakes_everybody(self, world: LogWorld) -> None:
        log = world.open()
        waiting = [asyncio.create_task(log.wait(LONG_SECONDS)) for _ in range(3)]
        await asyncio.sleep(0)
        await log.publish([draft("t", "k")])
        await asyncio.wait_for(asyncio.gather(*waiting), LONG_SECONDS / 2)

    async def test_wait_returns_after_the_time(self, world: LogWorld) -> None:
        await asyncio.wait_for(world.open().wait(0.01), LONG_SECONDS)

    async def test_a_waiter_may_be_cancelled(self, world: LogWorld) -> None:
        log = world.open()
        waiting = asyncio.create_task(log.wait(LONG_SECONDS))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await log.publish([draft("t", "k")])

    async def test_a_closed_log_is_unavailable(self, world: LogWorld) -> None:
        log = world.open()
        waiting = asyncio.create_task(log.wait(LONG_SECONDS))
        await asyncio.sleep(0)
        await log.close()
        await asyncio.wait_for(waiting, LONG_SECONDS / 2)
        with pytest.raises(LogUnavailableError, match="closed"):
            await log.publish([draft("t", "k")])
        with pytest.raises(LogUnavailableError, match="closed"):
            await log.fetch({("t", 0): 0}, 1)
        await log.close()
