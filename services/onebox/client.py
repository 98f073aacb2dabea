"""The shop's services over HTTP: typed answers in, and every way to fail as one line that says what to do."""

from collections.abc import AsyncIterator, Collection, Mapping
from http import HTTPStatus
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from onebox.answers import Problem
from onebox.errors import BadInput, Conflict, Failure, NotFound, Unreachable
from onebox.output import encode
from onebox.settings import CtlSettings

T = TypeVar("T")

PAGE_LIMIT_MAX = 1000
SHOWN_CHARACTERS_MAX = 80

Query = Mapping[str, str | int | None]


class Shop:
    """All services of one shop. Use it as an asynchronous context."""

    def __init__(self, settings: CtlSettings, transports: Mapping[str, httpx.AsyncBaseTransport] | None = None) -> None:
        """Speak to the services at their addresses, or through these transports."""
        self.settings = settings
        sent = {"X-Actor": settings.actor, "Accept": "application/json"}
        self._clients = {
            name: http_client(url, settings.timeout_seconds, sent, (transports or {}).get(name))
            for name, url in settings.urls.items()
        }

    async def __aenter__(self) -> Self:
        """Nothing is asked yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        for client in self._clients.values():
            await client.aclose()

    async def get(self, service: str, path: str, into: type[T], query: Query | None = None) -> T:
        """Return what the service answers."""
        return (await self.send("GET", service, path, into, query=query))[1]

    async def find(self, service: str, path: str, into: type[T]) -> T | None:
        """Return what the service answers; None when there is no such thing."""
        try:
            return await self.get(service, path, into)
        except NotFound:
            return None

    async def post(self, service: str, path: str, into: type[T], body: object) -> T:
        """Send the body and return what the service answers."""
        return (await self.send("POST", service, path, into, body=body))[1]

    async def pages(
        self, service: str, path: str, key: str, into: type[T], query: Query | None = None
    ) -> AsyncIterator[list[T]]:
        """Yield the whole list, page by page; `key` is the member of the answer that holds it."""
        page = msgspec.defstruct("Page", [(key, list[into]), ("nextCursor", str | None, None)])  # type: ignore[valid-type]
        cursor: str | None = None
        while True:
            answer: Any = await self.get(service, path, page, {**(query or {}), "cursor": cursor})
            yield getattr(answer, key)
            cursor = answer.nextCursor
            if not cursor:
                return

    async def some(
        self, service: str, path: str, key: str, into: type[T], query: Query | None = None, limit: int = 0
    ) -> list[T]:
        """Return the first `limit` of a list, or all of it when that is 0."""
        found: list[T] = []
        size = min(limit, PAGE_LIMIT_MAX) or PAGE_LIMIT_MAX
        async for page in self.pages(service, path, key, into, {**(query or {}), "limit": size}):
            found += page
            if limit and len(found) >= limit:
                return found[:limit]
        return found

    async def names(self, saga_ids: Collection[str]) -> Mapping[str, str] | None:  # noqa: ARG002 - a cluster uses them
        """Return what these sagas are called where the shop runs; None where sagas have no names."""
        return None

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
        """Ask the service, and return the response with what it says.

        Raises:
            Unreachable: when it does not answer, cannot serve, or answers what nobody can read.
            NotFound: when there is no such thing.
            Conflict: when the thing's state does not allow it.
            BadInput: when it refuses the request for any other reason.
        """
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        content = encode(body) if body is not None else None
        kind = {"Content-Type": "application/json"} if body is not None else {}
        response = await self._ask(service, method, path, {**kind, **(headers or {})}, asked, content)
        try:
            return response, msgspec.json.decode(response.content or b"null", type=into)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._unreadable(service, response, str(error)) from None

    async def text(self, service: str, path: str, accept: str) -> str:
        """Return what the service answers where that is not JSON; fails as `send` does."""
        return (await self._ask(service, "GET", path, {"Accept": accept})).text

    async def _ask(
        self,
        service: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        query: Query | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """Return the response, which is a success."""
        try:
            response = await self._client(service).request(method, path, params=query, content=content, headers=headers)
        except httpx.HTTPError as error:
            raise self._silent(service, error) from None
        if not response.is_success:
            raise self._refused(service, response)
        return response

    def _client(self, service: str) -> httpx.AsyncClient:
        return self._clients[service]

    def _silent(self, service: str, error: httpx.HTTPError) -> Unreachable:
        remedy = f"start it with `sagactl dev`, or set SAGACTL_{service.upper()}_URL to where it is"
        who = f"the {service} service at {self.settings.urls[service]}"
        return silent(who, error, self.settings.timeout_seconds, remedy)

    def _unreadable(self, service: str, response: httpx.Response, why: str) -> Unreachable:
        cause = f"the {service} service at {response.url} answered what sagactl cannot read: {short(why)}"
        return Unreachable(cause, f"check that SAGACTL_{service.upper()}_URL is its address, and that versions match")

    def _refused(self, service: str, response: httpx.Response) -> Failure:
        """Return the failure that a bad status means."""
        try:
            problem = msgspec.json.decode(response.content, type=Problem)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._unreadable(service, response, f"status {response.status_code} and {short(response.text)}")
        cause = _cause(problem, response.status_code)
        match response.status_code:
            case HTTPStatus.NOT_FOUND:
                return NotFound(cause, "see what there is: sagactl list, sagactl list --orders, sagactl batch list")
            case HTTPStatus.CONFLICT:
                return Conflict(cause, "see how it stands: sagactl describe ID")
            case HTTPStatus.TOO_MANY_REQUESTS:
                return Unreachable(f"the {service} service is busy: {cause}", "try again a little later")
            case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                return Unreachable(f"the {service} service cannot serve now: {cause}", "try again a little later")
        return BadInput(cause, "correct it; nothing was changed")


def path_of(*parts: str) -> str:
    """Return the path of these parts, whatever is in them."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def http_client(
    url: str,
    timeout_seconds: float,
    headers: Mapping[str, str] | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> httpx.AsyncClient:
    """Return who asks the server at this address; close it in the end."""
    return httpx.AsyncClient(
        base_url=url,
        timeout=timeout_seconds,
        headers=headers,
        transport=transport,
        trust_env=not _is_loopback(url),
        # Where there is no TLS, reading the certificates costs 0.1 s for nothing.
        verify=url.startswith("https:"),
    )


def silent(who: str, error: Exception, timeout_seconds: float, remedy: str) -> Unreachable:
    """Return what it means when there is no answer at all; `remedy` is for whoever is not there."""
    if isinstance(error, httpx.TimeoutException):
        why = f"did not answer within {timeout_seconds:g} s"
        return Unreachable(f"{who} {why}", "try again, or raise SAGACTL_TIMEOUT_SECONDS")
    why = "refuses connections" if isinstance(error, httpx.ConnectError) else f"broke off: {error}"
    return Unreachable(f"{who} {why}", remedy)


def short(text: str) -> str:
    """Return the text in one line, and not more of it than a person reads there."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS_MAX else line[: SHOWN_CHARACTERS_MAX - 1] + "…"


def _cause(problem: Problem, status: int) -> str:
    said = problem.detail or problem.title or f"status {status}"
    return "; ".join([said, *problem.reasons]) if problem.reasons else said


def _is_loopback(url: str) -> bool:
    """Tell whether the address is this machine, which no proxy can reach for us."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
