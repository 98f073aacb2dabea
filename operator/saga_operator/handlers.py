"""Every line of kopf: what it watches, with which settings, and whom it tells. No handler has an `if` about sagas.

kopf brings the watch: reconnects, bookmarks, back-off. It writes nothing, because only `on.event` handlers exist: no
finalizer, no annotation, no Event is its own.
"""

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

import aiohttp
import kopf
from kopf._cogs.clients.errors import APIForbiddenError
from kopf._cogs.structs.references import Insights
from typing_extensions import override
from yarl import URL

from saga_operator.api_requests import LIST, WATCH, ApiRequests, verb_of
from saga_operator.definitions import DefinitionKeeper
from saga_operator.engine import Engine
from saga_operator.resources import GROUP, ORDER_SAGA_PLURAL, SAGA_DEFINITION_PLURAL, VERSION

BASE = f"/apis/{GROUP}/{VERSION}/"
GONE = "DELETED"
ASKING = ("fetching", "scanning", "watching")
PATIENCE = (0.5, 1.0, 2.0, 4.0, *[8.0] * 36)
"""How long is waited before each further try, in seconds: five minutes for an API server to come back."""
JITTER = 0.2
"""By which part of itself each of these is longer or shorter, so that not everybody comes back at once."""
CHUNK_OBJECTS = 500
"""How many objects are listed at once, so that a start needs no memory for an answer with all of them."""

AGAIN_SECONDS = 5.0
"""How long is waited after kopf gave up."""
TELL_SECONDS = 60.0
"""How often is told which namespace may not be watched."""
CANCEL_SECONDS, CANCELS_MAX = 0.2, 25
"""Five seconds for kopf to end."""

log_lines = logging.getLogger(__name__)


class NotServedError(Exception):
    """The API server does not know a resource that is to be watched. Apply its CRD; it is looked for again."""


class _Tries(logging.Filter):
    """Makes a warning of a request that is tried again, which kopf tells as an error."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno == logging.ERROR and str(record.msg).startswith("Request attempt"):
            record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        return True


def tame_log_lines() -> None:
    """Let kopf tell what somebody may have to look into, and no more."""
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # It has no signals, as it should be; and how it fails is told by `keep_watching`.
    for name in ("running", "orchestration", "observation"):
        logging.getLogger(f"kopf._core.reactor.{name}").setLevel(logging.CRITICAL)
    for name in ASKING:
        logging.getLogger(f"kopf._cogs.clients.{name}").addFilter(_Tries())


@dataclass(frozen=True, kw_only=True)
class Session(kopf.AiohttpSession):
    """A session of our own making. Two that log in alike are equal: kopf does not try again what was refused."""

    aiohttp_session: aiohttp.ClientSession = field(compare=False)
    login: kopf.ConnectionInfo


def registry(
    on_ordersaga: Callable[[kopf.RawEvent], None],
    on_definition: Callable[[kopf.RawEvent], None],
    tracing: Sequence[aiohttp.TraceConfig],
    sessions: list[aiohttp.ClientSession],
) -> kopf.OperatorRegistry:
    """Return the handlers that pass on what the API server shows; what it is asked is traced, over these `sessions`."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def login(**kwargs: Any) -> Session | None:  # noqa: ANN401 - whatever kopf gives
        # Not through the client library, whose ways to log in change with its versions (kopf 1278, 1308).
        its = kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)
        if its is None:
            return None
        session = _session(its, tracing)
        sessions[:] = [*(before for before in sessions if not before.closed), session.aiohttp_session]
        return session

    @kopf.on.event(GROUP, VERSION, ORDER_SAGA_PLURAL, registry=handlers)
    async def ordersaga(event: kopf.RawEvent, **_: object) -> None:
        on_ordersaga(event)

    @kopf.on.event(GROUP, VERSION, SAGA_DEFINITION_PLURAL, registry=handlers)
    async def definition(event: kopf.RawEvent, **_: object) -> None:
        on_definition(event)

    return handlers


def _session(login: kopf.ConnectionInfo, tracing: Sequence[aiohttp.TraceConfig]) -> Session:
    """Return what kopf would make of a login, traced."""
    return Session(
        server=login.server,
        priority=login.priority,
        default_namespace=login.default_namespace,
        expiration=login.expiration,
        login=login,
        aiohttp_session=aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=login.as_ssl_context()),
            headers=login.as_http_headers(),
            proxy=login.proxy_url,
            trust_env=login.trust_env,
            trace_configs=[*tracing],
        ),
    )


