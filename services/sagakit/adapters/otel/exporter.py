"""Sends spans to a collector, some at a time, beside everything else: whoever tells a span is never kept waiting.

What waits is bounded. A collector that is away costs the spans that do not fit, which are counted, and nothing else.
"""

import asyncio
import gzip
import logging
import ssl
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from urllib.parse import urlsplit

import httpx
import msgspec

from sagakit.adapters.otel.otlp import encode
from sagakit.adapters.otel.resource import resource_of
from sagakit.core.traces import Span

PATH = "/v1/traces"
QUEUE_SPANS_MAX = 20_000
"""About 20 MB: half a kilobyte of attributes each, and their names are shared."""
BATCH_SPANS_MAX = 400
"""At 12 us for each, encoding them holds everybody else up for 5 ms."""
EXPORT_SECONDS = 1.0
"""How long a span waits at most before it is sent."""
REQUEST_SECONDS_MAX = 5.0
CLOSE_SECONDS_MAX = 3.0
BACKOFF_SECONDS_MAX = 30.0
ASKED_SECONDS_MAX = 300
"""How long a collector may ask for by `Retry-After`."""
REFUSAL_SECONDS = 60.0
"""A refusal may come with every batch, each second: how long after one line the next is said."""
LATER = frozenset({408, 425, 429, 502, 503, 504})
"""The answers after which OTLP has the same spans sent again."""
EXPORTED, DROPPED = "exported", "dropped"

log_lines = logging.getLogger(__name__)


class CollectorUnavailableError(Exception):
    """The collector cannot be reached, or has no time. Send the same spans again, later."""


