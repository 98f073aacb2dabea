"""Everything at a glance, from one moment of the views."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from analytics_service.metrics import Metric, bins_of, mean, percentile, rate
from analytics_service.questions import Question, WindowType
from analytics_service.reading import lanes, reasons, totals
from analytics_service.series import (
    CANCELLED,
    CAPTURED,
    CONFIRMED,
    DAY,
    DECLINED,
    HOUR,
    MINUTE,
    ORDERS,
    REFUNDED,
    VALUE,
    VALUED,
    by_mode,
    of_currency,
)
from analytics_service.shapes import DurationsShown, ModeShown, Oddities, RecentWindows, Summary, WindowShown
from analytics_service.tables import Lane
from analytics_service.window_answers import closed_until, fixed, watermark
from sagakit.core.messages import Mode
from sagakit.ports import Reader
from shop_contracts.money import to_major


@dataclass(frozen=True, slots=True)
class Glance:
    """What a summary is made for: the version, its currency and lateness, the log, and when it is.

    `waiting_since` is when the log took the oldest event that is not handled yet, if there is one.
    """

    version: int
    currency: str
    lateness_ms: int
    partitions: int
    waiting_since: datetime | None
    now: datetime


async def summary(reader: Reader, at: Glance) -> Summary:
    """Return the summary."""
    sums, known = await totals(reader), await lanes(reader)
    bins = bins_of(sums)
    orders, confirmed, cancelled = sums.get(ORDERS, 0), sums.get(CONFIRMED, 0), sums.get(CANCELLED, 0)
    lag = 0.0 if at.waiting_since is None else (at.now - at.waiting_since).total_seconds()
    revenue = money_by_currency(sums)
    return Summary(
        total_orders=orders,
        confirmed_orders=confirmed,
        cancelled_orders=cancelled,
        pending_orders=orders - sum(bins.values()),
        failed_payments=sums.get(DECLINED, 0),
        success_rate=rate(confirmed, cancelled),
        total_revenue=revenue.get(at.currency, to_major(0, at.currency)),
        average_order_value=mean(
            sums.get(of_currency(VALUE, at.currency), 0), sums.get(of_currency(VALUED, at.currency), 0), at.currency
        ),
        currency=at.currency,
        revenue_by_currency=revenue,
        cancelled_by_reason=await reasons(reader),
        by_mode=[_mode(mode, sums) for mode in Mode],
        durations=DurationsShown(
            count=sum(bins.values()),
            p50_seconds=percentile(bins, 0.5),
            p95_seconds=percentile(bins, 0.95),
            p99_seconds=percentile(bins, 0.99),
        ),
        windows=RecentWindows(
            orders_per_minute=await _recent(reader, Metric.ORDERS, MINUTE, HOUR, at, known),
            revenue_per_hour=await _recent(reader, Metric.REVENUE, HOUR, DAY, at, known),
            success_rate_per_minute=await _recent(reader, Metric.SUCCESS_RATE, MINUTE, HOUR, at, known),
        ),
        watermark=watermark(known),
        lag_seconds=round(max(lag, 0.0), 3),
        as_of=at.now,
        version=at.version,
        events=sum(lane.events for lane in known),
        oddities=Oddities(
            late=sum(lane.late for lane in known),
            duplicates=sum(lane.duplicates for lane in known),
            future=sum(lane.future for lane in known),
            past=sum(lane.past for lane in known),
        ),
    )


def money_by_currency(
    sums: Mapping[str, int], plus: str = CAPTURED, minus: str | None = REFUNDED
) -> dict[str, Decimal]:
    """Return one series less another, in major units, by currency."""
    found: dict[str, Decimal] = {}
    for name in sums:
        series, colon, currency = name.partition(":")
        if not colon or series not in (plus, minus):
            continue
        amount = sums.get(of_currency(plus, currency), 0)
        amount -= sums.get(of_currency(minus, currency), 0) if minus else 0
        found[currency] = to_major(amount, currency)
    return dict(sorted(found.items()))


def _mode(mode: Mode, sums: Mapping[str, int]) -> ModeShown:
    orders, confirmed, cancelled = (sums.get(by_mode(series, mode), 0) for series in (ORDERS, CONFIRMED, CANCELLED))
    return ModeShown(
        mode=mode, orders=orders, confirmed=confirmed, cancelled=cancelled, success_rate=rate(confirmed, cancelled)
    )


async def _recent(
    reader: Reader, metric: Metric, size: int, span: int, at: Glance, known: Sequence[Lane]
) -> list[WindowShown]:
    asked = Question(
        metric=metric,
        type=WindowType.TUMBLING,
        currency=at.currency,
        size_ms=size * 1000,
        step_ms=size * 1000,
        gap_ms=None,
        start=at.now - timedelta(seconds=span),
        end=at.now,
        zone_name="UTC",
        user_id=None,
    )
    return await fixed(reader, asked, closed_until(known, metric, at.lateness_ms, at.partitions))
