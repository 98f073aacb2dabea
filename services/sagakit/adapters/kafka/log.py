"""An event log in the topics of a Kafka cluster."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from sagakit.adapters.kafka.background import Background
from sagakit.adapters.kafka.brokers import FORBIDDEN, Brokers, Place, patiently
from sagakit.adapters.kafka.connection import Explanation, new_client, probe, start, stop
from sagakit.adapters.kafka.coordinator import Coordinator
from sagakit.adapters.kafka.membership import KafkaMembership
from sagakit.adapters.kafka.offsets import END, offsets_at, prune
from sagakit.adapters.kafka.protocol import TopicSeen, topics_request
from sagakit.adapters.kafka.publisher import Publisher
from sagakit.adapters.kafka.reader import Reader
from sagakit.adapters.kafka.settings import KafkaSettings
from sagakit.adapters.kafka.specs import WrongTopicsError
from sagakit.ports import Draft, Membership, Record

REMEDY = "run `sagactl topics apply`"


@dataclass
class _Shared:
    """What the readers of one process have in common."""

    settings: KafkaSettings
    client: Any
    brokers: Brokers
    explanation: Explanation
    publisher: Publisher
    background: Background
    partitions: int
    readers: list[Reader] = field(default_factory=list)


class KafkaLog:
    """Keeps the promises of `Log`, for one reader."""

    def __init__(self, shared: _Shared, *, whole: bool = True) -> None:
        """Be the first reader, as `open` makes it, or one more."""
        self._shared = shared
        self._whole = whole
        self._reader = Reader(shared.brokers)
        shared.readers.append(self._reader)

    @classmethod
    async def open(cls, settings: KafkaSettings, topics: Iterable[str]) -> Self:
        """Connect, and make sure that these topics are there and have the same number of partitions.

        Raises:
            WrongSettingsError: when the settings cannot be right.
            WrongTopicsError: when topics are missing or unequal.
            LogUnavailableError: when no broker lets us in.
        """
        topics = sorted(topics)
        seen = await probe(settings, topics_request([settings.topic_prefix + topic for topic in topics]))
        partitions = _common_partitions(seen, settings)
        client, explanation = new_client(settings, "log"), Explanation(settings)
        try:
            await start(client, settings)
            brokers = Brokers(client, explanation, settings)
            brokers.watch(topics)
            await brokers.refresh()
        except BaseException:
            await stop(client)
            raise
        publisher = Publisher(brokers, partitions, settings.publish_seconds)
        return cls(_Shared(settings, client, brokers, explanation, publisher, Background(settings), partitions))

    @property
    def partitions(self) -> int:
        return self._shared.partitions

    async def publish(self, drafts: Sequence[Draft]) -> None:
        self._check_open()
        if drafts:
            await self._shared.publisher.publish(drafts)
            for reader in self._shared.readers:
                reader.ring()

    async def fetch(self, positions: Mapping[Place, int], limit: int) -> list[Record]:
        return await self._reader.fetch(positions, limit)

    async def ends(self, topics: Iterable[str]) -> dict[Place, int]:
        self._check_open()
        return await offsets_at(self._shared.brokers, self._places(topics), END)

    async def identities(self, topics: Iterable[str]) -> dict[str, str]:
        self._check_open()
        wanted, brokers = [*topics], self._shared.brokers
        seen = await patiently(lambda: brokers.topics(wanted), brokers)
        for topic, found in seen.items():
            if found.error:
                raise brokers.trouble((topic, 0), found.error)
        return {topic: urlsafe_b64encode(found.id).decode().rstrip("=") for topic, found in seen.items()}

    async def join(self, group: str, member: str, topics: Iterable[str]) -> Membership:
        self._check_open()
        shared, wanted = self._shared, tuple(sorted(topics))

        async def connect() -> Coordinator:
            return Coordinator(
                await shared.background.client(),
                prefix=shared.settings.topic_prefix,
                group=group,
                name=member,
                topics=wanted,
                partitions=shared.partitions,
                session_seconds=shared.settings.session_seconds,
                explanation=Explanation(shared.settings),
            )

        membership = KafkaMembership(shared.background, connect, shared.settings.session_seconds)
        await membership.join()
        return membership

    def for_reader(self) -> "KafkaLog":
        return KafkaLog(self._shared, whole=False)

    async def wait(self, seconds: float) -> None:
        await self._reader.wait(seconds)

    async def prune(self, topic: str, older_than: datetime) -> int:
        self._check_open()
        return await prune(self._shared.brokers, self._places([topic]), int(older_than.timestamp() * 1000))

    async def close(self) -> None:
        """Let go of the brokers, for all readers, when this is the log that was opened."""
        shared = self._shared
        if not self._whole:
            await self._reader.close()
            shared.readers = [reader for reader in shared.readers if reader is not self._reader]
        if not self._whole or shared.brokers.closed:
            return
        shared.brokers.closed = True
        await asyncio.gather(*(reader.close() for reader in shared.readers))
        await shared.background.close()
        await shared.explanation.close()
        await stop(shared.client)

    def _places(self, topics: Iterable[str]) -> list[Place]:
        return [(topic, partition) for topic in topics for partition in range(self._shared.partitions)]

    def _check_open(self) -> None:
        self._shared.brokers.check_open()


def _common_partitions(topics: Sequence[TopicSeen], settings: KafkaSettings) -> int:
    """Return how many partitions each topic has.

    Raises:
        WrongTopicsError: when one is missing, not to be seen, or has another number than the others.
    """
    forbidden = [topic.name for topic in topics if topic.error == FORBIDDEN]
    if forbidden:
        raise WrongTopicsError(
            f"user {settings.user} may not see {', '.join(forbidden)}: give it Read, Write and Describe on these topics"
        )
    missing = [topic.name for topic in topics if topic.error]
    if missing:
        raise WrongTopicsError(f"no such topic: {', '.join(missing)}; {REMEDY}")
    counts = {topic.partitions for topic in topics}
    if len(counts) != 1:
        named = ", ".join(f"{topic.name} has {topic.partitions}" for topic in topics)
        raise WrongTopicsError(f"all topics need the same number of partitions: {named or 'none was asked for'}")
    return counts.pop()
