"""What the operator answers over HTTP: that it lives, that it can do its work, and what it counted."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from sagakit.runtime.http.app import Application, build_app
from sagakit.runtime.http.problems import RETRY_AFTER_SECONDS, ProblemError, problem
from sagakit.runtime.http.routes import Call, Nothing, Reply, Route, Shape
from sagakit.runtime.metrics import AtScrape, Named

EXPOSITION = CONTENT_TYPE_LATEST.removesuffix("; charset=utf-8")
AnyCall = Call[Nothing, None]


class Health(Shape, frozen=True, kw_only=True):
    """The operator is well."""

    status: str = "ok"


def application(
    troubles: Callable[[], Sequence[str]], samples: Callable[[], Iterable[tuple[Named, tuple[str, ...], float]]]
) -> Application:
    """Return the probes as an application: `troubles` are why it is not ready, `samples` what it counted."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AtScrape(samples))

    async def alive(call: AnyCall) -> Health:
        del call
        return Health()

    async def ready(call: AnyCall) -> Health:
        del call
        reasons = list(troubles())
        if reasons:
            told = problem(503, "not-ready", detail="; ".join(reasons), reasons=reasons)
            raise ProblemError(told, {"Retry-After": str(RETRY_AFTER_SECONDS)})
        return Health()

    async def metrics(call: AnyCall) -> Reply:
        del call
        return Reply(200, generate_latest(registry), media_type=EXPOSITION)

    def get(path: str, handler: Any, summary: str, returns: Any, **more: Any) -> Route:  # noqa: ANN401
        return Route(method="GET", path=path, handler=handler, summary=summary, returns={200: returns}, **more)

    return build_app(
        [
            get("/healthz", alive, "The process lives", Health),
            get("/readyz", ready, "The operator can do its work", Health),
            get("/metrics", metrics, "What was counted, for Prometheus", str, media_type=EXPOSITION),
        ]
    )
