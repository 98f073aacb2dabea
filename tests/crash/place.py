"""Where a shop keeps its log and its books: in files of a directory, or on the servers that are named."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import inventory_service.wiring as inventory
import notification_service.wiring as notification
import order_service.wiring as order
import payment_service.wiring as payment
import shipping_service.wiring as shipping
from onebox.wiring import ALL_TOPICS
from payment_service.provider import BANK_TABLES
from sagakit.adapters.kafka import KafkaLog, KafkaSettings
from sagakit.adapters.kafka.topics import TopicSpec, apply
from sagakit.adapters.postgres import Address, PostgresStore
from sagakit.adapters.postgres.migration import migrate
from sagakit.adapters.sqlite import SqliteLog, SqliteStore
from sagakit.ports import Log, Store, Table

SPEED = 20
EPOCH_SECONDS = 1_750_000_000
"""From here on the hasty clock runs, where no server has a clock of its own; every process agrees."""
PARTITIONS = 2
TOPICS = [topic.name for topic in ALL_TOPICS]
TABLES: Mapping[str, Sequence[Table[Any]]] = {
    "order": order.TABLES,
    "payment": payment.TABLES,
    "bank": BANK_TABLES,
    "inventory": inventory.TABLES,
    "shipping": shipping.TABLES,
    "notification": notification.TABLES,
}
FILES_IDLE_SECONDS = 0.006
SERVERS_IDLE_SECONDS = 0.02
"""How long a loop rests that had nothing to do: an answer from a server takes longer than one from a file."""


class HastyClock:
    """Twenty seconds in each second, across restarts; every third chance is a bad one, and so are the first ones."""

    def __init__(self, since: float = EPOCH_SECONDS, bad_chances: int = 0) -> None:
        self._since = since
        self._bad_chances = bad_chances
        self._draws = count()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._since + (time.time() - self._since) * SPEED, UTC)

    def chance(self) -> float:
        draw = next(self._draws)
        return 0.9 if draw % 3 and draw >= self._bad_chances else 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / SPEED)


@dataclass(frozen=True, slots=True)
class Premises:
    """The log and the stores of a shop, open."""

    clock: HastyClock
    log: Log
    stores: Mapping[str, Store]
    idle_seconds: float

    async def close(self) -> None:
        for store in self.stores.values():
            await store.close()
        await self.log.close()


@dataclass(frozen=True, slots=True)
class Place:
    """Where each process of a shop finds the same log and the same books. What is not on a server is in files.

    Brokers date what they take by their own clock, so there the hasty clock begins at the present. Each process has
    that many bad chances before any other.
    """

    directory: Path
    kafka: KafkaSettings | None = None
    database_url: str = ""
    since: float = EPOCH_SECONDS
    bad_chances: int = 0

    @property
    def is_in_files(self) -> bool:
        """True when no server is needed."""
        return self.kafka is None and not self.database_url

    async def prepare(self) -> None:
        """Make the topics and the schemas on the servers."""
        if self.kafka is not None:
            await apply(self.kafka, [TopicSpec.of(topic, PARTITIONS, 1) for topic in TOPICS])
        if self.database_url:
            for name, tables in TABLES.items():
                await migrate(Address(self.database_url, name), tables)

    async def open(self) -> Premises:
        clock = HastyClock(self.since, self.bad_chances)
        stores = {name: self._store(name, tables) for name, tables in TABLES.items()}
        idle_seconds = FILES_IDLE_SECONDS if self.is_in_files else SERVERS_IDLE_SECONDS
        return Premises(clock, await self._log(clock.now), stores, idle_seconds)

    async def _log(self, now: Callable[[], datetime]) -> Log:
        if self.kafka is None:
            return SqliteLog(self.directory / "log.db", PARTITIONS, now=now)
        return await KafkaLog.open(self.kafka, TOPICS)

    def _store(self, name: str, tables: Sequence[Table[Any]]) -> Store:
        if self.database_url:
            return PostgresStore(Address(self.database_url, name), tables)
        return SqliteStore(self.directory / f"{name}.db", tables)