class OtlpSpans:
    """The way to one collector. Spans that are told before `start` wait for it."""

    def __init__(
        self,
        endpoint: str,
        *,
        headers: Mapping[str, str] | None = None,
        trusted: ssl.SSLContext | None = None,
        queue_spans_max: int = QUEUE_SPANS_MAX,
    ) -> None:
        """Send to `endpoint`: a collector, such as http://collector:4318, or the whole address of its traces.

        Every request has the `headers`. Its certificate is one of the `trusted`, or of those that the system trusts.
        """
        self.url = endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + PATH
        self.counts: Counter[str] = Counter({EXPORTED: 0, DROPPED: 0})
        self._waiting: deque[Span] = deque()
        self._sending = 0
        self._max = queue_spans_max
        self._woken = asyncio.Event()
        self._closing = False
        self._failures = 0
        self._not_before = 0.0
        self._refused = 0
        self._refusing = False
        self._tell_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._client = httpx.AsyncClient(
            headers=headers, verify=True if trusted is None else trusted, timeout=REQUEST_SECONDS_MAX
        )
        self._resource_of = cache(resource_of)

    @property
    def waiting(self) -> int:
        """How many spans the collector has not taken yet, with those that are on their way to it."""
        return len(self._waiting) + self._sending

    def tell(self, span: Span) -> None:
        """Take a span; when too many wait, the oldest is dropped."""
        if len(self._waiting) >= self._max:
            self._waiting.popleft()
            self.counts[DROPPED] += 1
        self._waiting.append(span)
        if len(self._waiting) >= BATCH_SPANS_MAX and not self._failures:
            self._woken.set()

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.create_task(self._run(), name="spans")

    async def close(self) -> None:
        """Send what waits, within bounded time; what cannot be sent is dropped."""
        self._closing = True
        self._woken.set()
        if self._task is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._task, CLOSE_SECONDS_MAX)
        self.counts[DROPPED] += len(self._waiting)
        self._waiting.clear()
        await self._client.aclose()

    async def _run(self) -> None:
        while not self._closing:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), self._pause())
            self._woken.clear()
            await self._send_all()
            if self._failures and not self._closing:
                self._woken.clear()
        await self._send_all()

    async def _send_all(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH_SPANS_MAX, len(self._waiting)))]
            self._sending = len(batch)
            try:
                taken = await self._send(batch)
            except CollectorUnavailableError as error:
                self._take_back(batch)
                self._failures += 1
                if self._failures == 1:
                    log_lines.warning("%s; spans wait, and are dropped beyond %d", error, self._max)
                return
            except asyncio.CancelledError:
                self._take_back(batch)
                raise
            except Exception:
                log_lines.exception("%d spans cannot be sent", len(batch))
                self.counts[DROPPED] += len(batch)
            else:
                if taken and (self._failures or self._refusing):
                    log_lines.warning("%s takes spans again; %d were dropped", self.url, self.counts[DROPPED])
                    self._refusing = False
                self._failures = 0
            finally:
                self._sending = 0

    async def _send(self, batch: list[Span]) -> bool:
        """Send these spans, and tell whether all of them were taken.

        Raises:
            CollectorUnavailableError: when they are to be sent again.
        """
        body = gzip.compress(encode(batch, self._resource_of), 1)
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        try:
            answer = await self._client.post(self.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise CollectorUnavailableError(f"{self.url}: {type(error).__name__} {error}".strip()) from None
        if answer.status_code in LATER:
            self._not_before = asyncio.get_running_loop().time() + _asked_seconds(answer)
            raise CollectorUnavailableError(f"{self.url} answers {answer.status_code}")
        rejected, why = _rejected(answer, len(batch))
        self.counts[EXPORTED] += len(batch) - rejected
        if rejected:
            self._refuse(rejected, why)
        return not rejected

    def _refuse(self, number: int, why: str) -> None:
        """Count spans that the collector does not take, and say so, unless that was said just now."""
        self.counts[DROPPED] += number
        self._refused += number
        now = asyncio.get_running_loop().time()
        if now < self._tell_at:
            return
        log_lines.error("%s refuses %d spans: %.200s", self.url, self._refused, why)
        self._refused, self._refusing, self._tell_at = 0, True, now + REFUSAL_SECONDS

    def _take_back(self, batch: list[Span]) -> None:
        """Let the spans wait again, before those that came meanwhile, as far as there is room."""
        room = self._max - len(self._waiting)
        kept = batch[-room:] if room > 0 else []
        self._waiting.extendleft(reversed(kept))
        self.counts[DROPPED] += len(batch) - len(kept)

    def _pause(self) -> float:
        """Return for how long nothing is sent: longer with each failure, and as long as the collector asked for."""
        asked = self._not_before - asyncio.get_running_loop().time()
        return max(asked, min(EXPORT_SECONDS * 2.0 ** min(self._failures, 10), BACKOFF_SECONDS_MAX))


class _Partial(msgspec.Struct, frozen=True, rename="camel"):
    rejected_spans: int | None = None
    error_message: str | None = None


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    partial_success: _Partial | None = None


def _rejected(answer: httpx.Response, number: int) -> tuple[int, str]:
    """Return how many of so many spans are not taken, and why: all, where the answer is none of OTLP's.

    A body that is not JSON was written by something else, such as a page that answers at every path. A collector may
    answer as protocol buffers nevertheless, and then its status alone counts.
    """
    if not answer.is_success:
        return number, f"{answer.status_code} {answer.text}"
    if not answer.content.strip() or "protobuf" in answer.headers.get("Content-Type", ""):
        return 0, ""
    try:
        told = _decode(answer.content).partial_success or _Partial()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return number, f"{answer.status_code} with what is no answer of OTLP: {answer.text}"
    return min(max(told.rejected_spans or 0, 0), number), told.error_message or "without a reason"


def _asked_seconds(answer: httpx.Response) -> int:
    """Return how long the collector wants to be left alone, where it says so in seconds."""
    asked = answer.headers.get("Retry-After", "").strip()
    return min(int(asked[:9]), ASKED_SECONDS_MAX) if asked.isdecimal() else 0


_decode = msgspec.json.Decoder(_Answer, strict=False).decode