def settings() -> kopf.OperatorSettings:
    """Return kopf's settings, each that matters with its reason."""
    chosen = kopf.OperatorSettings()
    # Leaders are elected by a Lease; peering by kopf's own resources would need rights on them, and freezes equals.
    chosen.peering.standalone = True
    # What is watched is known, so nobody needs the right to list CRDs and namespaces (kopf 901).
    chosen.scanning.disabled = True
    # A watch that went silent is noticed: bookmarks come every minute, and a stream is made anew every ten.
    chosen.watching.server_timeout = 600
    chosen.watching.connect_timeout = 10
    chosen.watching.inactivity_timeout = 90
    chosen.watching.chunk_size = CHUNK_OBJECTS
    # The default, five minutes, is longer than a Lease.
    chosen.networking.request_timeout = 30
    chosen.networking.error_backoffs = _Jittered(PATIENCE)
    # An overloaded API server says when to come again.
    chosen.networking.enforce_retry_after = True
    # Handlers only take note, so a few workers serve any number of objects; the default is one per object. A worker
    # stays with its object until that was quiet for so long: with the default, five seconds, these take 20 a second.
    chosen.queueing.worker_limit = 100
    chosen.queueing.idle_timeout = 0.1
    chosen.queueing.error_delays = (1, 2, 5, 10)
    # Events are our own: one for each transition, under a name that makes a repeat harmless.
    chosen.posting.enabled = False
    # Nothing of kopf's is stored on objects; were a handler added that does, it would be under our name.
    chosen.persistence.finalizer = f"{GROUP}/kopf"
    chosen.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=f"kopf.{GROUP}")
    chosen.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=f"kopf.{GROUP}")
    # What else kopf has is about handlers that come again or write, and daemons, and there are none: that is so of
    # `execution.default_backoff`, `persistence.consistency_timeout` and `background.cancellation_polling`.
    # Shorter than the grace of a pod, so that the Lease is given up before the kill.
    chosen.process.ultimate_exiting_timeout = 15
    return chosen


class _Jittered(Collection[float]):
    """Times to wait, each drawn anew whenever they are gone through: kopf does that for every request."""

    def __init__(self, seconds: Sequence[float]) -> None:
        self._seconds = seconds

    @override
    def __iter__(self) -> Iterator[float]:
        return (each * random.uniform(1 - JITTER, 1 + JITTER) for each in self._seconds)  # noqa: S311 - no secret

    @override
    def __len__(self) -> int:
        return len(self._seconds)

    @override
    def __contains__(self, seconds: object) -> bool:
        return seconds in self._seconds


async def keep_watching(
    engine: Engine,
    keeper: DefinitionKeeper,
    requests: ApiRequests,
    namespaces: Collection[str],
    ready: threading.Event,
    stop: asyncio.Event,
) -> None:
    """Watch until `stop` is set, and anew whenever kopf gives up: `ready` is set while the watches go on.

    kopf gives up for good where a resource is not served any more, or may not be read for longer than its `PATIENCE`.
    """
    while not stop.is_set():
        try:
            await watch(engine, keeper, requests, namespaces, ready, stop)
        except Exception as error:  # noqa: BLE001 - an outermost loop: whoever is blind must not stay so
            if isinstance(error, APIForbiddenError) and ready.is_set():  # in a namespace that is done without
                continue
            log_lines.warning("the API server is not watched, and is again in %g s: %s", AGAIN_SECONDS, error)
        ready.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), AGAIN_SECONDS)


