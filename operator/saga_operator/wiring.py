"""The operator, put together by hand: its loops, how they wake each other, and whether it can do its work."""

import asyncio
import logging
import socket
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from saga_operator.acts import Acts
from saga_operator.cluster import Cluster
from saga_operator.definitions import AGAIN_SECONDS, DefinitionKeeper
from saga_operator.engine import Engine
from saga_operator.following import Follower
from saga_operator.handlers import keep_watching
from saga_operator.lease import Leadership
from saga_operator.materializing import Materializer
from saga_operator.metrics import samples
from saga_operator.orders import OrderService
from saga_operator.settings import OperatorSettings
from saga_operator.sweeping import Sweeper
from saga_operator.tracker import Sagas
from sagakit.ports import Clock, Log
from sagakit.runtime.catalogue import FAILURES, REQUESTS
from sagakit.runtime.definitions import Definitions
from sagakit.runtime.http.app import Application, Requests, build_app
from sagakit.runtime.http.probes import Probes
from sagakit.runtime.http.server import Server
from sagakit.runtime.loops import Bell, Runner
from sagakit.runtime.metrics import Sample
from sagakit.runtime.witness import Spans
from shop_contracts.catalogue import SHOP
from shop_contracts.definitions import read_definition
from shop_contracts.order_saga import ORDER_SAGA

LOG_WAIT_SECONDS = 0.2
KAFKA = "kafka"
MATERIALIZE_SECONDS = 5.0
SWEEP_SECONDS = 60.0
UNWATCH_SECONDS_MAX = 8.0

log_lines = logging.getLogger(__name__)


@dataclass
class Operator:
    """One operator, ready to run."""

    settings: OperatorSettings
    engine: Engine
    leadership: Leadership
    keeper: DefinitionKeeper
    definitions: Definitions
    follower: Follower
    materializer: Materializer
    sweeper: Sweeper
    runner: Runner = field(default_factory=Runner)
    requests: Requests = field(default_factory=Requests)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    _watching: threading.Event = field(default_factory=threading.Event)
    _unwatch: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def over(
        cls,
        settings: OperatorSettings,
        cluster: Cluster,
        log: Log,
        orders: OrderService,
        clock: Clock,
        spans: Spans | None = None,
    ) -> Self:
        """Return the operator over its adapters; without `spans`, what it does is in no trace."""
        leadership = Leadership(
            cluster,
            settings.lease_name,
            settings.lease_namespace,
            settings.identity or socket.gethostname(),
            lease_seconds=settings.lease_seconds,
            renew_seconds=settings.renew_seconds,
        )

        def leads() -> bool:
            return leadership.leads

        cluster.may_write = leads
        sagas = Sagas()
        acts = Acts(cluster, orders, log, sagas, clock, leadership.identity)
        acts.witness.spans, acts.witness.system = spans, KAFKA
        engine = Engine(acts, sagas, clock, leads, lambda: leadership.draining)
        definitions = Definitions(
            "operator", log.for_reader(), SHOP, known=[ORDER_SAGA], read=read_definition, learner=sagas
        )
        acts.witness.informed = lambda: definitions.ready
        keeper = DefinitionKeeper(cluster, log, definitions, clock, leads)
        watching = threading.Event()
        namespaces = (settings.materialize_namespace, *settings.watched, settings.lease_namespace)
        return cls(
            settings,
            engine,
            leadership,
            keeper,
            definitions,
            Follower(log.for_reader(), engine, SHOP, lambda: leads() and definitions.ready),
            Materializer(
                settings.materialize,
                settings.materialize_max,
                next(filter(None, namespaces)),
                cluster=cluster,
                orders=orders,
                engine=engine,
                leads=leads,
                watching=watching.is_set,
            ),
            Sweeper(cluster, engine, keeper, settings.watched),
            _watching=watching,
        )

    def troubles(self) -> list[str]:
        """Return why the operator cannot do its work, one sentence each."""
        told = list(self.runner.troubles)
        if not self._watching.is_set():
            told.append("the API server is not watched")
        if not self.definitions.ready:
            told.append("the definitions are not read yet")
        return [*told, *(["is stopping"] if self.stop.is_set() else [])]

    @cached_property
    def app(self) -> Application:
        """The HTTP application: the probes."""
        probes = Probes("Sagaplane operator", [], self.troubles, self.samples, _nothing_more)
        return build_app(probes.routes(), self.requests)

    def samples(self) -> Iterable[Sample]:
        """Return what it has counted; what its loops and its probes have, under the names that services use."""
        yield from samples(self.engine, self.leadership, self.follower, self.materializer)
        for loop in self.runner.loops:
            yield FAILURES, (loop.steps.name,), loop.failures
        for (method, route, status), number in self.requests.counts.items():
            yield REQUESTS, (method, route, str(status)), number

    async def run(self) -> None:
        """Run until `stop` is set, or until a part of it ends that never should."""
        server = Server(self.app, self.settings.port, self.settings.host)
        await server.start()
        log_lines.info("Sagaplane operator answers at %s:%d", self.settings.host, server.port)
        self._start_loops()
        try:
            await self._run_until_stopped()
        finally:
            await server.stop()

    def _start_loops(self) -> None:
        rings = Bell(AGAIN_SECONDS)
        self.keeper.changed = rings.ring

        def changed() -> None:
            self.follower.restart()
            rings.ring()

        self.leadership.on_change = changed
        self.runner.add(self.definitions, lambda: self.definitions.wait(LOG_WAIT_SECONDS))
        self.runner.add(self.follower, lambda: self.follower.wait(LOG_WAIT_SECONDS))
        self.runner.add(self.keeper, rings.wait)
        self.runner.add(self.materializer, Bell(MATERIALIZE_SECONDS).wait)
        self.runner.add(self.sweeper, Bell(SWEEP_SECONDS).wait)
        self.runner.start()

    async def _run_until_stopped(self) -> None:
        watched, requests = self.settings.watched, self.engine.acts.cluster.requests
        watching = asyncio.create_task(
            keep_watching(self.engine, self.keeper, requests, watched, self._watching, self._unwatch), name="the watch"
        )
        working = asyncio.create_task(self.engine.run(self.settings.workers), name="the engine")
        electing = asyncio.create_task(self.leadership.run(self.stop), name="the election")
        stopping = asyncio.create_task(self.stop.wait(), name="the stop")
        done, _ = await asyncio.wait([watching, working, electing, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            log_lines.error(
                "%s ended, so the operator does: %s", task.get_name(), task.exception() or "without a reason"
            )
        self.stop.set()
        self._unwatch.set()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await self.runner.drain()
        await electing
        await asyncio.wait([watching], timeout=UNWATCH_SECONDS_MAX)


async def _nothing_more() -> Sequence[Sample]:
    """What the operator tells, it has in memory."""
    return ()
