"""A Kafka log for the contract: topics of its own, on real brokers, and time that really passes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from uuid import uuid4

from aiokafka import errors
from aiokafka.client import CoordinationType
from aiokafka.protocol.types import Array, Int16, Schema, String

from sagakit.adapters.kafka import KafkaLog, KafkaSettings
from sagakit.adapters.kafka.connection import new_client
from sagakit.adapters.kafka.protocol import Answer, Request
from sagakit.adapters.kafka.specs import TopicSpec
from sagakit.adapters.kafka.topics import apply
from sagakit.ports import LogUnavailableError

TOPICS = ("t", "u", "missing")
GROUPS = ("g", "h")
PARTITIONS = 4
LEASE_SECONDS = 2.5
PUBLISH_SECONDS = 20.0
LOGS = 3
STABLE_SECONDS_MAX = 20.0
STARTING = "Starting"
CALM = {"Stable", "Empty", "Dead"}

_GROUPS = Schema(("groups", Array(String("utf-8"))))


@dataclass
class KafkaWorld:
    """Keeps the promises of `LogWorld`. Opening takes a while, so a few logs are open already."""

    settings: KafkaSettings
    client: Any
    waiting: list[KafkaLog]
    opened: list[KafkaLog] = field(default_factory=list)

    @property
    def lease_seconds(self) -> float:
        return self.settings.session_seconds

    def open(self) -> KafkaLog:
        self.opened.append(self.waiting.pop())
        return self.opened[-1]

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def pass_by(self, seconds: float) -> None:
        """Sleep, for once: brokers have clocks of their own. What outlasts every lease is one and a half of them."""
        await asyncio.sleep(max(0.01, min(seconds, 1.5 * self.lease_seconds)))
        await self.calm()

    async def calm(self) -> None:
        """Wait until the brokers have divided every group."""
        async with asyncio.timeout(STABLE_SECONDS_MAX):
            for group in GROUPS:
                while await self._state(self.settings.topic_prefix + group) not in CALM:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        await asyncio.sleep(0.05)

    async def _state(self, group: str) -> str:
        try:
            node = await self.client.coordinator_lookup(CoordinationType.GROUP, group)
        except errors.GroupCoordinatorNotAvailableError:
            return STARTING
        request = Request(15, 0, _GROUPS.encode(([group],)), Answer(_state))
        state: str = await self.client.send(node, request)
        return state


def _state(buffer: BytesIO) -> str:
    buffer.read(4)
    Int16.decode(buffer)
    String("utf-8").decode(buffer)
    return String("utf-8").decode(buffer) or ""


async def _apply_once_it_serves(settings: KafkaSettings, specs: Sequence[TopicSpec]) -> None:
    """Make topics on a broker that a test may have stopped: it serves once its own controller trusts it again."""
    async with asyncio.timeout(STABLE_SECONDS_MAX):
        while True:
            try:
                await apply(settings, specs)
            except LogUnavailableError:
                await asyncio.sleep(0.1)
            else:
                return


@asynccontextmanager
async def kafka_world(bootstrap_servers: str, logs: int = LOGS) -> AsyncIterator[KafkaWorld]:
    """Offer a world with an empty log on these brokers."""
    asked = KafkaSettings(
        bootstrap_servers=bootstrap_servers,
        topic_prefix=f"t{uuid4().hex[:8]}-",
        session_seconds=LEASE_SECONDS,
        publish_seconds=PUBLISH_SECONDS,
    )
    await _apply_once_it_serves(asked, [TopicSpec.of(topic, PARTITIONS, 1) for topic in TOPICS])
    client = new_client(asked, "world")
    await client.bootstrap()
    opened = [await KafkaLog.open(asked, TOPICS) for _ in range(logs)]
    try:
        world = KafkaWorld(asked, client, [*opened])
        await world.calm()
        yield world
    finally:
        for log in opened:
            await log.close()
        await client.close()
