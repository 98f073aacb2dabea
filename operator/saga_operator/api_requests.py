"""Every request to the API server, counted below the clients that make it: ours, and kopf's with its watches.

Both speak through aiohttp, which tells whoever traces a session when a request begins and how it ends.
"""

import time
from asyncio import CancelledError
from collections import Counter
from collections.abc import Callable, Mapping
from http import HTTPMethod
from types import SimpleNamespace

import aiohttp
from yarl import URL

from sagakit.runtime.catalogue import K8S_DURATION
from sagakit.runtime.metrics import Distributions

Tell = Callable[[Callable[[], None]], object]
"""Brings a count to where all are kept."""
TIMEOUT, CANCELLED, UNREACHABLE = "timeout", "cancelled", "unreachable"
WATCH, LIST, GET = "watch", "list", "get"
VERBS: Mapping[str, str] = {
    HTTPMethod.POST: "create",
    HTTPMethod.PUT: "update",
    HTTPMethod.PATCH: "patch",
    HTTPMethod.DELETE: "delete",
}


class ApiRequests:
    """What was asked of the API server, and what it answered."""

    def __init__(self) -> None:
        """Begin with none."""
        self.counts: Counter[tuple[str, str]] = Counter()
        """How many requests there were, by verb and code."""
        self.durations = Distributions(K8S_DURATION)
        self.watch_restarts = 0
        self._watched: set[str] = set()

    def tracing(self, tell: Tell = lambda count: count()) -> aiohttp.TraceConfig:
        """Return what a session needs for its requests to be counted; `tell` brings them here from another thread."""

        async def begun(_: object, its: SimpleNamespace, __: object) -> None:
            its.began = time.monotonic()

        async def answered(_: object, its: SimpleNamespace, told: aiohttp.TraceRequestEndParams) -> None:
            code, seconds = str(told.response.status), time.monotonic() - its.began
            tell(lambda: self.count(told.method, told.url, code, seconds))

        async def failed(_: object, its: SimpleNamespace, told: aiohttp.TraceRequestExceptionParams) -> None:
            code, seconds = word_of(told.exception), time.monotonic() - its.began
            tell(lambda: self.count(told.method, told.url, code, seconds))

        config = aiohttp.TraceConfig()
        config.on_request_start.append(begun)
        config.on_request_end.append(answered)
        config.on_request_exception.append(failed)
        return config

    def count(self, method: str, url: URL, code: str, seconds: float) -> None:
        """Count one request."""
        verb = verb_of(method, url)
        self.counts[verb, code] += 1
        if verb != WATCH:
            self.durations.at(verb).observe(seconds, 0.0)
        elif url.path in self._watched:
            self.watch_restarts += 1
        else:
            self._watched.add(url.path)


def verb_of(method: str, url: URL) -> str:
    """Return what a request does, in the words of Kubernetes."""
    if method != HTTPMethod.GET:
        return VERBS.get(method, method.lower())
    if url.query.get("watch") in ("true", "1"):
        return WATCH
    return LIST if _is_collection(url.path.strip("/").split("/")) else GET


def _is_collection(parts: list[str]) -> bool:
    """Tell whether the path is one of /apis/GROUP/VERSION/[namespaces/NAMESPACE/]PLURAL, behind whatever prefix."""
    if "apis" not in parts:
        return False
    within = parts[parts.index("apis") + 3 :]
    if within[:1] == ["namespaces"] and len(within) > 2:  # noqa: PLR2004 - its word and its name
        within = within[2:]
    return len(within) == 1


def word_of(error: BaseException) -> str:
    """Return why there was no answer."""
    match error:
        case TimeoutError():
            return TIMEOUT
        case CancelledError():
            return CANCELLED
        case _:
            return UNREACHABLE
