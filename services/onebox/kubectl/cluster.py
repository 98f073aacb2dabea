"""The shop in a cluster: found by its labels, and asked through the API server."""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import httpx
import msgspec
from typing_extensions import override

from onebox.client import Query, Shop, T, path_of
from onebox.errors import Failure, NotFound, Unreachable
from onebox.kubectl.place import SELECTOR, Place, chosen, releases
from onebox.kubectl.proxy import Kubectl
from onebox.kubectl.refusals import refusal
from onebox.kubectl.wording import PROGRAM, worded
from onebox.output import Format, Output
from onebox.session import Reach
from onebox.settings import ctl_settings

HOST = "http://localhost"
RESOURCES = "/apis/sagaplane.io/v1alpha1"
PLURAL = "ordersagas"
RESOURCE_WORDS = ("osaga", "ordersaga", PLURAL)
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
"""A row for each resource, as `kubectl get` shows it, and not the whole of it: a tenth of the bytes."""
PAGE_SIZE = 500
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
RESOURCE_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person said about where the shop is; `release` is a name, or a namespace and a name."""

    context: str | None = None
    kubeconfig: str | None = None
    namespace: str | None = None
    release: str | None = None

    def over(self, other: "Wanted") -> "Wanted":
        """Return this, and the other's word where this says nothing."""
        return Wanted(
            self.context or other.context,
            self.kubeconfig or other.kubeconfig,
            self.namespace or other.namespace,
            self.release or other.release,
        )

    @property
    def kubectl(self) -> Kubectl:
        """The kubectl that speaks to this cluster."""
        given = (("--context", self.context), ("--kubeconfig", self.kubeconfig))
        return Kubectl(tuple(f"{name}={value}" for name, value in given if value))