async def watch(
    engine: Engine,
    keeper: DefinitionKeeper,
    requests: ApiRequests,
    namespaces: Collection[str],
    ready: threading.Event,
    stop: asyncio.Event,
) -> None:
    """Watch until `stop` is set, counting `requests`; `ready` is set while every watch stands.

    kopf runs in a thread with a loop of its own: it takes the signals of the main thread for itself, and leaves tasks
    behind when it fails.

    Raises:
        Exception: whatever made kopf give up.
    """
    loop = asyncio.get_running_loop()

    def here(act: Callable[[], None]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(act)

    def told(take: Callable[..., None], event: kopf.RawEvent) -> None:
        here(partial(take, event["object"], gone=event["type"] == GONE))

    sessions: list[aiohttp.ClientSession] = []
    tracing = (requests.tracing(here), _Watches(namespaces, ready).tracing())
    handlers = registry(partial(told, engine.seen), partial(told, keeper.seen), tracing, sessions)
    kopfs = _Kopf(handlers, tuple(namespaces), sessions)
    running = asyncio.create_task(asyncio.to_thread(asyncio.run, kopfs.run()))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        if not running.done():
            kopfs.end()
    await running


class _Watches:
    """Which watches stand, seen by the requests for them: `ready` is set while all do.

    One that is made anew stands meanwhile, unless it is refused, or nothing is served there.

    A namespace in which nothing may be watched is done without, if there is another: it was deleted, and the Role in it
    too. Whether only the Role was, nobody can tell without rights in the whole cluster, so that it is told.
    """

    def __init__(
        self, namespaces: Collection[str], ready: threading.Event, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        places = {namespace: f"namespaces/{namespace}/" for namespace in namespaces} or {"": ""}
        self._wanted = {
            namespace: {f"{place}{plural}" for plural in (ORDER_SAGA_PLURAL, SAGA_DEFINITION_PLURAL)}
            for namespace, place in places.items()
        }
        self._standing: set[str] = set()
        self._forbidden: set[str] = set()
        self._told: dict[str, float] = {}
        self._ready, self._seconds = ready, seconds

    def tracing(self) -> aiohttp.TraceConfig:
        """Return what a session needs for its watches to be seen."""

        async def answered(_: object, __: object, told: aiohttp.TraceRequestEndParams) -> None:
            self._answered(told.method, told.url, told.response.status)

        config = aiohttp.TraceConfig()
        config.on_request_end.append(answered)
        return config

    def _answered(self, method: str, url: URL, status: int) -> None:
        verb, place = verb_of(method, url), url.path.rpartition(BASE)[2]
        namespace = next((each for each, places in self._wanted.items() if place in places), None)
        if verb not in (WATCH, LIST) or namespace is None:
            return
        match status:
            case HTTPStatus.FORBIDDEN:
                self._standing.discard(place)
                self._forbidden.add(place)
                self._tell(namespace)
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.NOT_FOUND:
                self._standing.discard(place)
                self._forbidden.discard(place)
            case HTTPStatus.OK:
                self._forbidden.discard(place)
                if verb == WATCH:
                    self._standing.add(place)
            case _:
                return
        there = [places for places in self._wanted.values() if not places <= self._forbidden]
        if there and all(places <= self._standing for places in there):
            self._ready.set()
        else:
            self._ready.clear()

    def _tell(self, namespace: str) -> None:
        """Say which namespace may not be watched, and why that may be, every minute for as long as it is so."""
        now = self._seconds()
        if namespace and now >= self._told.get(namespace, now):
            self._told[namespace] = now + TELL_SECONDS
            log_lines.warning(
                "namespace %s may not be watched: the Role there was deleted, and `helm upgrade` brings it back, "
                "or the namespace was: take it off operator.watchNamespaces then",
                namespace,
            )


class _Kopf:
    """One run of kopf, in a loop of its own. Where a watch fails, kopf itself would wait for the others for ever."""

    def __init__(
        self,
        handlers: kopf.OperatorRegistry,
        namespaces: tuple[str, ...],
        sessions: list[aiohttp.ClientSession],
    ) -> None:
        self._handlers, self._namespaces, self._sessions = handlers, namespaces, sessions
        self._stop = asyncio.Event()
        self._begun = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._begun.set()
        insights = Insights()
        tasks = await kopf.spawn_tasks(
            registry=self._handlers,
            settings=settings(),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            insights=insights,
            stop_flag=self._stop,
        )
        looking = asyncio.create_task(self._look(insights))
        try:
            done, _ = await asyncio.wait([*tasks, looking], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._stop.set()
            await _end_all()
            for session in self._sessions:
                await session.close()

    def end(self) -> None:
        """Stop it, from another thread."""
        self._begun.wait()
        assert self._loop is not None, "it has begun"
        with contextlib.suppress(RuntimeError):  # its loop is closed
            self._loop.call_soon_threadsafe(self._stop.set)

    async def _look(self, insights: Insights) -> None:
        """Fail where kopf found no resource to watch, for it looks only once; else wait for the end."""
        await insights.ready_resources.wait()
        found = {resource.plural for resource in insights.watched_resources}
        missing = [plural for plural in (ORDER_SAGA_PLURAL, SAGA_DEFINITION_PLURAL) if plural not in found]
        if missing:
            raise NotServedError(f"the API server does not serve {' and '.join(missing)}: is the CRD there?")
        await self._stop.wait()


async def _end_all() -> None:
    """Cancel every other task of this loop until none is left: some of kopf's bear the first time."""
    for _ in range(CANCELS_MAX):
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if not others:
            return
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=CANCEL_SECONDS)
