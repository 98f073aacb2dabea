"""Sends spans to a collector, some at a time, beside everything else: whoever tells a span is never kept waiting.

What waits is bounded. A collector that is away costs the spans that do not fit, which are counted, and nothing else.
"""

import asyncio
import gzip
import logging
from collections import Counter, deque
from contextlib import suppress
from functools import cache
from urllib.parse import urlsplit

import httpx

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
LATER = frozenset({408, 425, 429, 502, 503, 504})
"""The answers after which OTLP has the same spans sent again."""
EXPORTED, DROPPED = "exported", "dropped"

log_lines = logging.getLogger(__name__)


class CollectorUnavailableError(Exception):
    """The collector cannot be reached, or has no time. Send the same spans again, later."""


class OtlpSpans:
    """The way to one collector. Spans that are told before `start` wait for it."""

    def __init__(self, endpoint: str, *, queue_spans_max: int = QUEUE_SPANS_MAX) -> None:
        """Send to `endpoint`: a collector, such as http://collector:4318, or the whole address of its traces."""
        self.url = endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + PATH
        self.counts: Counter[str] = Counter({EXPORTED: 0, DROPPED: 0})
        self._waiting: deque[Span] = deque()
        self._sending = 0
        self._max = queue_spans_max
        self._woken = asyncio.Event()
        self._closing = False
        self._failures = 0
        self._task: asyncio.Task[None] | None = None
        self._client = httpx.AsyncClient(timeout=REQUEST_SECONDS_MAX)
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
        await self._send_all()

    async def _send_all(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH_SPANS_MAX, len(self._waiting)))]
            self._sending = len(batch)
            try:
                await self._send(batch)
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
                if self._failures:
                    log_lines.warning("%s takes spans again; %d were dropped", self.url, self.counts[DROPPED])
                self._failures = 0
            finally:
                self._sending = 0

    async def _send(self, batch: list[Span]) -> None:
        """Send these spans.

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
            raise CollectorUnavailableError(f"{self.url} answers {answer.status_code}")
        if not answer.is_success:
            self.counts[DROPPED] += len(batch)
            log_lines.error("%s refuses %d spans: %d %.200s", self.url, len(batch), answer.status_code, answer.text)
            return
        self.counts[EXPORTED] += len(batch)

    def _take_back(self, batch: list[Span]) -> None:
        """Let the spans wait again, before those that came meanwhile, as far as there is room."""
        room = self._max - len(self._waiting)
        kept = batch[-room:] if room > 0 else []
        self._waiting.extendleft(reversed(kept))
        self.counts[DROPPED] += len(batch) - len(kept)

    def _pause(self) -> float:
        return min(EXPORT_SECONDS * 2.0 ** min(self._failures, 10), BACKOFF_SECONDS_MAX)
