"""A service's routes as an ASGI application: Litestar finds the route; the kit reads, answers, and tells problems."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Litestar, Request, Response
from litestar.enums import HttpMethod
from litestar.exceptions import ClientException, HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from sagakit.ports import LogUnavailableError, OffsetOutOfRangeError, StoreUnavailableError
from sagakit.runtime.http.crowd import LIMITS, Limits, is_crowded
from sagakit.runtime.http.problems import PROBLEM_JSON, ProblemError, invalid, problem, unavailable
from sagakit.runtime.http.routes import BODY_BYTES_MAX, JSON, Call, Reading, Reply, Route, encode

QUERY_FIELDS_MAX = 100
BODY_SECONDS_MAX = 30.0
LARGE_BODIES_MAX = 8
"""So many bodies beyond the usual size are in hand at once; the others wait, mostly unread."""
HUNG_UP = "client disconnected prematurely"
"""What Litestar says, as an error of the server, when a body ends with its connection."""

log_lines = logging.getLogger(__name__)

AnyRequest = Request[Any, Any, Any]
Answer = Response[bytes] | Stream
Application = Callable[..., Awaitable[None]]
"""Any ASGI application."""


class Requests:
    """How many requests a service answered, by (method, route, status)."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.counts: Counter[tuple[str, str, int]] = Counter()


def build_app(routes: Sequence[Route], requests: Requests | None = None, limits: Limits = LIMITS) -> Application:
    """Return the application of these routes. Whatever goes wrong is answered by a problem document."""
    turns = asyncio.Semaphore(LARGE_BODIES_MAX)
    streams = _Streams(limits.streams)
    counts = (requests or Requests()).counts
    by_path: dict[str, list[Route]] = {}
    for route in routes:
        by_path.setdefault(route.path, []).append(route)

    def answer_problem(request: AnyRequest, error: Exception) -> Answer:
        told = told_of(error, request)
        template = request.scope.get("path_template", "unknown")
        counts[request.method, str(template), told.problem.status] += 1
        return _answer(told.problem.status, told.problem, told.headers, PROBLEM_JSON)

    found = Litestar(
        [_handler(path, those, counts, turns, streams) for path, those in by_path.items()],
        exception_handlers={Exception: answer_problem, HTTPException: answer_problem},
        openapi_config=None,
        logging_config=None,
    )
    return streams.counted(found)


def told_of(error: Exception, request: AnyRequest) -> ProblemError:
    """Return what a client is told of an error; of a bug, nothing but that it is one."""
    match error:
        case ProblemError():
            return error
        case StoreUnavailableError() | LogUnavailableError() | OffsetOutOfRangeError():
            return unavailable(str(error))
        case HTTPException(status_code=404):
            return ProblemError(problem(404, detail=f"there is no {request.url.path} here"))
        case HTTPException(status_code=405, headers=headers):
            allowed = {"Allow": (headers or {}).get("allow", "")}
            return ProblemError(problem(405, detail=f"{request.method} means nothing at {request.url.path}"), allowed)
        case HTTPException(status_code=413):
            limit = _limit(request)
            rule = f"the body must not exceed {limit} bytes"
            # The connection stays: to close it on a client that still sends would take this answer from it.
            return ProblemError(problem(413, detail=rule, field="", rule=rule))
        case HTTPException(status_code=500, detail=detail) if detail == HUNG_UP:
            return ProblemError(problem(408, detail="the body did not come whole"))
        case ClientException(status_code=status, detail=detail):
            return ProblemError(problem(status, detail=detail))
        case _:
            log_lines.error("%s %s failed", request.method, request.url.path, exc_info=error)
            return ProblemError(problem(500, detail="an error of ours; it is in the log of the service"))


