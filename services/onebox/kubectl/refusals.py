"""What the API server and `kubectl proxy` say when a request does not come through, and what to do about it.

What a service of ours refuses comes through as it is, in problem details; these are of two other kinds: a `Status` of
the API server, and plain text.
"""

import re
from http import HTTPStatus

import httpx
import msgspec

from onebox.errors import BadInput, Failure, NotFound, Unreachable
from onebox.kubectl.place import Place

NO_ENDPOINTS = re.compile(r"no endpoints available", re.IGNORECASE)
NOT_REACHED = re.compile(r"error trying to reach service: '?(?P<why>.*?)'?", re.IGNORECASE | re.DOTALL)
FORBIDDEN = re.compile(r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)"')


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the API server answers what it does not do."""

    kind: str
    message: str = ""
    code: int = 0


def refusal(response: httpx.Response, place: Place, service: str | None = None) -> Failure | None:
    """Return what it means when the answer is not the service's own; None when it is."""
    text = _told(response)
    if text is None:
        return None
    if not_reached := NOT_REACHED.fullmatch(text):
        return _not_reached(not_reached["why"], place, service)
    if NO_ENDPOINTS.search(text):
        return _without_pods(place, service)
    match response.status_code:
        case HTTPStatus.UNAUTHORIZED:
            return Unreachable(f"the cluster does not know you: {text}", "log in to it, and try again")
        case HTTPStatus.FORBIDDEN:
            return _forbidden(text, place)
        case HTTPStatus.NOT_FOUND if service is not None:
            see = place.line("get", "services,endpointslices")
            return Unreachable(f"the {service} service of {place.release} is not there: {text}", f"see what is: {see}")
        case HTTPStatus.NOT_FOUND:
            return NotFound(text, "check the name and the namespace")
        case HTTPStatus.INTERNAL_SERVER_ERROR:
            return Unreachable(f"the cluster does not answer: {text}", f"check it: {place.kubectl.line('version')}")
        case status if status in (HTTPStatus.TOO_MANY_REQUESTS, *range(502, 600)):
            return Unreachable(f"the API server cannot serve now: {text}", "try again a little later")
    return BadInput(f"the API server refuses: {text}", "correct it; nothing was changed")


def _told(response: httpx.Response) -> str | None:
    """Return what the API server or the proxy says, in one line."""
    if response.headers.get("content-type", "").startswith("text/plain"):
        text = response.text
    else:
        try:
            status = msgspec.json.decode(response.content, type=Status)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if status.kind != "Status":
            return None
        text = status.message
    return " ".join(text.split()) or f"status {response.status_code}"


def _without_pods(place: Place, service: str | None) -> Unreachable:
    selector = f"app.kubernetes.io/instance={place.release},app.kubernetes.io/component={service}"
    see = place.line("get", "pods", f"--selector={selector}")
    return Unreachable(f"the {service} service of {place.release} has no pod that is ready", f"see why: {see}")


def _not_reached(why: str, place: Place, service: str | None) -> Unreachable:
    remedy = "try again; if network policies are enforced, let the API server in by networkPolicy.clients of the chart"
    return Unreachable(f"the API server cannot reach the {service} service of {place.release}: {why}", remedy)


def _forbidden(text: str, place: Place) -> Unreachable:
    found = FORBIDDEN.search(text)
    right = f"to {found['verb']} {found['resource']}" if found else "to do this"
    return Unreachable(
        f"the cluster does not allow it: {text}", f"ask for the right {right} in namespace {place.namespace}"
    )
