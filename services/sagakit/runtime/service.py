"""A service as a process runs it: its loops and how they wake each other, its HTTP side, and whether it is ready.

A service's `wiring` makes one of these from its settings, a store and a log; `__main__` and the box run it.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from typing import Protocol, Self

from sagakit.core.contracts import Contracts
from sagakit.core.definition import Saga
from sagakit.core.messages import Message
from sagakit.core.traces import Chosen
from sagakit.ports import Clock, Log, Store, StoreUnavailableError, Transaction
from sagakit.runtime.catalogue import FAILURES, REQUESTS
from sagakit.runtime.consumer import KNOWN_TOPICS, Consumer, Handler
from sagakit.runtime.definitions import Definitions, Learner, ReadDefinition
from sagakit.runtime.expiry import ParkingExpiry
from sagakit.runtime.housekeeping import Housekeeping
from sagakit.runtime.http.app import Application, Requests, build_app
from sagakit.runtime.http.crowd import LIMITS, Limits
from sagakit.runtime.http.probes import Probes
from sagakit.runtime.http.routes import Route
from sagakit.runtime.http.server import HOST, Server
from sagakit.runtime.lease import LEASES, Lease
from sagakit.runtime.loops import Bell, Loop, Runner, Steps, turn
from sagakit.runtime.metrics import Counting, Sample, Samples, counted
from sagakit.runtime.observation import Observation
from sagakit.runtime.own_words import Memory
from sagakit.runtime.participant import PARTS, Participant
from sagakit.runtime.projection import Unhurried
from sagakit.runtime.retelling import AGAIN_SECONDS
from sagakit.runtime.settings import ServiceSettings
from sagakit.runtime.witness import Spans

KIT_TABLES = (LEASES, KNOWN_TOPICS)
"""What the kit itself keeps in the store of every service."""
LOG_WAIT_SECONDS = 0.5
GATHER_SECONDS = 0.05
STEADY_BATCHES, STEADY_SECONDS = 8, 1.0
"""A flow is steady when so many batches came within that time: more than one saga, or ten, bring."""
RELAY_WAIT_SECONDS = 0.1
"""How late a message is published that another instance left in the outbox; our own commits wake the relay."""
DEFINITIONS_SECONDS = 0.25
"""How late a definition is learned: whoever shares a log in a file is not to be woken by each batch of it."""
DUE_WAIT_SECONDS = 0.1
"""How late a retry can be when nothing else wakes the participant."""
EXPIRY_WAIT_SECONDS = 5.0
HOUSEKEEPING_WAIT_SECONDS = 3600.0


class Hearing(Steps, Protocol):
    """What reads from the log, as the service sees it."""

    @property
    def ready(self) -> bool:
        """True once it knows what is its own to read."""

    async def close(self) -> None:
        """Give what is its own to others at once."""


@dataclass
class Service:
    """One service, ready to run: `async with service` is from its first message to its last.

    Whoever opened the store and the log closes them, after the service has stopped.
    """

    name: str
    title: str
    port: int
    store: Store
    log: Log
    contracts: Contracts
    clock: Clock
    host: str = HOST
    instance: str = "0"
    http_limits: Limits = LIMITS
    routes: list[Route] = field(default_factory=list)
    consumers: list[Hearing] = field(default_factory=list)
    runner: Runner = field(default_factory=Runner)
    requests: Requests = field(default_factory=Requests)
    sampled: list[Samples] = field(default_factory=list)
    """What else the service counts, beside its loops and its HTTP side."""
    seen: Observation = field(init=False)
    _server: Server | None = None
    _bells: list[Bell] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        name: str,
        settings: ServiceSettings,
        port: int,
        *,
        store: Store,
        log: Log,
        contracts: Contracts,
        clock: Clock,
    ) -> Self:
        """Return a service with the settings that all have."""
        title = f"Sagaplane {name} service"
        limits = settings.http_limits
        return cls(name, title, port, store, log, contracts, clock, settings.host, settings.instance, limits)

    def __post_init__(self) -> None:
        """Publish what is left in the outbox, as soon as it is there."""
        bell = Bell(RELAY_WAIT_SECONDS)
        self.store.on_commit(bell.ring)
        self.seen = Observation(self.name, self.store, self.log, self.clock, self.lease)
        self.add(self.seen.relay, bell)
        self.add(Housekeeping(self.name, self.store, self.log, self.clock), Bell(HOUSEKEEPING_WAIT_SECONDS))

    def add(self, steps: Steps, bell: Bell) -> Loop:
        """Run one more loop, which `bell` wakes."""
        self._bells.append(bell)
        return self.runner.add(steps, bell.wait)

    def hear(
        self,
        handler: Handler,
        group: str | None = None,
        then: Sequence[Bell] = (),
        first: frozenset[str] = frozenset(),
        definitions: Definitions | None = None,
        memory: Memory | None = None,
    ) -> Consumer:
        """Consume what the handler listens to, as a group (by default named like the service).

        The bells in `then` are rung after each commit; the topics in `first` are read before the others. Where there
        are `definitions`, nothing is consumed before they are loaded, and before the `memory` vouches for the store.
        """
        consumer = self.consumer(_Ringing(handler, then) if then else handler, group, first, definitions)
        hearing = (
            consumer if definitions is None else _After(definitions, partial(self._vouch, memory, consumer), consumer)
        )
        self.seen.watch(handler, consumer)
        self.attend(hearing, lambda: consumer.wait(LOG_WAIT_SECONDS), self._gathering(consumer))
        return consumer

    async def _vouch(self, memory: Memory | None, consumer: Consumer) -> None:
        if memory is not None and not memory.vouched:
            await memory.vouch(self.seen.own_topics(), consumer.group, consumer.topics)

    def follow(self, learner: Learner, known: Iterable[Saga], read: ReadDefinition) -> Definitions:
        """Teach `learner` the definitions that come by the log, beside those that it knows."""
        definitions = Definitions(
            self.name, self.log.for_reader(), self.contracts, known=known, read=read, learner=learner
        )
        self.seen.definitions.append(definitions)
        self.attend(definitions, self.pause(DEFINITIONS_SECONDS, definitions.wait))
        return definitions

    def hear_unhurried(self, handler: Handler, group: str, pause_seconds: float) -> None:
        """Consume what has gathered in each pause: for whom a message may wait, and a transaction is dear."""
        consumer = self.consumer(handler, group)
        self.seen.watch(handler, consumer, unhurried=True)
        self.attend(Unhurried(consumer), self.pause(pause_seconds, consumer.wait))

    def consumer(
        self,
        handler: Handler,
        group: str | None = None,
        first: frozenset[str] = frozenset(),
        definitions: Definitions | None = None,
    ) -> Consumer:
        """Return a consumer of this service that nobody runs yet."""
        return Consumer(
            service=self.name,
            group=group or self.name,
            handler=handler,
            store=self.store,
            log=self.log.for_reader(),
            contracts=self.contracts,
            clock=self.clock,
            instance=self.instance,
            first=first,
            definitions=None if definitions is None else definitions.sagas.keys(),
        )

    def pause(self, seconds: float, wait: Callable[[float], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """Return how an unhurried reader waits: for so long, and then as `wait` does for something to read."""
        bell = Bell(seconds)
        self._bells.append(bell)

        async def idle() -> None:
            await bell.wait()
            await wait(LOG_WAIT_SECONDS)

        return idle

    def attend(
        self,
        hearing: Hearing,
        idle: Callable[[], Awaitable[None]],
        go_on: Callable[[], Awaitable[None]] = turn,
    ) -> None:
        """Run a reader of another kind than `hear` makes; `idle` returns when there may be something to read."""
        self.consumers.append(hearing)
        self.runner.add(hearing, idle, go_on)

    def _gathering(self, consumer: Consumer) -> Callable[[], Awaitable[None]]:
        """Return how a consumer goes on: in a steady flow it pauses behind a small batch, so that the next is larger.

        A batch costs by itself. Whoever comes alone, or in small company, is not kept waiting.
        """
        lately: deque[float] = deque([0.0] * STEADY_BATCHES, STEADY_BATCHES)

        async def go_on() -> None:
            now = self.clock.now().timestamp()
            steady = now - lately[0] < STEADY_SECONDS
            lately.append(now)
            await (self.clock.sleep(GATHER_SECONDS) if steady and consumer.sparse else turn())

        return go_on

    def take_part(self, participant: Participant, definitions: Definitions | None = None) -> None:
        """Hear what the participant's steps need, and carry out what is due."""
        bell = Bell(DUE_WAIT_SECONDS)
        memory = Memory(self.name, self.store, self.log.for_reader(), PARTS)
        self.hear(participant, then=(bell,), first=participant.beginnings, definitions=definitions, memory=memory)
        self.add(_Named(f"{self.name} participant", participant), bell)
        self.bury_strangers()

    def bury_strangers(self) -> None:
        """Make dead letters of what is parked for too long."""
        self.seen.parks = True
        expiry = ParkingExpiry(self.name, self.store, self.clock, self.seen.topics())
        self.add(expiry, Bell(EXPIRY_WAIT_SECONDS))

    @cached_property
    def lease(self) -> Lease:
        """The right to publish what is in the outbox, which one instance has at a time."""
        return Lease(f"{self.name} relay", self.instance, self.store, self.clock)

    @cached_property
    def app(self) -> Application:
        """The HTTP application: the service's own routes, the probes, the OpenAPI document and its page."""
        probes = Probes(self.title, self.routes, self.troubles, self.samples, self.seen.measured)
        return build_app([*self.routes, *probes.routes()], self.requests, self.http_limits)

    def troubles(self) -> list[str]:
        """Return why the service is not ready, one sentence each."""
        waiting = [
            f"{hearing.name}: {'not all read yet' if isinstance(hearing, Definitions) else 'no partitions yet'}"
            for hearing in self.consumers
            if not hearing.ready
        ]
        return [*waiting, *self.runner.troubles, *(["is stopping"] if self.runner.stop.is_set() else [])]

    def trace(self, spans: Spans, chosen: Chosen, system: str) -> None:
        """Tell what becomes of sagas as spans, of the chosen ones that begin here; before the service starts."""
        self.add(self.seen.trace(spans, chosen, system), Bell(AGAIN_SECONDS))

    def samples(self) -> Iterable[Sample]:
        """Return what the loops and the HTTP side have counted."""
        loops = [loop.steps for loop in self.runner.loops]
        yield from counted((steps for steps in loops if isinstance(steps, Counting)), self.seen.witness.system)
        for loop in self.runner.loops:
            yield FAILURES, (loop.steps.name,), loop.failures
        for (method, route, status), number in self.requests.counts.items():
            yield REQUESTS, (method, route, str(status)), number
        yield from self.seen.samples()
        for samples in self.sampled:
            yield from samples()

    async def __aenter__(self) -> Self:
        """Answer over HTTP, and start every loop."""
        self._server = Server(self.app, self.port, self.host, self.http_limits)
        await self._server.start()
        self.port = self._server.port
        self.runner.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Take no more requests, let every loop finish its step, and give the partitions to others."""
        self.runner.stop.set()
        for bell in self._bells:
            bell.ring()
        if self._server is not None:
            await self._server.stop()
        await self.runner.drain()
        for consumer in self.consumers:
            await consumer.close()
        with suppress(StoreUnavailableError):
            await self.lease.release()


@dataclass(slots=True)
class _Named:
    """A participant's loop: it is told from its consumer by name."""

    name: str
    participant: Participant

    async def step(self) -> bool:
        return await self.participant.step()


