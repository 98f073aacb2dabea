"""What is counted of the requests of our client and of kopf's to an API server, which is a small one of our own."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import yaml  # type: ignore[import-untyped]
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from kopf._cogs.clients.errors import APIForbiddenError
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from typing_extensions import override
from yarl import URL

from saga_operator import handlers
from saga_operator.api_requests import ApiRequests, verb_of
from saga_operator.cluster import Cluster, UnavailableError
from saga_operator.pace import Pace
from saga_operator.resources import GROUP, ORDER_SAGA_PLURAL, SAGA_DEFINITION_PLURAL, VERSION
from sagakit.runtime.metrics import Distributed

BASE = f"/apis/{GROUP}/{VERSION}"
SECONDS_MAX = 30.0
WATCHES = 6
REFUSED = "Ran out of valid credentials"
Json = dict[str, Any]


@dataclass
class ApiServer:
    """An API server with nothing in it, which ends each watch at once; with a `status`, it refuses everything."""

    status: int | None = None
    gone: set[str] = field(default_factory=set)
    """Resources that are not served."""
    forbidden: dict[str, int] = field(default_factory=dict)
    """What whoever asks for these resources is told."""
    gone_namespaces: set[str] = field(default_factory=set)
    """Where nobody may do anything, for the Role there went too."""
    objects: int = 0
    """How many OrderSagas there are to be listed."""
    asked: list[str] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)
    """How many objects each answer to a list had."""
    watches: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def started(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        async with TestServer(app) as server:
            yield str(server.make_url("")).rstrip("/")

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path_qs}")
        if self.status is not None:
            return web.json_response({"kind": "Status", "code": self.status, "message": "no"}, status=self.status)
        last = request.path.rpartition("/")[2]
        if any(f"/namespaces/{namespace}/" in request.path for namespace in self.gone_namespaces):
            return web.json_response({"kind": "Status", "code": 403, "message": "no"}, status=403)
        if last in self.forbidden:
            code = self.forbidden[last]
            return web.json_response({"kind": "Status", "code": code, "message": "no"}, status=code)
        if last in self.gone:
            return web.Response(text="404 page not found", status=404)
        if request.query.get("watch") == "true":
            self.watches += 1
            if self.watches == WATCHES:
                self.enough.set()
            return web.Response(text="")
        if request.path.endswith((ORDER_SAGA_PLURAL, SAGA_DEFINITION_PLURAL)):
            return web.json_response(self._page(request, self.objects if last == ORDER_SAGA_PLURAL else 0))
        found = discovered(request.path)
        if "resources" in found:
            found["resources"] = [each for each in found["resources"] if each["name"] not in self.gone]
        return web.json_response(found)

    def _page(self, request: web.Request, objects: int) -> Json:
        first, limit = int(request.query.get("continue", "0")), int(request.query.get("limit", str(objects)))
        end = min(first + limit, objects)
        items = [
            {"metadata": {"uid": f"uid-{n}", "name": f"order-{n}", "namespace": "shop"}} for n in range(first, end)
        ]
        self.pages.append(len(items))
        return {"items": items, "metadata": {"resourceVersion": "1", "continue": str(end) if end < objects else ""}}


def discovered(path: str) -> Json:
    """Return what there is to be had, as far as kopf looks."""
    version = {"version": VERSION}
    match path:
        case "/api":
            return {"versions": ["v1"]}
        case "/apis":
            return {"groups": [{"name": GROUP, "preferredVersion": version, "versions": [version]}]}
        case "/api/v1":
            return {"resources": [resource("namespaces", "Namespace")]}
        case its if its == BASE:
            both = ((ORDER_SAGA_PLURAL, "OrderSaga"), (SAGA_DEFINITION_PLURAL, "SagaDefinition"))
            return {"resources": [resource(plural, kind) for plural, kind in both]}
    return {}


def resource(plural: str, kind: str) -> Json:
    verbs = ["list", "watch", "patch"]
    return {"name": plural, "kind": kind, "singularName": kind.lower(), "namespaced": True, "verbs": verbs}


@asynccontextmanager
async def cluster_at(host: str, seconds: float = 5.0) -> AsyncIterator[Cluster]:
    requests = ApiRequests()
    async with ApiClient(Configuration(host=host, trace_configs=[requests.tracing()])) as client:
        yield Cluster(client, Pace(100, 100), seconds, requests)


@pytest.mark.parametrize(
    ("method", "path", "verb"),
    [
        ("GET", f"{BASE}/namespaces/shop/ordersagas/order-1", "get"),
        ("GET", f"{BASE}/namespaces/shop/ordersagas", "list"),
        ("GET", f"{BASE}/ordersagas?limit=500", "list"),
        ("GET", f"/k8s/clusters/one{BASE}/ordersagas", "list"),
        ("GET", f"{BASE}/ordersagas?watch=true&resourceVersion=7", "watch"),
        ("GET", f"{BASE}/ordersagas?watch=false", "list"),
        ("GET", BASE, "get"),
        ("GET", "/version", "get"),
        ("POST", "/apis/events.k8s.io/v1/namespaces/shop/events", "create"),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/shop/leases/operator", "update"),
        ("PATCH", f"{BASE}/namespaces/shop/ordersagas/order-1/status", "patch"),
        ("DELETE", f"{BASE}/namespaces/shop/ordersagas/order-1", "delete"),
    ],
)
def test_a_request_has_the_verb_that_kubernetes_has_for_it(method: str, path: str, verb: str) -> None:
    assert verb_of(method, URL(f"https://api:6443{path}")) == verb


async def test_what_we_ask_is_counted_by_verb_and_answer_and_timed() -> None:
    server = ApiServer()
    async with server.started() as host, cluster_at(host) as cluster:
        assert await cluster.list_ordersagas("shop") == []
        await cluster.read_lease("shop", "operator")
        server.status = 503
        with pytest.raises(UnavailableError):
            await cluster.create_ordersaga("shop", {"metadata": {"name": "order-1"}})
        requests = cluster.requests
    assert requests.counts == {("list", "200"): 1, ("get", "200"): 1, ("create", "503"): 1}
    timed = {labels: value for _, labels, value in requests.durations.samples()}
    assert set(timed) == {("list",), ("get",), ("create",)}
    assert all(isinstance(its, Distributed) and its.buckets[-1][1] == 1 for its in timed.values())


async def test_a_request_without_an_answer_is_counted_by_the_reason() -> None:
    async with cluster_at(f"http://127.0.0.1:{unused_port()}") as cluster:
        with pytest.raises(UnavailableError):
            await cluster.read_lease("shop", "operator")
        assert cluster.requests.counts == {("get", "unreachable"): 1}

    async def silent(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError("it never answers")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", silent)
    async with TestServer(app) as server, cluster_at(str(server.make_url("")).rstrip("/"), 0.05) as cluster:
        with pytest.raises(UnavailableError):
            await cluster.read_lease("shop", "operator")
        assert cluster.requests.counts == {("get", "timeout"): 1}


def test_a_watch_is_not_timed_and_each_after_the_first_is_one_that_began_again() -> None:
    requests = ApiRequests()
    for plural in (ORDER_SAGA_PLURAL, SAGA_DEFINITION_PLURAL):
        requests.count("GET", URL(f"https://api{BASE}/{plural}?watch=true"), "200", 600.0)
    assert requests.watch_restarts == 0
    requests.count("GET", URL(f"https://api{BASE}/ordersagas?watch=true&resourceVersion=9"), "410", 0.1)
    assert requests.watch_restarts == 1
    assert requests.counts == {("watch", "200"): 2, ("watch", "410"): 1}
    assert not [*requests.durations.samples()]


def kubeconfig(place: Path, host: str) -> Path:
    path = place / "kubeconfig"
    its = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": host}}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
    }
    path.write_text(yaml.safe_dump(its))
    return path


class Nobody:
    """Takes note of nothing."""

    def seen(self, body: Json, *, gone: bool = False) -> None:
        raise AssertionError(f"there is nothing to be seen, and {body} was, {gone=}")


@asynccontextmanager
async def watching(requests: ApiRequests) -> AsyncIterator[asyncio.Task[None]]:
    """Let kopf watch, and stop it in the end."""
    nobody: Any = Nobody()
    stop = asyncio.Event()
    task = asyncio.create_task(handlers.watch(nobody, nobody, requests, (), threading.Event(), stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait([task], timeout=SECONDS_MAX)


async def test_the_requests_of_kopf_and_its_watches_that_begin_again_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, requests = ApiServer(), ApiRequests()
    async with server.started() as host:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, host)))
        async with watching(requests):
            await asyncio.wait_for(server.enough.wait(), SECONDS_MAX)
    verbs: Counter[str] = Counter()
    for (verb, _), number in requests.counts.items():
        verbs[verb] += number
    cut_off = requests.counts["watch", "cancelled"]
    assert requests.counts["list", "200"] == 2
    assert requests.watch_restarts == verbs["watch"] - 2 >= WATCHES - 2, "two resources are watched"
    assert verbs.total() - cut_off <= len(server.asked) <= verbs.total(), "nothing was asked that was not counted"


async def test_resources_are_listed_some_hundred_at_a_time_and_all_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, stop, everything = ApiServer(objects=1001), asyncio.Event(), Everything()
    async with server.started() as host:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, host)))
        everybody, ready = cast("Any", everything), threading.Event()
        task = asyncio.create_task(handlers.watch(everybody, everybody, ApiRequests(), (), ready, stop))
        try:
            await until(lambda: len(everything.names) == server.objects)
        finally:
            stop.set()
            await asyncio.wait([task], timeout=SECONDS_MAX)
    assert max(server.pages) == 500


def test_who_waits_for_an_api_server_waits_as_long_as_nobody_else() -> None:
    backoffs = handlers.settings().networking.error_backoffs
    assert isinstance(backoffs, Collection)
    first, again = [*backoffs], [*backoffs]
    assert len(first) == len(again) == len(backoffs) == len(handlers.PATIENCE)
    assert first != again
    for drawn in (first, again):
        assert all(0.8 * each <= seconds <= 1.2 * each for seconds, each in zip(drawn, handlers.PATIENCE, strict=True))


class Everything:
    """Sees whatever the watch brings."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def seen(self, body: Json, *, gone: bool = False) -> None:
        assert not gone
        self.names.add(body["metadata"]["name"])


