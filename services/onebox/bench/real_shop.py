"""The shop on Kafka and PostgreSQL, as it is measured: over fresh databases and topics, CPU told apart by process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from onebox.bench.load import Load
from onebox.bench.scenarios import QUIET
from onebox.bench.servers import Servers, process_cpu
from onebox.box import Box
from onebox.layout import Layout
from onebox.wiring import ALL_TOPICS
from order_service.wiring import TABLES
from sagakit.adapters.kafka import KafkaSettings
from sagakit.adapters.kafka import topics as kafka
from sagakit.adapters.postgres import Address, PostgresStore
from sagakit.adapters.postgres.migration import migrate

OFFSET = 21_000
IN_FLIGHT_MAX = 2_000
WARM_ORDERS = 5_000


@dataclass(slots=True)
class RealBench:
    """How much is measured, and upon what."""

    servers: Servers
    directory: Path
    orders: int
    processes: int
    partitions: int
    seed: int
    without: frozenset[str]
    traces: tuple[float, ...] = (0.0, 0.01, 1.0)
    collector: str = "collector"
    rounds: int = 9
    per_second: int = 500
    run: int = 0

    @asynccontextmanager
    async def running(
        self, rates: dict[str, str], without: frozenset[str] = frozenset(), kind: type[Box] = Box
    ) -> AsyncIterator[tuple[Box, Load]]:
        """Run the services over empty databases and topics, with full shelves."""
        await self.servers.forget(self.prefix)
        self.run += 1
        await self.servers.fresh(self.prefix)
        await prepare(self.database_url, self.kafka(), self.partitions)
        async with self.again(rates, without, kind) as box:
            store = PostgresStore(self.address("order"), TABLES)
            load = Load(box.layout.url("order"), box.layout.url("inventory"), store, self.seed)
            try:
                await load.stock()
                yield box, load
            finally:
                await load.client.aclose()
                await store.close()

    @asynccontextmanager
    async def again(
        self, rates: dict[str, str], without: frozenset[str] = frozenset(), kind: type[Box] = Box
    ) -> AsyncIterator[Box]:
        """Run the services over the databases and topics of the run before."""
        environment = {
            **QUIET,
            **rates,
            "SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS": self.servers.brokers,
            "SAGAPLANE_KAFKA_TOPIC_PREFIX": f"{self.prefix}.",
            "SAGAPLANE_DATABASE_URL": self.database_url,
            "SAGAPLANE_INSTANCE": "0",
        }
        async with kind(self.directory, self.processes, environment, Layout(OFFSET, self.without | without)) as box:
            yield box

    @property
    def prefix(self) -> str:
        """What the databases and topics of this run begin with."""
        return f"b{self.run}"

    @property
    def database_url(self) -> str:
        """The databases of this run."""
        return self.servers.database_url(self.prefix)

    def address(self, service: str) -> Address:
        """Return the database of a service."""
        return Address(self.database_url.replace("{service}", service), service)

    def kafka(self) -> KafkaSettings:
        """Return how the log of this run is reached."""
        return KafkaSettings(bootstrap_servers=self.servers.brokers, topic_prefix=f"{self.prefix}.")


async def prepare(url: str, settings: KafkaSettings, partitions: int) -> None:
    """Make all topics and schemas."""
    from importlib import import_module

    specs = [
        kafka.TopicSpec.of(t.name, partitions, 1, keep_seconds=t.keep_seconds, compacted=t.compacted)
        for t in ALL_TOPICS
    ]
    await kafka.apply(settings, specs)
    for name in ("order", "payment", "inventory", "shipping", "notification", "analytics"):
        for schema, tables in import_module(f"{name}_service.wiring").STORES.items():
            await migrate(Address(url.replace("{service}", name), schema), tables)


async def used(bench: RealBench, box: Box) -> dict[str, float]:
    """Return the CPU seconds of every process so far."""
    spread = box.layout.spread(box.processes)
    ours = {"+".join(names): process_cpu(child.pid) for names, child in zip(spread, box.children, strict=True)}
    return {**ours, **await bench.servers.cpu_seconds()}