class _Streams:
    """The answers without end that are under way, by the request of each."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[int] = set()

    def begin(self, request: AnyRequest) -> None:
        """Begin one more.

        Raises:
            ProblemError: 503, when there are too many.
        """
        if len(self._open) >= self._most:
            raise unavailable(f"{self._most} streams are open, and no more may be")
        self._open.add(id(request.scope))

    def counted(self, app: Any) -> Application:  # noqa: ANN401 - an ASGI application
        """Return the application that knows when each has ended, however it did."""

        async def answer(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - as ASGI has them
            try:
                await app(scope, receive, send)
            finally:
                self._open.discard(id(scope))

        return answer


def _handler(
    path: str,
    routes: Sequence[Route],
    counts: Counter[tuple[str, str, int]],
    turns: asyncio.Semaphore,
    streams: _Streams,
) -> HTTPRouteHandler:
    """Return one handler for all methods of a path: Litestar would tell `Allow` of each registered alone."""
    responders = {method: _responder(route, counts, turns, streams) for route in routes for method in _methods(route)}

    async def respond(request: AnyRequest) -> Answer:
        return await responders[request.method](request)

    return HTTPRouteHandler(
        path.replace("}", ":str}"),
        http_method=[HttpMethod(method) for method in responders],
        status_code=200,  # the default, which Litestar takes for 204 where there is a DELETE; each answer has its own
        request_max_body_size=max(route.body_bytes_max for route in routes),
    )(respond)


def _methods(route: Route) -> list[str]:
    """Return the methods of a route: whatever can be got can be asked for its headers alone."""
    return ["GET", "HEAD"] if route.method == "GET" else [route.method]


def _responder(
    route: Route, counts: Counter[tuple[str, str, int]], turns: asyncio.Semaphore, streams: _Streams
) -> Callable[[AnyRequest], Awaitable[Answer]]:
    read: Reading[Any, Any] = Reading(route)
    bare_status = next(iter(route.returns))
    keys = {status: (route.method, route.path, status) for status in route.returns}
    takes_body, handle = route.body is not None, route.handler
    changes = route.method != "GET"
    turn = turns if route.body_bytes_max > BODY_BYTES_MAX else None

    async def respond(request: AnyRequest) -> Answer:
        if is_crowded(request.scope) and not route.spared:
            raise unavailable("too many ask at once")
        if changes:
            _refuse_strangers(request.headers)
        if turn is None or _is_announced_small(request.headers):
            return await answer(request)
        await _have(turn)
        try:
            return await answer(request)
        finally:
            turn.release()

    async def answer(request: AnyRequest) -> Answer:
        query = request.scope["query_string"]
        params = read.params(request.path_params, _pairs(query) if query else [], request.headers)
        body = read.body(await _json(request)) if takes_body else None
        said = await handle(Call(params, body))
        reply = said if isinstance(said, Reply) else Reply(bare_status, said)
        in_parts = isinstance(reply.body, AsyncIterator)
        # Whoever asks for the headers alone waits for no parts, which may have no end.
        unheard = in_parts and request.method == "HEAD"
        if in_parts and not unheard:
            streams.begin(request)
        counts[keys[reply.status]] += 1
        return _answer(reply.status, b"" if unheard else reply.body, dict(reply.headers), reply.media_type)

    return respond


def _refuse_strangers(headers: Mapping[str, str]) -> None:
    """Refuse what a page of another site has a browser ask: it may, without being allowed to read the answer.

    Browsers say whose page it is. Where they do not trust the address they say only its origin, and to a program that
    is no browser neither applies. Another port of the same host is another service, and so a stranger too.
    """
    whose = headers.get("sec-fetch-site")
    if whose is None and (origin := headers.get("origin")) is not None:
        whose = "same-origin" if origin.partition("://")[2] == headers.get("host") else "cross-site"
    if whose not in (None, "same-origin", "none"):
        raise ProblemError(problem(403, detail="a page of another site may not ask for this"))


def _is_announced_small(headers: Mapping[str, str]) -> bool:
    """Tell whether a body is no larger than on any route; the parser reads no more of it than was announced."""
    announced = headers.get("content-length", "")
    return announced.isdecimal() and int(announced) <= BODY_BYTES_MAX


async def _have(turn: asyncio.Semaphore) -> None:
    """Wait for a turn, not for ever: whoever has one may be slow."""
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            await turn.acquire()
    except TimeoutError:
        raise unavailable(f"{LARGE_BODIES_MAX} large bodies are in hand already") from None


async def _json(request: AnyRequest) -> bytes:
    content_type = request.headers.get("content-type", JSON)
    if content_type != JSON:
        name = content_type.partition(";")[0].strip().lower()
        if name != JSON and not name.endswith("+json"):
            raise _unsupported("Content-Type", f"must be {JSON}, not {name or 'empty'}")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise _unsupported("Content-Encoding", "must be identity: send the body as it is")
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            return await request.body()
    except TimeoutError:
        detail = f"the body did not come within {BODY_SECONDS_MAX:g} seconds"
        raise ProblemError(problem(408, detail=detail), {"Connection": "close"}) from None


def _unsupported(field: str, rule: str) -> ProblemError:
    return ProblemError(problem(415, detail=f"{field}: {rule}", field=field, rule=rule), {"Accept": JSON})


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS_MAX
        )
    except ValueError as error:
        raise invalid(
            "", f"the query must be UTF-8, percent-encoded, with at most {QUERY_FIELDS_MAX} fields"
        ) from error


def _answer(
    status: int, body: msgspec.Struct | bytes | AsyncIterator[bytes] | None, headers: dict[str, str], media_type: str
) -> Answer:
    if isinstance(body, AsyncIterator):
        return Stream(body, status_code=status, headers=headers, media_type=media_type)
    content = body if isinstance(body, bytes) else b"" if body is None else encode(body)
    return Response(content, status_code=status, headers=headers, media_type=media_type)


def _limit(request: AnyRequest) -> int:
    handler = request.scope.get("route_handler")
    return (
        handler.resolve_request_max_body_size() if isinstance(handler, HTTPRouteHandler) else None
    ) or BODY_BYTES_MAX