# kopf does not close the session that it does not take, for the operator ends then.
@pytest.mark.filterwarnings("ignore:.*ClientSession.*:pytest.PytestUnraisableExceptionWarning")
async def test_kopf_gives_up_when_what_it_logs_in_with_is_refused_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, requests = ApiServer(status=401), ApiRequests()
    async with server.started() as host:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, host)))
        async with watching(requests) as task:
            with pytest.raises(Exception, match=REFUSED):
                await asyncio.wait_for(task, SECONDS_MAX)
    assert 1 <= requests.counts["get", "401"] <= len(server.asked) < 10, "it does not go on asking"


@pytest.mark.parametrize("gone", [{ORDER_SAGA_PLURAL}, {SAGA_DEFINITION_PLURAL}], ids=str)
@pytest.mark.parametrize("at_the_start", [True, False])
async def test_what_is_not_served_any_more_is_watched_again_once_it_is(
    gone: set[str], at_the_start: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "AGAIN_SECONDS", 0.05)
    server, ready, stop, nobody = ApiServer(), threading.Event(), asyncio.Event(), cast("Any", Nobody())
    async with server.started() as host:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, host)))
        server.gone = gone if at_the_start else set()
        watch = handlers.keep_watching(nobody, nobody, ApiRequests(), (), ready, stop)
        watching = asyncio.create_task(watch)
        try:
            if not at_the_start:
                await until(ready.is_set)
                server.gone = gone
            await until(lambda: not ready.is_set() and len(server.asked) > WATCHES)
            server.gone, server.asked = set(), []
            await until(ready.is_set)
            await until(lambda: all(f"{BASE}/{plural}?watch=true" in "".join(server.asked) for plural in gone))
        finally:
            stop.set()
            await asyncio.wait_for(watching, SECONDS_MAX)


