"""What every service answers beside its own routes: is it alive, is it ready, what did it count, how to speak to it."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from sagakit.runtime.http.openapi import document
from sagakit.runtime.http.problems import RETRY_AFTER_SECONDS, ProblemError, problem
from sagakit.runtime.http.routes import Call, Nothing, Reply, Route, Shape, header
from sagakit.runtime.metrics import AtScrape, Sample, Samples

PAGE = Path(__file__).with_name("docs.html")
TAG = "Probes"
EXPOSITION = CONTENT_TYPE_LATEST.removesuffix("; charset=utf-8")
"""Litestar adds the charset to every text."""
OPENMETRICS = openmetrics.CONTENT_TYPE_LATEST
"""With exemplars, for whoever asks for it."""

AnyCall = Call[Nothing, None]
_openmetrics: Callable[[CollectorRegistry], bytes] = openmetrics.generate_latest


class Scrape(msgspec.Struct, frozen=True):
    """How the metrics are wanted."""

    accept: Annotated[str, header("accept")] = ""


class Health(Shape, frozen=True, kw_only=True):
    """The service is well."""

    status: str = "ok"


class Probes:
    """The probes of one service."""

    def __init__(
        self,
        title: str,
        routes: Sequence[Route],
        troubles: Callable[[], Sequence[str]],
        samples: Samples,
        measured: Callable[[], Awaitable[Sequence[Sample]]],
    ) -> None:
        """Speak for a service: `troubles` are why it is not ready, `samples` what it counted, `measured` what it is."""
        self._troubles = troubles
        self._samples = samples
        self._measured = measured
        self._measures: Sequence[Sample] = ()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(AtScrape(self._all_samples))
        ProcessCollector(registry=self._registry)
        self._document = msgspec.json.encode(document(title, [*routes, *self.routes()]))
        self._page = PAGE.read_bytes()

    def routes(self) -> list[Route]:
        """Return the routes of the probes."""

        def get(path: str, handler: Any, summary: str, returns: Any, **more: Any) -> Route:  # noqa: ANN401
            return Route(
                method="GET", path=path, handler=handler, summary=summary, returns={200: returns}, tag=TAG, **more
            )

        return [
            get("/healthz", self.alive, "The process lives", Health, spared=True),
            get("/readyz", self.ready, "The service can do its work", Health, spared=True),
            get(
                "/metrics",
                self.metrics,
                "What was counted, for Prometheus",
                str,
                media_type=EXPOSITION,
                params=Scrape,
                spared=True,
            ),
            get("/openapi.json", self.openapi, "This document", dict[str, Any], documented=False),
            get("/docs", self.docs, "This document, to read", str, media_type="text/html", documented=False),
        ]

    async def alive(self, call: AnyCall) -> Health:
        """Say that the process lives; nothing is asked of anybody."""
        del call
        return Health()

    async def ready(self, call: AnyCall) -> Health:
        """Say that every loop does its work, or why not."""
        del call
        reasons = list(self._troubles())
        if reasons:
            told = problem(503, "not-ready", detail="; ".join(reasons), reasons=reasons)
            raise ProblemError(told, {"Retry-After": str(RETRY_AFTER_SECONDS)})
        return Health()

    async def metrics(self, call: Call[Scrape, None]) -> Reply:
        """Read what was counted, with exemplars as OpenMetrics when that is asked for."""
        self._measures = await self._measured()
        if "application/openmetrics-text" in call.params.accept:
            return Reply(200, _openmetrics(self._registry), media_type=OPENMETRICS)
        return Reply(200, generate_latest(self._registry), media_type=EXPOSITION)

    async def openapi(self, call: AnyCall) -> Reply:
        """Return the OpenAPI document."""
        del call
        return Reply(200, self._document)

    async def docs(self, call: AnyCall) -> Reply:
        """Return a page that shows the OpenAPI document, with nothing from elsewhere."""
        del call
        return Reply(200, self._page, media_type="text/html")

    def _all_samples(self) -> Iterable[Sample]:
        yield from self._samples()
        yield from self._measures
