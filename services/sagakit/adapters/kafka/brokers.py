"""The brokers as one: who leads which partition, and requests to whoever it is."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from aiokafka import errors
from aiokafka.structs import TopicPartition

from sagakit.adapters.kafka.connection import Explanation, said
from sagakit.adapters.kafka.protocol import TopicSeen, topics_request
from sagakit.adapters.kafka.settings import KafkaSettings
from sagakit.ports import LogUnavailableError

Place = tuple[str, int]

T = TypeVar("T")

REFRESH_SECONDS = 2.0
PAUSE_SECONDS = 0.05

MISSING = errors.UnknownTopicOrPartitionError.errno
LEADERLESS = errors.LeaderNotAvailableError.errno
FORBIDDEN = errors.TopicAuthorizationFailedError.errno


class PassingError(LogUnavailableError):
    """What may be over in a moment: a partition that changes its leader, a broker that starts or is not reached."""


async def patiently(ask: Callable[[], Awaitable[T]], brokers: "Brokers", seconds: float | None = None) -> T:
    """Return what is answered once that what may pass is over; after `read_seconds`, or so many, it is raised."""
    ends_at = time.monotonic() + (brokers.read_seconds if seconds is None else seconds)
    while True:
        try:
            return await ask()
        except PassingError:
            if time.monotonic() >= ends_at:
                raise
            await brokers.refresh()
            await asyncio.sleep(PAUSE_SECONDS)


class Brokers:
    """A connected client; topics have the names that the port knows, and a prefix on the wire only."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - aiokafka has no types
        explanation: Explanation,
        settings: KafkaSettings,
    ) -> None:
        """Speak through this client, as the settings say; when no broker can be reached, `explanation` may tell why."""
        self._client = client
        self._prefix = settings.topic_prefix
        self._user = settings.user
        self._explanation = explanation
        self.read_seconds = settings.read_seconds
        self.closed = False

    def check_open(self) -> None:
        """Make sure that nobody connects again to what was let go.

        Raises:
            LogUnavailableError: when it was.
        """
        if self.closed:
            raise LogUnavailableError("the Kafka log is closed")

    def wire(self, name: str) -> str:
        """Return the name of a topic or a group as the brokers know it."""
        return self._prefix + name

    def name(self, wire: str) -> str:
        """Return the name of a topic as the port knows it."""
        return wire.removeprefix(self._prefix)

    async def topics(self, names: Iterable[str]) -> dict[str, TopicSeen]:
        """Return what these topics are; one that is missing or forbidden has its error."""
        request = topics_request([self.wire(name) for name in names])
        return {self.name(seen.name): seen for seen in await self.send(None, request)}

    def watch(self, names: Iterable[str]) -> None:
        """Learn who leads these topics, from now on."""
        for name in names:
            self._client.add_topic(self.wire(name))

    def leader(self, place: Place) -> int | None:
        """Return who leads a partition, as far as is known."""
        node: int | None = self._client.cluster.leader_for_partition(TopicPartition(self.wire(place[0]), place[1]))
        return None if node == -1 else node

    async def by_leader(self, places: Iterable[Place]) -> dict[int, list[Place]]:
        """Return the places of each broker.

        Raises:
            LogUnavailableError: when one has no leader.
        """
        found, leaderless = await self.split(places)
        if leaderless:
            raise self.trouble(leaderless[0], LEADERLESS)
        return found

    async def split(self, places: Iterable[Place]) -> tuple[dict[int, list[Place]], list[Place]]:
        """Return the places of each broker, and those without a leader, who were asked for once more."""
        places = [*places]
        strange = {place[0] for place in places if self.leader(place) is None}
        if strange:
            self.watch(strange)
            await self.refresh()
        found: dict[int, list[Place]] = defaultdict(list)
        leaderless: list[Place] = []
        for place in places:
            node = self.leader(place)
            if node is None:
                leaderless.append(place)
            else:
                found[node].append(place)
        return found, leaderless

    async def refresh(self) -> None:
        """Ask who leads what now; several who ask at a time ask once. A broker that hangs is not waited for."""
        self.check_open()
        with suppress(TimeoutError):
            async with asyncio.timeout(REFRESH_SECONDS):
                await self._client.force_metadata_update()

    def refresh_soon(self) -> None:
        """Have it asked in the background."""
        self._client.force_metadata_update()

    async def send(self, node: int | None, request: Any, channel: object = 0) -> Any:  # noqa: ANN401
        """Return the answer of a broker, any when none is named. What waits long has a channel of its own.

        Raises:
            PassingError: when there is none now: a broker may be named before it can be reached.
            LogUnavailableError: when there will be none.
        """
        self.check_open()
        if node is None:
            node = self._client.get_random_node()
        try:
            return await self._client.send(node, request, group=channel)
        except (errors.KafkaError, OSError) as error:
            self.refresh_soon()
            raise self.away(error) from error

    def trouble(self, place: Place, code: int) -> LogUnavailableError:
        """Return the error that a broker answered for a partition, as a sentence."""
        error = errors.for_code(code)
        where = f"{place[0]}-{place[1]}"
        text = f"{where}: {said(error())}"
        if code == MISSING:
            text = f"{where}: there is no such topic; run `sagactl topics apply`"
        if code == FORBIDDEN:
            return self.forbidden(f"topic {self.wire(place[0])}")
        return PassingError(text) if error.retriable else LogUnavailableError(text)

    def forbidden(self, what: str) -> LogUnavailableError:
        """Return that we lack a right, as a sentence."""
        return LogUnavailableError(f"user {self._user} is not allowed to; give it Read, Write and Describe on {what}")

    def away(self, error: errors.KafkaError | OSError) -> LogUnavailableError:
        """Return what a failed request means, and whether that may pass."""
        why = self._explanation.text() if isinstance(error, errors.NodeNotReadyError) else None
        kind = PassingError if isinstance(error, OSError) or error.retriable else LogUnavailableError
        return kind(f"Kafka is unavailable: {why or said(error)}")