@pytest.mark.parametrize("status", [401, 403])
async def test_whoever_may_not_watch_is_not_ready(status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "PATIENCE", (0.05,) * 3)
    monkeypatch.setattr(handlers, "AGAIN_SECONDS", 0.05)
    server, stop, nobody = ApiServer(), asyncio.Event(), cast("Any", Nobody())
    server.forbidden = {ORDER_SAGA_PLURAL: status}
    ready = OnceReady()
    async with server.started() as host:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, host)))
        watch = handlers.keep_watching(nobody, nobody, ApiRequests(), (), ready, stop)
        watching = asyncio.create_task(watch)
        try:
            await until(lambda: sum(ORDER_SAGA_PLURAL in asked for asked in server.asked) > WATCHES)
            assert not ready.was
            server.forbidden = {}
            await until(ready.is_set)
        finally:
            stop.set()
            await asyncio.wait_for(watching, SECONDS_MAX)


async def test_a_namespace_that_was_deleted_keeps_nobody_from_being_ready_and_is_watched_again_once_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(handlers, "PATIENCE", (0.2,) * 5)
    monkeypatch.setattr(handlers, "AGAIN_SECONDS", 0.05)
    server, stop, nobody = ApiServer(gone_namespaces={"team-a"}), asyncio.Event(), cast("Any", Nobody())
    ready, in_it = threading.Event(), f"GET {BASE}/namespaces/team-a/{ORDER_SAGA_PLURAL}"
    async with server.started() as host:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, host)))
        watch = handlers.keep_watching(nobody, nobody, ApiRequests(), ("shop", "team-a"), ready, stop)
        watching = asyncio.create_task(watch)
        try:
            await until(lambda: sum(asked.startswith(in_it) for asked in server.asked) > 2 * len(handlers.PATIENCE))
            await until(ready.is_set)
            server.gone_namespaces = set()
            await until(lambda: any(asked.startswith(f"{in_it}?watch=true") for asked in server.asked))
            await until(ready.is_set)
        finally:
            stop.set()
            await asyncio.wait_for(watching, SECONDS_MAX)
    assert [record for record in caplog.records if record.getMessage().startswith("namespace team-a may not")]