class _After:
    """A consumer that begins when definitions are loaded, which tell what it hears, and its store is vouched for."""

    def __init__(self, definitions: Definitions, vouched: Callable[[], Awaitable[None]], consumer: Consumer) -> None:
        self.name = consumer.name
        self.counts = consumer.counts
        self.consumed = consumer.consumed
        self.buried = consumer.buried
        self.durations = consumer.durations
        self._definitions = definitions
        self._vouched = vouched
        self._consumer = consumer

    @property
    def ready(self) -> bool:
        return self._consumer.ready

    async def step(self) -> bool:
        if not await self._definitions.loaded():
            return False
        await self._vouched()
        return await self._consumer.step()

    async def close(self) -> None:
        await self._consumer.close()


@dataclass(slots=True)
class _Ringing:
    """A handler after whose commits somebody is woken."""

    handler: Handler
    bells: Sequence[Bell]

    @property
    def topics(self) -> frozenset[str]:
        return self.handler.topics

    def wants(self, message_type: str) -> bool:
        return self.handler.wants(message_type)

    async def handle(self, transaction: Transaction, messages: Sequence[Message], now: datetime) -> None:
        await self.handler.handle(transaction, messages, now)

    def committed(self) -> None:
        self.handler.committed()
        for bell in self.bells:
            bell.ring()

    def failed(self) -> None:
        self.handler.failed()
