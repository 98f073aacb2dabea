"""Operators at work in a small world: real engines over an API server, an order service and a log in memory.

Every step is chosen by a seed: what an operator sees and hears and when, which call fails and how, when a process is
killed, when the lease goes to another, what people do. Then the faults end, and everything comes to rest.
"""

from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar

import aiohttp
from tests.unit.operator.memory_api import CrashError, Fault, MemoryApi, MemoryCluster, refused
from tests.unit.operator.memory_shop import Desk, Inbox, Shop, ShopLog

from saga_operator.acts import Acts
from saga_operator.cluster import Body
from saga_operator.engine import Engine
from saga_operator.held import Key
from saga_operator.orders import OrdersUnavailableError
from saga_operator.reconcile import saga_id_of
from saga_operator.resources import API_VERSION, FINALIZER, ORDER_SAGA_KIND, ORDER_SAGA_PLURAL, MalformedError, parse
from saga_operator.tracker import Sagas
from sagakit.core.deadlines import due_at
from sagakit.core.facts import Verb
from sagakit.core.messages import Message
from sagakit.ports import LogUnavailableError
from sagakit.testing.rehearsal import HandClock
from sagakit.testing.script import Plays, Script

T = TypeVar("T")

NAMESPACE, NAME = "shop", "order-1"
KEY: Key = (NAMESPACE, NAME)
ORDER = {"userId": "user-1", "items": [{"productId": "prod-1", "quantity": 2, "price": "19.99"}], "currency": "USD"}
ROUNDS_MAX = 3000


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what the coroutine returns; in this world nobody waits.

    It runs in a context of its own: one that is killed half way leaves nothing behind in ours.
    """
    try:
        copy_context().run(coroutine.send, None)
    except StopIteration as done:
        value: T = done.value
        return value
    text = "something waited"
    raise AssertionError(text)


def manifest(name: str = NAME, **spec: Any) -> Body:  # noqa: ANN401 - whatever a spec has
    """Return an OrderSaga as a person applies it, with the defaults that the API server fills in."""
    defaults = {"mode": "Choreography", "timeoutSeconds": 30, "suspend": False, "cancel": False}
    wanted = {} if "sagaRef" in spec else {"order": ORDER}
    return {
        "apiVersion": API_VERSION,
        "kind": ORDER_SAGA_KIND,
        "metadata": {"namespace": NAMESPACE, "name": name},
        "spec": {**defaults, "deletionPolicy": "Compensate", **wanted, **spec},
    }


@dataclass
class Operator:
    """One process: its engine, what its watch will show, and what its follower will hear."""

    engine: Engine
    leads: bool = True
    shown: deque[tuple[str, Body]] = field(default_factory=deque)
    inbox: Inbox = field(default_factory=dict)
    dead: bool = False

    def watch(self, kind: str, plural: str, body: Body) -> None:
        if plural == ORDER_SAGA_PLURAL:
            self.shown.append((kind, body))

    def hear(self, topic: str, message: Message) -> None:
        if self.leads:
            self.inbox.setdefault(topic, deque()).append(message)


class Operators:
    """The world. The same arguments give the same story."""

    def __init__(self, seed: int = 0, script: Script | None = None, faults: float = 0.0) -> None:
        """Begin without an operator; `faults` is the chance that a call fails."""
        self.chance = Random(seed)
        self.clock = HandClock()
        self.shop = Shop(self.clock, self.chance, script)
        self.api = MemoryApi(self.clock)
        self.faults = faults
        self.draining = False
        self.orders_are_away = False
        self.everyone: list[Operator] = []
        self.wrongs: list[str] = []
        self._let_go: set[str] = set()
        self.status_writes: list[tuple[str, datetime]] = []
        self.api.fate = self._fate
        self.api.released = self._released
        self.shop.begun = self._begun
        self.api.watchers.append(self._note)

    def start(self) -> Operator:
        """Start one more operator; it leads at once, whoever else believes to."""
        cluster = MemoryCluster(self.api)
        sagas = Sagas()
        acts = Acts(cluster, Desk(self.shop, self._fate), ShopLog(self.shop, self._fate), sagas, self.clock, "operator")
        engine = Engine(acts, sagas, self.clock, lambda: operator.leads, lambda: self.draining)
        operator = Operator(engine)
        cluster.may_write = lambda: operator.leads
        self.api.watchers.append(operator.watch)
        self.shop.listeners.append(operator.hear)
        for place in sorted(self.api.objects):
            if place[0] == ORDER_SAGA_PLURAL:
                engine.seen(self.api.objects[place])
        engine.begin()
        self.everyone.append(operator)
        return operator

    def kill(self, operator: Operator) -> None:
        """End the process: what it knew is gone."""
        operator.dead = True
        self.api.watchers.remove(operator.watch)
        self.shop.listeners.remove(operator.hear)
        self.everyone.remove(operator)

    def elect(self, operator: Operator, *, leads: bool) -> None:
        """Let it lead from now on, or no longer."""
        if leads and not operator.leads:
            operator.leads = True
            operator.engine.begin()
        elif not leads:
            operator.leads = False
            operator.inbox.clear()

    def see(self, operator: Operator) -> bool:
        """Show the operator what its watch brings next."""
        if not operator.shown:
            return False
        kind, body = operator.shown.popleft()
        operator.engine.seen(body, gone=kind == "DELETED")
        return True

    def listen(self, operator: Operator) -> bool:
        """Let the operator hear the next message of one of the topics."""
        topics = sorted(topic for topic, messages in operator.inbox.items() if messages)
        if not topics:
            return False
        operator.engine.heard(operator.inbox[self.chance.choice(topics)].popleft())
        return True

    def work(self, operator: Operator) -> bool:
        """Let one worker of the operator do what is next; a crash is the end of it, and another is started."""
        if not operator.engine.depth:
            return False
        key = operator.engine.next_key()
        try:
            at_once(operator.engine.look_at(key))
        except CrashError:
            self.kill(operator)
            self.start()
        return True

    def pass_time(self, seconds: float) -> None:
        """Turn the clock, and let every operator see what is due."""
        self.clock.time += timedelta(seconds=seconds)
        for operator in self.everyone:
            operator.engine.call_due()

    def seconds_until_due(self) -> float:
        """Return how long nothing is due."""
        return min(operator.engine.call_due() for operator in self.everyone)

    def step(self) -> None:
        """Let one thing happen, whatever it is."""
        operator = self.chance.choice(self.everyone)
        happening: Callable[[], object] = self.chance.choice((
            lambda: self.work(operator),
            lambda: self.work(operator),
            lambda: self.see(operator),
            lambda: self.listen(operator),
            self.shop.deliver,
            self.shop.deliver,
            lambda: self.shop.find_out(Plays.SUCCEEDS_SLOWLY),
            lambda: self.pass_time(self.chance.choice((0.05, 0.4, 1.0, 6.0))),
        ))  # fmt: skip
        happening()

    def settle(self, seconds: float = 600) -> None:
        """Let everything happen that happens by itself in this time, with one operator and no faults."""
        self.faults, self.orders_are_away = 0.0, False
        end = self.clock.now() + timedelta(seconds=seconds)
        for _ in range(ROUNDS_MAX):
            while self._busy():
                pass
            self._look_for_overdue()
            due = self.seconds_until_due()
            if self.clock.now() + timedelta(seconds=due) > end:
                return
            self.pass_time(max(due, 0.001))
            if self.clock.now() > end - timedelta(seconds=seconds / 2):
                self._help()
        text = f"it did not come to rest: {self.describe()}"
        raise AssertionError(text)

    def describe(self) -> str:
        """Return where things stand, for whoever reads a failure."""
        said = [f"{m.source} said {m.type}" for m in self.shop.said]
        return f"{self.api.order_saga(*KEY)}\n{self.shop.script}\n" + "\n".join(said)

    def _busy(self) -> bool:
        """Let everybody do one thing; tell whether anybody had anything to do."""
        for operator in list(self.everyone):
            if self.see(operator) or self.listen(operator) or self.work(operator):
                return True
        return self.shop.deliver() or self.shop.find_out(Plays.SUCCEEDS_SLOWLY)

    def _help(self) -> None:
        """Let the doubtful find out, and a person repair what is stuck, once the deadline is long past."""
        if not self.shop.find_out(*Plays) and not self.shop.come_back():
            for saga_id in self.shop.stuck():
                self.shop.person(saga_id, Verb.RETRY)

    def _released(self, was: Body) -> None:
        """Note a finalizer that goes while something of its saga is owed."""
        for saga_id, story in self.shop.stories.items():
            if story.state is not None and not story.state.phase.terminal:
                self.wrongs.append(f"{was['metadata']['name']} was let go while {saga_id} is {story.state.phase}")
        with suppress(MalformedError):
            self._let_go.add(saga_id_of(parse(was)))

    def _begun(self, saga_id: str) -> None:
        """Note an order that is placed for an object that was let go."""
        if saga_id in self._let_go:
            self.wrongs.append(f"{saga_id} was placed after its object was let go")

    def _look_for_overdue(self) -> None:
        """Note a saga whose deadline has passed, which can still abort, and which nobody asked to."""
        for saga_id, story in self.shop.stories.items():
            state = story.state
            if state is None or self.api.order_saga(*KEY) is None:
                continue
            due = due_at(story.saga, state)
            if due is not None and self.clock.now() >= due and not self.shop.aborts(saga_id):
                self.wrongs.append(
                    f"{saga_id} is {self.clock.now() - due} past its deadline and was not asked to abort"
                )

    def _fate(self, call: str) -> Fault | None:
        if self.orders_are_away and call in ("place", "find", "wish"):
            return Fault(OrdersUnavailableError("the order service does not answer"))
        if self.chance.random() >= self.faults:
            return None
        if self.chance.random() < 0.2:
            return Fault(CrashError(), happened=self.chance.random() < 0.5)
        happened = self.chance.random() < 0.5
        if call in ("place", "find", "wish"):
            return Fault(OrdersUnavailableError("the order service does not answer", undone=not happened), happened)
        if call == "publish":
            return Fault(LogUnavailableError("no broker answers"), happened)
        lost = aiohttp.ServerDisconnectedError() if self.chance.random() < 0.5 else TimeoutError()
        return Fault(lost if happened else refused(self.chance.choice((429, 409, 500, 503))), happened)

    def _note(self, kind: str, plural: str, body: Body) -> None:
        if plural == ORDER_SAGA_PLURAL and kind == "MODIFIED" and "status" in body:
            self.status_writes.append((body["metadata"]["name"], self.clock.now()))


def is_held(body: Body | None) -> bool:
    return body is not None and FINALIZER in body["metadata"].get("finalizers", ())
