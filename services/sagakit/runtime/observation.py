"""What can be seen of one service from outside: what it counted, what is measured at a scrape, and its spans."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version

from sagakit.core.definition import Saga
from sagakit.core.traces import Chosen, begin
from sagakit.ports import Clock, Log, LogUnavailableError, OffsetOutOfRangeError, Store, StoreUnavailableError
from sagakit.runtime.catalogue import BUILD_INFO, DUPLICATES, SENT, STEP_ATTEMPTS
from sagakit.runtime.consumer import Consumer, Handler, require_known_partitions
from sagakit.runtime.definitions import Definitions
from sagakit.runtime.gauges import lag_gauges, outbox_gauges, parked_gauges, partition_gauges, saga_gauges
from sagakit.runtime.lease import Lease
from sagakit.runtime.live_sagas import LiveSagas
from sagakit.runtime.metrics import Sample, buried
from sagakit.runtime.open_letters import OpenLetters
from sagakit.runtime.participant import Participant
from sagakit.runtime.relay import Relay
from sagakit.runtime.retelling import Retelling
from sagakit.runtime.topics import SAGAS_EVENTS, dead_letter_topic
from sagakit.runtime.tracker import Tracker
from sagakit.runtime.witness import Spans, Witness

MEASURE_SECONDS_MAX = 2.0
"""How long a scrape waits for the database or the log; then it goes on without them."""
AWAY = (StoreUnavailableError, LogUnavailableError, OffsetOutOfRangeError, TimeoutError)


class Observation:
    """Sees what one service does; it changes nothing, and costs nothing while nobody looks."""

    def __init__(self, service: str, store: Store, log: Log, clock: Clock, lease: Lease) -> None:
        """See what the relay publishes, and nothing else yet."""
        self.witness = Witness(service, self.sagas, self._informed)
        check = partial(require_known_partitions, store, log)
        self.relay = Relay(service, store, log, lease, self.witness.published, check)
        self.parks = False
        """True where messages are parked in the store."""
        self.measures: list[Callable[[], Awaitable[Iterable[Sample]]]] = []
        """What else the service measures when somebody looks."""
        self.readers: list[Callable[[], Mapping[str, Consumer]]] = []
        """Who else reads for the service now, by the name of the loop."""
        self.definitions: list[Definitions] = []
        """By which the service learns definitions; before they are loaded, it does not know all that it spoke of."""
        self._service = service
        self._store = store
        self._log = log
        self._clock = clock
        self._actors: list[tuple[str, Participant | Tracker]] = []
        self._listeners: list[Consumer] = []
        self._unhurried: list[Consumer] = []
        self._consumers: list[Consumer] = []
        self._handlers: list[tuple[str, Handler]] = []
        self._live = LiveSagas()
        self._letters = OpenLetters(service, log.for_reader(), clock)

    def sagas(self) -> Iterable[Saga]:
        """Return the definitions that the service knows now."""
        for _, actor in self._actors:
            match actor:
                case Participant():
                    yield from (share.saga for share in actor.shares.values())
                case Tracker():
                    yield from actor.sagas.values()

    def watch(self, handler: Handler, consumer: Consumer, *, unhurried: bool = False) -> None:
        """See what this consumer hears."""
        self._consumers.append(consumer)
        self._handlers.append((consumer.name, handler))
        if isinstance(handler, Participant | Tracker):
            self._actors.append((consumer.name, handler))
        else:
            (self._unhurried if unhurried else self._listeners).append(consumer)

    def topics(self) -> set[str]:
        """Return what is listened to now."""
        return {topic for _, handler in self._handlers for topic in handler.topics}

    def own_topics(self) -> set[str]:
        """Return the topics on which this service speaks of sagas."""
        topics: set[str] = set()
        for saga in self.sagas():
            topics |= {
                party.events_topic for party in (saga.initiator, *saga.participants) if party.name == self._service
            }
            topics |= {SAGAS_EVENTS} if saga.initiator.name == self._service else set()
        return topics

    def trace(self, spans: Spans, chosen: Chosen, system: str) -> Retelling:
        """Tell spans from now on, of the chosen ones of the sagas that begin here; returns a loop that catches up."""
        self.witness.spans, self.witness.system = spans, system
        for _, actor in self._actors:
            if isinstance(actor, Tracker):
                actor.traced = partial(begin, chosen=chosen)
        for consumer in self._listeners:
            consumer.heard = self.witness.heard
        for consumer in self._unhurried:
            consumer.heard = self.witness.polled
        return Retelling(self.witness, self.own_topics, self._log.for_reader(), self._clock, self._loaded)

    def samples(self) -> Iterable[Sample]:
        """Return what was counted."""
        yield BUILD_INFO, (program_version(), self._service), 1
        for name, actor in self._actors:
            for topic in actor.topics | actor.duplicates.keys():
                yield DUPLICATES, (name, topic), actor.duplicates[topic]
            if isinstance(actor, Participant):
                yield from actor.waits.samples()
                for labels, number in actor.attempts.items():
                    yield STEP_ATTEMPTS, labels, number
        for topic in {*self.own_topics(), dead_letter_topic(self._service), *self.relay.sent}:
            yield SENT, (self.relay.name, topic), self.relay.sent[topic]
        yield from partition_gauges(self._reading())
        for name, handler in self._handlers:
            yield from buried(name, handler)
        yield from self.witness.samples()

    async def measured(self) -> list[Sample]:
        """Return what is measured now; a database or a log that is away costs its samples and not the scrape."""
        measures = (self._of_store, self._of_log, self._letters.measured, *self.measures)
        return [sample for its in await asyncio.gather(*map(_in_time, measures)) for sample in its]

    def _informed(self) -> bool:
        return all(its.ready for its in self.definitions)

    async def _loaded(self) -> bool:
        return all([await its.loaded() for its in self.definitions])

    async def _of_store(self) -> list[Sample]:
        now = self._clock.now()
        found = await outbox_gauges(self._store, now)
        if self.parks:
            found += await parked_gauges(self._store)
        if any(isinstance(actor, Tracker) for _, actor in self._actors):
            found += await saga_gauges(self._store, now, self._live if self.relay.leads else None)
        return found

    async def _of_log(self) -> list[Sample]:
        reading = self._reading()
        topics = {topic for consumer in reading.values() for topic, _ in consumer.positions}
        return lag_gauges(reading, await self._log.ends(topics) if topics else {})

    def _reading(self) -> dict[str, Consumer]:
        """Return who reads now, by the name of the loop."""
        found = {consumer.name: consumer for consumer in self._consumers}
        for readers in self.readers:
            found |= readers()
        return found


async def _in_time(measure: Callable[[], Awaitable[Iterable[Sample]]]) -> Iterable[Sample]:
    """Return what is measured; nothing when that takes too long or cannot be."""
    with suppress(*AWAY):
        async with asyncio.timeout(MEASURE_SECONDS_MAX):
            return await measure()
    return ()


@cache
def program_version() -> str:
    """Return the version of the program, or that it was never installed."""
    try:
        return version("sagaplane")
    except PackageNotFoundError:
        return "unknown"
