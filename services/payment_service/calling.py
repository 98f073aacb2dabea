"""Requests to the provider over HTTP: time-outs, repetition within a bounded time, and a circuit breaker.

A repeated request is the same request with the same key. What cannot be told within the time is told as silence.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol, TypeVar

import httpx
import msgspec

from payment_service.circuit import Circuit
from payment_service.dialect import Failure, FailureAnswer, Request
from sagakit.ports import Clock


class Answer(Protocol):
    """What an answer is read into."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """What it is about."""


T = TypeVar("T", bound=Answer)

CALLS, RETRIES, SILENCES = "provider calls", "provider retries", "provider no answers"
PASSING = (HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS)
"""The same request is under way, or there are too many of them: that passes."""
RETRY_AFTER_SECONDS_MAX = 3600.0
BODY_BYTES_MAX = 1_000_000


class SilenceError(Exception):
    """What became of the request is not known. Ask again later, with the same key.

    `asked` is False when the provider was left alone, so that this was no attempt.
    """

    def __init__(self, text: str, *, asked: bool = True) -> None:
        """Say why nothing is known."""
        super().__init__(text)
        self.asked = asked


class RefusalError(Exception):
    """The provider has read the request and did not do it. Whoever sent it knows what each `failure.code` means."""

    def __init__(self, request: Request, status: int, failure: Failure) -> None:
        """Say what was refused and why; the credentials are not part of it."""
        words = " ".join(filter(None, (failure.type, failure.code, failure.message)))
        super().__init__(f"the provider refuses {request.method} {request.path}: {status} {words}".rstrip())
        self.status = status
        self.failure = failure


@dataclass(frozen=True, slots=True)
class CallSettings:
    """Where the provider is, and how patiently it is asked."""

    url: str
    key: str = field(repr=False)
    connect_seconds: float = 1.0
    read_seconds: float = 5.0
    attempts_max: int = 3
    backoff_seconds: float = 0.2
    backoff_seconds_max: float = 2.0
    concurrency: int = 50
    breaker_failures: int = 10
    breaker_pause_seconds: float = 10.0


class _PassingError(Exception):
    """This attempt brought no answer; the same request may be sent again after the time that was asked for.

    `alive` tells whether the provider is there nevertheless; None: it had too little time to show it.
    """

    def __init__(
        self, what: str, after_seconds: float = 0.0, *, again: bool = True, alive: bool | None = False
    ) -> None:
        super().__init__(what)
        self.after_seconds = after_seconds
        self.again = again
        self.alive = alive


class Caller:
    """One client with connections that are kept; many requests may be under way."""

    def __init__(self, settings: CallSettings, clock: Clock) -> None:
        """Open no connection yet."""
        self._settings = settings
        self._clock = clock
        self._client = httpx.AsyncClient(
            base_url=settings.url,
            headers={"Authorization": f"Bearer {settings.key}"},
            timeout=httpx.Timeout(settings.read_seconds, connect=settings.connect_seconds),
            limits=httpx.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency),
        )
        self.circuit = Circuit(clock, settings.breaker_failures, settings.breaker_pause_seconds)
        self.counts: Counter[str] = Counter({CALLS: 0, RETRIES: 0, SILENCES: 0})

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def send(self, request: Request, shape: type[T], deadline: float) -> T:
        """Return the answer, by a deadline in the time of the event loop.

        Raises:
            RefusalError: when the provider read the request and did not do it.
            SilenceError: when nobody can tell what became of it.
        """
        attempt = 0
        while True:
            if self._left(deadline) <= 0:
                raise SilenceError("there was no time left to ask the provider")
            if not self.circuit.admit():
                text = f"the provider is left alone for a while, it failed too often (circuit {self.circuit.state})"
                raise SilenceError(text, asked=attempt > 0)
            attempt += 1
            self.counts[CALLS] += 1
            self.counts[RETRIES] += attempt > 1
            try:
                answer = await self._attempt(request, shape, deadline)
            except _PassingError as error:
                self._judge(error)
                await self._wait(error, attempt, deadline)
            except RefusalError:
                self.circuit.succeeded()
                raise
            else:
                self.circuit.succeeded()
                return answer

    async def _attempt(self, request: Request, shape: type[T], deadline: float) -> T:
        fair = self._left(deadline) >= self._settings.read_seconds
        try:
            async with asyncio.timeout_at(deadline):
                response, body = await self._exchange(request)
        except TimeoutError as error:
            alive = False if fair else None
            raise _PassingError(f"{request.method} {request.path}: no answer in time", alive=alive) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            words = f"{type(error).__name__} {error}".rstrip()
            raise _PassingError(f"{request.method} {request.path}: {words}") from error
        return _read(request, response, body, shape)

    async def _exchange(self, request: Request) -> tuple[httpx.Response, bytes]:
        headers = {"Idempotency-Key": request.key} if request.key else {}
        body = bytearray()
        async with self._client.stream(
            request.method, request.path, data=request.form or None, headers=headers
        ) as response:
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > BODY_BYTES_MAX:
                    raise _PassingError(f"{request.method} {request.path}: over {BODY_BYTES_MAX} bytes of answer")
        return response, bytes(body)

    async def _wait(self, error: _PassingError, attempt: int, deadline: float) -> None:
        """Wait before the next attempt: for a random part of a time that doubles, or as long as the provider asks.

        Raises:
            SilenceError: when there is no next attempt.
        """
        doubled = self._settings.backoff_seconds * 2.0 ** (attempt - 1)
        jittered = min(doubled, self._settings.backoff_seconds_max) * self._clock.chance()
        seconds = max(jittered, error.after_seconds)
        if not error.again or attempt >= self._settings.attempts_max or seconds >= self._left(deadline):
            raise SilenceError(str(error)) from error
        await self._clock.sleep(seconds)

    def _judge(self, error: _PassingError) -> None:
        if error.alive:
            self.circuit.succeeded()
        elif error.alive is not None:
            self.circuit.failed()

    @staticmethod
    def _left(deadline: float) -> float:
        return deadline - asyncio.get_running_loop().time()


def _read(request: Request, response: httpx.Response, body: bytes, shape: type[T]) -> T:
    status, where = response.status_code, f"{request.method} {request.path}"
    if status in PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        again = response.headers.get("Stripe-Should-Retry") != "false"
        alive = status == HTTPStatus.CONFLICT
        raise _PassingError(f"{where}: answered with {status}", _retry_after(response), again=again, alive=alive)
    if not response.is_success:
        raise RefusalError(request, status, _failure(body))
    try:
        answer = msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _PassingError(f"{where}: the answer cannot be read, {error}") from error
    if request.subject not in answer.subjects:
        raise _PassingError(f"{where}: the answer is about {answer.subjects[0]}")
    return answer


def _failure(body: bytes) -> Failure:
    try:
        return msgspec.json.decode(body, type=FailureAnswer).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Failure()


def _retry_after(response: httpx.Response) -> float:
    """Return for how many seconds the provider asks us to wait; a date or nonsense is none."""
    text = response.headers.get("Retry-After", "")
    return min(float(text), RETRY_AFTER_SECONDS_MAX) if text.isascii() and text.isdigit() else 0.0
