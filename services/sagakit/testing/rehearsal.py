"""A rehearsal: your participants and your definition on the real loops, with a store and a log in memory.

Nothing is faked but the walls: the loops are those that run in production, the clock is turned by hand.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.core.contracts import Contracts, encode_data
from sagakit.core.decide import Conflict
from sagakit.core.definition import Saga
from sagakit.core.facts import SagaStarted, Verb
from sagakit.core.messages import Mode
from sagakit.core.state import SagaState
from sagakit.ports import Table
from sagakit.runtime.actions import AnyAction, Barred
from sagakit.runtime.consumer import Consumer
from sagakit.runtime.deadlines import Deadlines
from sagakit.runtime.parking import PARKED
from sagakit.runtime.participant import PARTS, Participant
from sagakit.runtime.relay import Relay
from sagakit.runtime.tracker import CORRELATIONS, SAGAS, Speech, StartSaga, Tracker
from sagakit.testing.voice import T0

ROUNDS_MAX = 1000


@dataclass(slots=True)
class HandClock:
    """A clock that somebody turns. It draws no jitter and never waits."""

    time: datetime = T0

    def now(self) -> datetime:
        return self.time

    def chance(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Role:
    """What one participant brings along: its name, an action per command, its words when barred, and its tables."""

    name: str
    actions: Sequence[AnyAction]
    barred: Barred
    tables: tuple[Table[Any], ...] = ()


@dataclass(slots=True)
class Rehearsal:
    """All participants of one definition and its initiator, each with a store of its own, on one log."""

    saga: Saga
    speech: Speech
    contracts: Contracts
    roles: Iterable[Role]
    clock: HandClock = field(default_factory=HandClock)
    stores: dict[str, MemoryStore] = field(init=False, default_factory=dict)
    _steps: list[Callable[[], Any]] = field(init=False, default_factory=list)
    _tracker: Tracker = field(init=False)

    def __post_init__(self) -> None:
        """Wire everything, by hand."""
        log = MemoryLog(self.clock)
        initiator = self.saga.initiator.name
        self._tracker = Tracker(initiator, sagas=[self.saga], speech=self.speech, contracts=self.contracts)
        store = self._open(initiator, (SAGAS, CORRELATIONS, PARKED), log)
        self._hear(initiator, self._tracker, store, log)
        self._steps.append(Deadlines(self._tracker, store, self.clock).step)
        for role in self.roles:
            store = self._open(role.name, (*role.tables, PARTS, PARKED), log)
            part = Participant(
                role.name,
                sagas=[self.saga],
                actions=role.actions,
                barred=role.barred,
                contracts=self.contracts,
                store=store,
                clock=self.clock,
            )
            self._hear(role.name, part, store, log)
            self._steps.append(part.step)

    async def start(self, saga_id: str, data: msgspec.Struct, mode: Mode) -> None:
        """Begin a saga with this input."""
        fact = SagaStarted(
            at=self.clock.now(),
            definition=self.saga.ref,
            mode=mode,
            correlation_id=saga_id,
            deadline=self.clock.now() + timedelta(seconds=self.saga.timeout_seconds),
            input=encode_data(data),
        )
        now = self.clock.now()
        await self._store.transact(lambda tx: self._tracker.start(tx, [StartSaga(saga_id=saga_id, fact=fact)], now))

    async def wish(self, saga_id: str, verb: Verb, reason: str = "asked") -> Conflict | SagaState:
        """Ask something of the saga, as a person would."""
        now = self.clock.now()
        granted = await self._store.transact(
            lambda tx: self._tracker.wish(tx, [saga_id], verb, "operator-1", reason, now)
        )
        return granted[saga_id]

    async def run(self, seconds: float = 0) -> None:
        """Let that time pass, then let everybody work until nobody has anything to do."""
        await self.clock.sleep(seconds)
        for _ in range(ROUNDS_MAX):
            if not any([await step() for step in self._steps]):
                return
        text = f"somebody was still at work after {ROUNDS_MAX} rounds"
        raise AssertionError(text)

    async def state(self, saga_id: str) -> SagaState:
        """Return where the saga stands."""
        return (await self._store.view(lambda reader: reader.load(SAGAS, [saga_id])))[saga_id]

    @property
    def _store(self) -> MemoryStore:
        return self.stores[self.saga.initiator.name]

    def _open(self, name: str, tables: tuple[Table[Any], ...], log: MemoryLog) -> MemoryStore:
        self.stores[name] = store = MemoryStore(tables)
        self._steps.append(Relay(name, store, log).step)
        return store

    def _hear(self, name: str, handler: Tracker | Participant, store: MemoryStore, log: MemoryLog) -> None:
        consumer = Consumer(
            service=name,
            group=name,
            handler=handler,
            store=store,
            log=log,
            contracts=self.contracts,
            clock=self.clock,
        )
        self._steps.append(consumer.step)
