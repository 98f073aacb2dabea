"""What metrics say of one saga, as the services tell it now, or as Prometheus remembers it."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from onebox.commands.options import OutputOption, SagaId
from onebox.errors import BadInput, Unreachable
from onebox.output import Format, Output
from onebox.session import run

if TYPE_CHECKING:
    from onebox.answers import Saga
    from onebox.client import Shop
    from onebox.exposition import Measure
    from onebox.saga_metrics import Series

SLACK = timedelta(minutes=1)
"""A scrape comes after what it tells of; and clocks differ."""
UNKNOWN_WINDOW = timedelta(hours=1)


def metrics(saga_id: SagaId, output: OutputOption = Format.TABLE) -> None:
    """Show what metrics say of one saga: the series that it has while it lives, and the exemplars with its id.

    The services show the latest of both; Prometheus, where SAGACTL_PROMETHEUS_URL names it, all that it scraped.
    """
    run(lambda shop, out: show_metrics(shop, out, saga_id), output)


async def show_metrics(shop: "Shop", out: Output, saga_id: str) -> None:
    """Print what metrics say.

    Raises:
        NotFound: when there is no such saga.
        Unreachable: when nobody who could tell answers.
    """
    from onebox.saga_metrics import SagaMetrics, dropped_of, exemplars_of, told
    from sagakit.core.traces import sampled

    if not saga_id:
        raise BadInput("an empty id names no saga", "see which there are: sagactl list")
    saga = await _saga(shop, out, saga_id)
    correlation_id = saga.correlation_id if saga is not None else saga_id
    series, shown, teller, now = await _asked(shop, out, saga, correlation_id)
    seen = SagaMetrics(
        saga_id=saga.saga_id if saga is not None else saga_id,
        correlation_id=correlation_id,
        phase=saga.phase if saga is not None else None,
        ended=saga is not None and saga.ended,
        traced=sampled(saga.traceparent) if saga is not None else None,
        told_by=teller,
        dropped=dropped_of(shown),
        series=series,
        exemplars=exemplars_of(shown, correlation_id),
    )
    out.one(seen, seen.saga_id, lambda: told(seen, now))


async def _saga(shop: "Shop", out: Output, saga_id: str) -> "Saga | None":
    """Return the saga; None when the order service is away and Prometheus may know of it."""
    from onebox.answers import Saga
    from onebox.client import path_of

    try:
        return await shop.get("order", path_of("sagas", saga_id), Saga)
    except Unreachable as failure:
        if shop.settings.prometheus_url is None:
            raise
        out.note(f"{failure.cause}; {saga_id} is taken for a correlation id, and Prometheus alone is asked")
        return None


async def _asked(
    shop: "Shop", out: Output, saga: "Saga | None", correlation_id: str
) -> tuple["list[Series]", "list[Measure]", str, datetime]:
    """Return the saga's series, every sample that may carry an exemplar of it, who told them, and when."""
    if shop.settings.prometheus_url is None:
        return await _services(shop, out, correlation_id)
    from onebox.prometheus import Prometheus
    from onebox.saga_metrics import Series, own

    prometheus, now = Prometheus(shop.settings), datetime.now(UTC)
    begin = saga.started_at if saga is not None else None
    window = (
        (begin or now - UNKNOWN_WINDOW) - SLACK,
        min(now, saga.ended_at + SLACK) if saga is not None and saga.ended_at is not None else now,
    )
    seen = await prometheus.series(correlation_id, *window)
    series = [
        Series(
            metric=its.measure.name,
            labels=own(its.measure.labels),
            value=its.measure.value,
            first=its.first,
            last=its.last,
        )
        for its in seen
    ]
    return series, await prometheus.exemplars(correlation_id, *window), f"Prometheus at {prometheus.url}", now


async def _services(
    shop: "Shop", out: Output, correlation_id: str
) -> tuple["list[Series]", "list[Measure]", str, datetime]:
    """Ask every service; one that is away is left out, unless all are."""
    import asyncio

    from onebox.exposition import measures
    from onebox.saga_metrics import series_of

    services = [*shop.settings.urls]
    found = await asyncio.gather(*(measures(shop, service) for service in services), return_exceptions=True)
    told: list[Measure] = []
    away: list[Unreachable] = []
    for answer in found:
        match answer:
            case Unreachable():
                away.append(answer)
            case BaseException():
                raise answer
            case _:
                told += answer
    if len(away) == len(services):
        raise away[0]
    for failure in away:
        out.note(f"left out: {failure.cause}")
    told_by = f"/metrics of {len(services) - len(away)} services, as they are now"
    return series_of(told, correlation_id), told, told_by, datetime.now(UTC)