class ApiServer:
    """The API server, at the socket of `kubectl proxy`. Use it as a context."""

    def __init__(self, socket: Path, place: Place, timeout_seconds: float) -> None:
        self._place = place
        self._client = httpx.Client(
            base_url=HOST,
            transport=httpx.HTTPTransport(uds=str(socket)),
            timeout=timeout_seconds,
            trust_env=False,
            verify=False,  # noqa: S501 - a socket of this machine: kubectl is who checks certificates
        )

    def __enter__(self) -> Self:
        """Nothing is asked yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection."""
        self._client.close()

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return what the API server answers.

        Raises:
            NotFound: when there is no such thing.
            Unreachable: when it does not answer, or not to this person.
        """
        try:
            response = self._client.get(path, params=query)
        except httpx.HTTPError as error:
            raise _silent(error, self._place) from None
        if not response.is_success:
            raise refusal(response, self._place) or Unreachable(
                f"the API server answers {response.status_code} to {path}", f"check it: {self._place.line('version')}"
            )
        found: dict[str, Any] = response.json()
        return found


@dataclass(frozen=True)
class Cluster(Reach):
    """How commands reach a shop in a cluster: its services, and the resources of one namespace."""

    program: ClassVar[str] = PROGRAM

    socket: Path
    place: Place
    namespace: str
    server: ApiServer

    @override
    def shop(self) -> Shop:
        return ClusterShop(self)

    @override
    def output(self, form: Format) -> Output:
        return _Told(form)

    @override
    def worded(self, text: str) -> str:
        return worded(text)

    def saga(self, name: str) -> str:
        """Return the saga of the OrderSaga that is named; what names none is a saga's own word, and stays as it is.

        Raises:
            NotFound: when a resource is named for certain, and there is none, or it has no saga yet.
        """
        word, slash, resource = name.partition("/")
        certain = bool(slash) and word.lower() in RESOURCE_WORDS
        if not certain and (UUID.fullmatch(name) or not RESOURCE_NAME.fullmatch(name)):
            return name
        try:
            body = self.server.get(f"{RESOURCES}{path_of('namespaces', self.namespace, PLURAL, resource or name)}")
        except NotFound:
            if certain:
                raise
            return name
        adopted = body["spec"].get("sagaRef", {}).get("sagaId")
        status = body.get("status", {})
        saga_id = adopted or status.get("sagaId")
        if not saga_id or (not adopted and "startTime" not in status and status.get("phase") == "Pending"):
            why = status.get("message") or "the operator has not seen it"
            see = self.place.kubectl.line(f"--namespace={self.namespace}", "describe", "ordersaga", resource or name)
            raise NotFound(f"OrderSaga {resource or name} has no saga yet: {why}", f"see how it stands: {see}")
        return str(saga_id)


@contextmanager
def connected(wanted: Wanted) -> Iterator[Cluster]:
    """Yield the shop that is wanted; the way there ends with the block.

    Raises:
        Failure: when kubectl, the API server or the release is not there, or not for this person.
    """
    kubectl = wanted.kubectl
    namespace = wanted.namespace or kubectl.namespace()
    with (
        kubectl.proxy() as socket,
        ApiServer(socket, Place(kubectl, namespace), ctl_settings().timeout_seconds) as server,
    ):
        place = _place(server, kubectl, namespace, wanted.release)
        yield Cluster(socket, place, namespace, server)


def _place(server: ApiServer, kubectl: Kubectl, namespace: str, release: str | None) -> Place:
    """Return where the shop is: in the namespace, or where its name says, or where the only one of the cluster is."""
    within, slash, name = (release or "").rpartition("/")
    query = {"labelSelector": SELECTOR}
    somewhere = within or namespace
    found = releases(kubectl, server.get(f"/api/v1{path_of('namespaces', somewhere, 'services')}", query)["items"])
    if not found and not slash:
        try:
            found = releases(kubectl, server.get("/api/v1/services", query)["items"])
        except Failure:
            found = []
    return chosen(
        found, somewhere, name or None, "name it: --release NAMESPACE/NAME, or its namespace with --namespace"
    )


class ClusterShop(Shop):
    """All services of one release."""

    def __init__(self, cluster: Cluster) -> None:
        """Speak to them through the socket."""
        self._cluster = cluster
        self._place = cluster.place
        urls = {service: f"{HOST}{self._place.path(service)}" for service in self._place.services}
        through = httpx.AsyncHTTPTransport(uds=str(cluster.socket))
        super().__init__(replace(ctl_settings(), urls=urls), dict.fromkeys(urls, through))

    @override
    async def names(self, saga_ids: Collection[str]) -> Mapping[str, str]:
        """Return how the OrderSagas of these sagas are called; none where they may not be looked at."""
        wanted, found = set(saga_ids), dict[str, str]()
        query: dict[str, str] = {"limit": str(PAGE_SIZE), "includeObject": "None"}
        path = f"{RESOURCES}{path_of('namespaces', self._cluster.namespace, PLURAL)}"
        async with httpx.AsyncClient(
            base_url=HOST,
            transport=httpx.AsyncHTTPTransport(uds=str(self._cluster.socket)),
            timeout=self.settings.timeout_seconds,
            trust_env=False,
        ) as client:
            while wanted - found.keys():
                try:
                    response = await client.get(path, params=query, headers={"Accept": TABLE})
                    table = msgspec.json.decode(response.content, type=_Table)
                except (httpx.HTTPError, msgspec.DecodeError):
                    return found
                found |= {saga: name for saga, name in table.pairs() if saga in wanted}
                if not table.metadata.next:
                    return found
                query["continue"] = table.metadata.next
        return found

    @override
    async def send(
        self,
        method: str,
        service: str,
        path: str,
        into: type[T],
        *,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[httpx.Response, T]:
        if service not in self._place.services:
            see = self._place.line("get", "services", f"--selector={SELECTOR}")
            raise Unreachable(f"{self._place.release} has no {service} service", f"see what it has: {see}")
        return await super().send(method, service, path, into, query=query, body=body, headers=headers)

    @override
    def _silent(self, service: str, error: httpx.HTTPError) -> Unreachable:
        if isinstance(error, httpx.TimeoutException):
            why = f"did not answer within {self.settings.timeout_seconds:g} s"
            remedy = "try again, or raise SAGACTL_TIMEOUT_SECONDS"
            return Unreachable(f"the {service} service of {self._place.release} {why}", remedy)
        return _silent(error, self._place)

    @override
    def _refused(self, service: str, response: httpx.Response) -> Failure:
        return refusal(response, self._place, service) or super()._refused(service, response)

    @override
    def _unreadable(self, service: str, response: httpx.Response, why: str) -> Unreachable:
        cause = f"the {service} service of {self._place.release} answered what {PROGRAM} cannot read: {why}"
        see = self._place.line("get", "services", "--show-labels")
        return Unreachable(cause, f"check that the versions match: {see}")


class _Next(msgspec.Struct, frozen=True):
    next: str = msgspec.field(name="continue", default="")


class _Named(msgspec.Struct, frozen=True):
    name: str


class _Row(msgspec.Struct, frozen=True):
    cells: list[Any]


class _Table(msgspec.Struct, frozen=True, rename="camel"):
    """Resources as rows."""

    column_definitions: list[_Named]
    rows: list[_Row]
    metadata: _Next

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield each saga, and the name of its resource."""
        heads = [column.name for column in self.column_definitions]
        name, saga = heads.index("Name"), heads.index("Saga")
        return ((str(row.cells[saga]), str(row.cells[name])) for row in self.rows if row.cells[saga])


class _Told(Output):
    """What is said to a person names the commands of the plugin."""

    @override
    def say(self, text: str) -> None:
        super().say(worded(text))

    @override
    def note(self, text: str) -> None:
        super().note(worded(text))


def _silent(error: httpx.HTTPError, place: Place) -> Unreachable:
    if isinstance(error, httpx.TimeoutException):
        return Unreachable("the cluster did not answer in time", f"check it: {place.kubectl.line('version')}")
    return Unreachable(f"kubectl proxy broke off: {error}", f"check the cluster: {place.kubectl.line('version')}")
