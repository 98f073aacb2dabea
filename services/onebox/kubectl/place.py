"""Where a shop is in a cluster: its namespace, its release, and its services. No IO."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from onebox.errors import BadInput, Unreachable
from onebox.kubectl.proxy import Kubectl
from onebox.layout import PORTS

SELECTOR = "app.kubernetes.io/part-of=sagaplane"
"""What every part of a release bears, also where `nameOverride` gave `app.kubernetes.io/name` another word."""
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
PORT = "http"


@dataclass(frozen=True, slots=True)
class Place:
    """One release of Sagaplane, and in which cluster and namespace it is; `services` are names with ports."""

    kubectl: Kubectl
    namespace: str
    release: str = ""
    services: Mapping[str, str] = field(default_factory=dict)

    def path(self, service: str) -> str:
        """Return the path at which the API server passes requests on to the service."""
        return f"/api/v1/namespaces/{self.namespace}/services/http:{self.services[service]}/proxy"

    def line(self, *words: str) -> str:
        """Return a command line about this place, for the person to type."""
        return self.kubectl.line(f"--namespace={self.namespace}", *words)


def releases(kubectl: Kubectl, services: Sequence[Mapping[str, Any]]) -> list[Place]:
    """Return the releases that these Services belong to, in the order of their names."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for service in services:
        metadata = service["metadata"]
        labels = metadata.get("labels", {})
        component, port = labels.get(COMPONENT), _port(service)
        if component in PORTS and port is not None:
            key = metadata["namespace"], labels.get(INSTANCE, "")
            found.setdefault(key, {})[component] = f"{metadata['name']}:{port}"
    return [Place(kubectl, namespace, release, its) for (namespace, release), its in sorted(found.items())]


def chosen(places: Sequence[Place], namespace: str, release: str | None, see: str) -> Place:
    """Return the release that is meant; without a name, the only one.

    Raises:
        Unreachable: when there is none.
        BadInput: when there are several, or none of that name.
    """
    if not places:
        raise Unreachable(f"there is no release of Sagaplane in namespace {namespace}", see)
    named = [place for place in places if release in (None, place.release)]
    names = ", ".join(_name(place, namespace) for place in places)
    if not named:
        raise BadInput(f"there is no release {release} of Sagaplane; there are: {names}", "correct --release")
    if len(named) > 1:
        raise BadInput(f"there are {len(named)} releases of Sagaplane: {names}", "say which one with --release")
    return named[0]


def _name(place: Place, namespace: str) -> str:
    return place.release if place.namespace == namespace else f"{place.namespace}/{place.release}"


def _port(service: Mapping[str, Any]) -> int | None:
    """Return the port for requests."""
    return next((port["port"] for port in service["spec"].get("ports", ()) if port.get("name") == PORT), None)
