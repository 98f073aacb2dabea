"""What the shop needs of its brokers and its databases: topics and tables, compared or made."""

from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import Any, TypeVar

from onebox.opening import told
from onebox.wiring import ALL_TOPICS
from sagakit.hosting.process import quiet_libraries
from sagakit.hosting.settings import PlatformSettings, refuse_unknown
from sagakit.runtime.settings import read
from shop_contracts.topics import DEFAULT_PARTITIONS

T = TypeVar("T")


async def asked(environment: Mapping[str, str], ask: Callable[[], Awaitable[T]]) -> T:
    """Return what servers answer.

    Raises:
        BadInput: when a setting is wrong, or what is there is not as it has to be.
        Unreachable: when they do not answer.
    """
    quiet_libraries()
    with told(environment):
        refuse_unknown(environment)
        return await ask()


async def topics(
    environment: Mapping[str, str], partitions: int | None, replication: int, *, change: bool
) -> list[str]:
    """Return how the topics differ from what the services need, or when they are to `change`, what was done."""
    from sagakit.adapters.kafka import KafkaSettings
    from sagakit.adapters.kafka import topics as kafka

    specs = [
        kafka.TopicSpec.of(
            topic.name,
            partitions or DEFAULT_PARTITIONS,
            replication,
            keep_seconds=topic.keep_seconds,
            compacted=topic.compacted,
        )
        for topic in ALL_TOPICS
    ]
    settings = read(KafkaSettings, environment)
    return await (kafka.apply(settings, specs) if change else kafka.check(settings, specs))


async def tables(environment: Mapping[str, str], service: str, *, change: bool) -> list[str]:
    """Return what the schemas of a service lack, or when they are to `change`, what was added."""
    from sagakit.adapters.postgres import Address
    from sagakit.adapters.postgres.migration import migrate

    database = read(PlatformSettings, environment).checked().database_of(service)
    stores: Mapping[str, Any] = import_module(f"{service}_service.wiring").STORES
    return [
        text for schema, its in stores.items() for text in await migrate(Address(database, schema), its, dry=not change)
    ]