@pytest.mark.parametrize("others_stand", [True, False])
async def test_kopf_is_begun_again_unnoticed_when_it_gives_up_a_namespace_that_is_done_without(
    others_stand: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready, stop, were = threading.Event(), asyncio.Event(), list[bool]()
    if others_stand:
        ready.set()

    async def give_up(*_: object) -> None:
        were.append(ready.is_set())
        if len(were) == 2 or not others_stand:
            stop.set()
        raise APIForbiddenError(None, status=403, headers={})

    monkeypatch.setattr(handlers, "watch", give_up)
    nobody = cast("Any", Nobody())
    watching = handlers.keep_watching(nobody, nobody, ApiRequests(), ("shop", "team-a"), ready, stop)
    await asyncio.wait_for(watching, handlers.AGAIN_SECONDS / 2)
    assert were == ([True, True] if others_stand else [False])


@dataclass
class Answers:
    """What the API server answered to those who watch, as it is seen."""

    namespaces: tuple[str, ...]
    seconds: float = 1000.0
    ready: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._watches = handlers._Watches(self.namespaces, self.ready, lambda: self.seconds)

    def come(self, status: int, namespace: str, *plurals: str) -> bool:
        """Take these answers to watches, and tell whether the operator is ready."""
        for plural in plurals or (ORDER_SAGA_PLURAL, SAGA_DEFINITION_PLURAL):
            place = f"namespaces/{namespace}/{plural}" if namespace else plural
            self._watches._answered("GET", URL(f"https://api{BASE}/{place}?watch=true"), status)
        return self.ready.is_set()


def test_rights_that_are_missing_in_a_namespace_that_is_there_keep_the_operator_from_being_ready() -> None:
    answers = Answers(("shop", "team-a"))
    assert not answers.come(200, "shop")
    assert answers.come(200, "team-a")
    assert not answers.come(403, "team-a", ORDER_SAGA_PLURAL), "the definitions there are still shown"
    assert answers.come(403, "team-a", SAGA_DEFINITION_PLURAL), "nothing there is: it went"
    assert not answers.come(404, "team-a", ORDER_SAGA_PLURAL), "it may be asked for, and is not served"
    assert not answers.come(401, "shop", ORDER_SAGA_PLURAL)


@pytest.mark.parametrize("namespaces", [(), ("shop",), ("shop", "team-a")], ids=str)
def test_whoever_may_watch_nothing_at_all_is_not_ready(namespaces: tuple[str, ...]) -> None:
    answers = Answers(namespaces)
    assert [answers.come(200, namespace) for namespace in namespaces or ("",)][-1]
    assert not [answers.come(403, namespace) for namespace in namespaces or ("",)][-1]


def test_a_namespace_that_may_not_be_watched_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    answers = Answers(("shop", "team-a"))
    for _ in range(25):
        answers.come(403, "team-a")
        answers.seconds += 5
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3
    assert all("team-a" in line and "operator.watchNamespaces" in line for line in told)


class OnceReady(threading.Event):
    """Remembers whether it was ever set."""

    was = False

    @override
    def set(self) -> None:
        self.was = True
        super().set()


async def until(met: Callable[[], bool]) -> None:
    """Return once that is so."""
    async with asyncio.timeout(SECONDS_MAX):
        while not met():  # noqa: ASYNC110 - set in another thread
            await asyncio.sleep(0.01)
