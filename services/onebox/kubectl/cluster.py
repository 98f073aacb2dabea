"""A shop in a cluster, found by its labels, and the sagas that its resources name."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from onebox.client import Shop, path_of
from onebox.errors import Failure, NotFound
from onebox.kubectl.api_server import PLURAL, RESOURCES, ApiServer
from onebox.kubectl.place import SELECTOR, Place, chosen, releases
from onebox.kubectl.proxy import Kubectl
from onebox.kubectl.shop import ClusterShop
from onebox.kubectl.wording import PROGRAM, worded
from onebox.output import Format, Output
from onebox.session import Reach
from onebox.settings import ctl_settings

RESOURCE_WORDS = ("osaga", "ordersaga", PLURAL)
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
        return ClusterShop(self.socket, self.place, self.namespace)

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


class _Told(Output):
    """What is said to a person names the commands of the plugin."""

    @override
    def say(self, text: str) -> None:
        super().say(worded(text))

    @override
    def note(self, text: str) -> None:
        super().note(worded(text))
