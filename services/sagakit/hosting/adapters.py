"""The adapters of one process: a log in Kafka or in a file, stores in PostgreSQL or in files, as the environment says.

The libraries of servers are imported where they are asked for, so that one machine needs none of them.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sagakit.adapters.sqlite import SqliteLog, SqliteStore
from sagakit.hosting.settings import (
    DATABASE,
    KAFKA,
    TRACES_CA,
    PlatformSettings,
    headers_in,
    refuse_unknown,
    with_opentelemetry,
)
from sagakit.ports import Clock, Log, Store, StoreUnavailableError, Table
from sagakit.runtime.clock import SystemClock
from sagakit.runtime.metrics import exported
from sagakit.runtime.service import Service
from sagakit.runtime.settings import SettingsError, read
from sagakit.runtime.witness import SYSTEM

if TYPE_CHECKING:
    from sagakit.adapters.otel import OtlpSpans


class Closing(Protocol):
    """Whatever holds something that has to be let go."""

    async def close(self) -> None:
        """Let go of it."""


C = TypeVar("C", bound=Closing)


class NumberedStores(Protocol):
    """Stores of one kind that come and go, told apart by a number."""

    def open(self, version: int) -> Store:
        """Open the store of that number, and make it when it is missing."""

    async def drop(self, version: int) -> None:
        """Remove a store and all that is in it; nobody has it open."""


@dataclass(slots=True)
class Adapters:
    """What the services of one process share. Whoever opened it closes everything that was opened through it."""

    environment: Mapping[str, str]
    settings: PlatformSettings
    log: Log
    clock: Clock = field(default_factory=SystemClock)
    spans: "OtlpSpans | None" = None
    """Where spans go, if they go anywhere."""
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def store(
        self,
        service: str,
        tables: Iterable[Table[Any]],
        name: str = "",
    ) -> Store:
        """Open a store of a service, closed in the end; `name` tells it from the service's others.

        Raises:
            StoreUnavailableError: when it cannot be reached.
            WrongFileError, WrongDatabaseError: when it is not what this program needs.
        """
        name = name or service
        if not self.settings.database_url:
            file = SqliteStore(self.settings.file(name), tables)
            self._stack.push_async_callback(file.close)
            return file
        from sagakit.adapters.postgres import Address, PostgresStore, WrongDatabaseError

        store = PostgresStore(Address(self.settings.database_of(service), name), tables)
        self._stack.push_async_callback(store.close)
        try:
            await store.check()
        except WrongDatabaseError:
            raise
        except StoreUnavailableError as error:
            raise StoreUnavailableError(f"{error}; look at {DATABASE}, and whether the server runs") from error
        return store

    def closing(self, opened: C) -> C:
        """Have something closed in the end, before the stores that were opened earlier."""
        self._stack.push_async_callback(opened.close)
        return opened

    def watch(self, service: Service) -> Service:
        """Have what the service does be seen from outside; before it starts."""
        system = "kafka" if self.settings.kafka else SYSTEM
        service.seen.witness.system = system
        if self.spans is not None:
            from sagakit.adapters.otel import by_ratio

            service.trace(self.spans, by_ratio(self.settings.traces_sample), system)
            service.sampled.append(partial(exported, self.spans))
        return service

    def schemas(self, service: str, tables: Iterable[Table[Any]]) -> NumberedStores | None:
        """Return the numbered stores of a service in its database, or None where stores are files."""
        if not self.settings.database_url:
            return None
        return _Schemas(self.settings.database_of(service), service, tuple(tables))


@asynccontextmanager
async def opened(environment: Mapping[str, str], topics: Iterable[str]) -> AsyncIterator[Adapters]:
    """Open the log that the environment names, which has these topics, and what else is asked for.

    Raises:
        SettingsError: when a variable means nothing.
        LogUnavailableError, StoreUnavailableError: when a server cannot be reached, or is not as it has to be.
        WrongFileError: when a file belongs to something else.
    """
    environment = with_opentelemetry(named(environment))
    refuse_unknown(environment)
    settings = read(PlatformSettings, environment).checked()
    async with AsyncExitStack() as stack:
        log = await open_log(settings, environment, topics)
        stack.push_async_callback(log.close)
        spans = open_spans(settings)
        if spans is not None:
            stack.push_async_callback(spans.close)
        yield Adapters(environment, settings, log, spans=spans, _stack=stack)


def open_spans(settings: PlatformSettings) -> "OtlpSpans | None":
    """Begin to send spans, where there is a collector; it need not be there yet.

    Raises:
        SettingsError: when the file with the certificates that are trusted cannot be read.
    """
    if not settings.traces_endpoint:
        return None
    from sagakit.adapters.otel import OtlpSpans

    try:
        trusted = ssl.create_default_context(cafile=settings.traces_ca_file) if settings.traces_ca_file else None
    except OSError as error:
        rule = "expected a file with certificates in PEM"
        raise SettingsError(f"{TRACES_CA}={settings.traces_ca_file}: {rule}, not: {error}") from error
    spans = OtlpSpans(settings.traces_endpoint, headers=headers_in(settings.traces_headers), trusted=trusted)
    spans.start()
    return spans


async def open_log(settings: PlatformSettings, environment: Mapping[str, str], topics: Iterable[str]) -> Log:
    """Open the log alone.

    Raises:
        SettingsError: when a variable means nothing, or contradicts another.
        LogUnavailableError: when the brokers cannot be reached, or topics are missing.
        WrongFileError: when the file belongs to something else.
    """
    if not environment.get(KAFKA):
        return SqliteLog(settings.file("log"), settings.partitions)
    from sagakit.adapters.kafka import KafkaLog, KafkaSettings, WrongSettingsError

    try:
        return await KafkaLog.open(read(KafkaSettings, environment), topics)
    except WrongSettingsError as error:
        raise SettingsError(str(error)) from error


def named(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment with a name for this instance: beside others, it is that of its host."""
    if environment.get("SAGAPLANE_INSTANCE") or not environment.get(KAFKA):
        return environment
    return {**environment, "SAGAPLANE_INSTANCE": socket.gethostname()}


@dataclass(frozen=True, slots=True)
class _Schemas:
    url: str
    service: str
    tables: tuple[Table[Any], ...]

    def open(self, version: int) -> Store:
        from sagakit.adapters.postgres import Address, PostgresStore

        return PostgresStore(Address(self.url, self._name(version)), self.tables, make=True)

    async def drop(self, version: int) -> None:
        from sagakit.adapters.postgres import Address
        from sagakit.adapters.postgres.migration import drop

        await drop(Address(self.url, self._name(version)))

    def _name(self, number: int) -> str:
        return f"{self.service}_{number}"
