"""What can be asked per window: each metric by its name, from which series it is made, and how. No IO."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

from analytics_service.orders import Arrival, JoinedOrder, Outcome, joined
from analytics_service.series import (
    ABORTED,
    CANCELLED,
    CAPTURED,
    CAPTURES,
    CONFIRMED,
    DECLINED,
    DURATION,
    ORDERS,
    REFUNDED,
    REFUNDS,
    VALUE,
    VALUED,
    of_currency,
)
from analytics_service.tally import MAPPING, NO_TIME, bin_name, bin_of
from shop_contracts.money import to_major

Sums = Mapping[str, int]
"""The sum of each series over a window, without a currency behind its name; of durations, the count of each bin."""
Number = int | float | Decimal | None


class Metric(StrEnum):
    """What can be asked for."""

    ORDERS = "orders"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    DECLINED = "declined"
    ABORTED = "aborted"
    REVENUE = "revenue"
    ORDER_VALUE = "orderValue"
    AVERAGE_ORDER_VALUE = "averageOrderValue"
    SUCCESS_RATE = "successRate"
    DURATION_P50 = "durationP50"
    DURATION_P95 = "durationP95"
    DURATION_P99 = "durationP99"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a metric is made. `series` are what it is a function of, `counting` those that count its events.

    `lanes` are the topics that its events come from, and `of_money` series exist per currency.
    """

    series: tuple[str, ...]
    counting: tuple[str, ...]
    value: Callable[[Sums, str], Number]
    unit: str
    lanes: tuple[str, ...] = ("orders.events",)
    of_money: bool = False

    def names(self, currency: str) -> tuple[str, ...]:
        """Return its series as they are stored."""
        return tuple(of_currency(name, currency) for name in self.series) if self.of_money else self.series

    @property
    def of_durations(self) -> bool:
        """True where it is made from sketches instead of sums."""
        return self.series == (DURATION,)


def rate(confirmed: int, cancelled: int) -> float | None:
    """Return confirmed ÷ ended; None when nothing ended."""
    ended = confirmed + cancelled
    return confirmed / ended if ended else None


def mean(total_minor: int, count: int, currency: str) -> Decimal | None:
    """Return the average amount in major units, rounded half to even to the currency's decimals; None of nothing."""
    if not count:
        return None
    exact = Decimal(total_minor) / Decimal(count)
    return to_major(int(exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN)), currency)


def percentile(bins: Mapping[int, int], quantile: float) -> float | None:
    """Return a percentile of durations in seconds, within 1 % of a true value; None of nothing.

    The rank is DDSketch's: the last value not above `quantile` of the way from the least to the greatest.
    """
    rank = quantile * max(sum(bins.values()) - 1, 0)
    seen = 0
    for key in sorted(bins):
        seen += bins[key]
        if seen > rank:
            return 0.0 if key == NO_TIME else round(MAPPING.value(key) / 1000, 6)
    return None


def bins_of(sums: Sums) -> dict[int, int]:
    """Return the bins of durations among sums that name them `duration:<bin>`."""
    return {int(name.partition(":")[2]): count for name, count in sums.items() if name.startswith(f"{DURATION}:")}


def _one(name: str, lanes: tuple[str, ...] = ("orders.events",)) -> Recipe:
    return Recipe((name,), (name,), lambda sums, _: sums.get(name, 0), name, lanes)


def _duration(quantile: float) -> Recipe:
    return Recipe((DURATION,), (DURATION,), lambda sums, _: percentile(bins_of(sums), quantile), "seconds")


RECIPES: Mapping[Metric, Recipe] = {
    Metric.ORDERS: _one(ORDERS),
    Metric.CONFIRMED: _one(CONFIRMED),
    Metric.CANCELLED: _one(CANCELLED),
    Metric.DECLINED: _one(DECLINED, ("payments.events",)),
    Metric.ABORTED: _one(ABORTED, ("sagas.events",)),
    Metric.REVENUE: Recipe(
        (CAPTURED, REFUNDED, CAPTURES, REFUNDS),
        (CAPTURES, REFUNDS),
        lambda sums, currency: to_major(sums.get(CAPTURED, 0) - sums.get(REFUNDED, 0), currency),
        "money",
        ("orders.events", "payments.events"),
        of_money=True,
    ),
    Metric.ORDER_VALUE: Recipe(
        (VALUE, VALUED),
        (VALUED,),
        lambda sums, currency: to_major(sums.get(VALUE, 0), currency),
        "money",
        of_money=True,
    ),
    Metric.AVERAGE_ORDER_VALUE: Recipe(
        (VALUE, VALUED),
        (VALUED,),
        lambda sums, currency: mean(sums.get(VALUE, 0), sums.get(VALUED, 0), currency),
        "money",
        of_money=True,
    ),
    Metric.SUCCESS_RATE: Recipe(
        (CONFIRMED, CANCELLED),
        (CONFIRMED, CANCELLED),
        lambda sums, _: rate(sums.get(CONFIRMED, 0), sums.get(CANCELLED, 0)),
        "rate",
    ),
    Metric.DURATION_P50: _duration(0.5),
    Metric.DURATION_P95: _duration(0.95),
    Metric.DURATION_P99: _duration(0.99),
}


@dataclass(frozen=True, slots=True)
class Point:
    """One event by itself: when, how it came, and what it adds to which series (without a currency)."""

    at_ms: int
    arrival: Arrival
    partition: int
    sums: Sums


def points(row: JoinedOrder, metric: Metric, currency: str) -> list[Point]:
    """Return the events of an order that count for a metric."""
    found: list[Point] = []

    def add(at_ms: int | None, arrival: Arrival | None, **sums: int) -> None:
        if at_ms is not None and arrival is not None:
            found.append(Point(at_ms, arrival, row.partition, sums))

    match metric:
        case Metric.ORDERS:
            add(row.created_ms, row.created, orders=1)
        case Metric.CONFIRMED | Metric.CANCELLED | Metric.SUCCESS_RATE:
            if row.outcome is Outcome.CONFIRMED and metric is not Metric.CANCELLED:
                add(row.ended_ms, row.ended_arrival, confirmed=1)
            if row.outcome is Outcome.CANCELLED and metric is not Metric.CONFIRMED:
                add(row.ended_ms, row.ended_arrival, cancelled=1)
        case Metric.DECLINED:
            add(row.declined_ms, row.declined_arrival, declined=1)
        case Metric.ABORTED:
            add(row.aborted_ms, row.aborted_arrival, aborted=1)
        case Metric.ORDER_VALUE | Metric.AVERAGE_ORDER_VALUE:
            if row.currency == currency and row.total_minor is not None:
                add(row.created_ms, row.created, value=row.total_minor, valued=1)
        case Metric.REVENUE:
            if row.currency == currency and row.paid_minor:
                add(row.paid_ms, row.paid_arrival, captured=row.paid_minor, captures=1)
            if row.currency == currency and row.refunded_minor:
                add(row.refunded_ms, row.refunded_arrival, refunded=row.refunded_minor, refunds=1)
        case Metric.DURATION_P50 | Metric.DURATION_P95 | Metric.DURATION_P99:
            if row.ended_ms is not None and row.created_ms is not None:
                sums = {bin_name(bin_of(row.ended_ms - row.created_ms)): 1}
                add(row.ended_ms, row.ended_arrival and joined(row, row.ended_arrival), **sums)
    return found


MOMENTS: Mapping[Metric, tuple[str, ...]] = {
    Metric.ORDERS: ("created_ms",),
    Metric.ORDER_VALUE: ("created_ms",),
    Metric.AVERAGE_ORDER_VALUE: ("created_ms",),
    Metric.CONFIRMED: ("ended_ms",),
    Metric.CANCELLED: ("ended_ms",),
    Metric.SUCCESS_RATE: ("ended_ms",),
    Metric.DURATION_P50: ("ended_ms",),
    Metric.DURATION_P95: ("ended_ms",),
    Metric.DURATION_P99: ("ended_ms",),
    Metric.DECLINED: ("declined_ms",),
    Metric.ABORTED: ("aborted_ms",),
    Metric.REVENUE: ("paid_ms", "refunded_ms"),
}
"""The attributes of a joined order by which the events of a metric are found."""
assert MOMENTS.keys() == RECIPES.keys() == set(Metric), "every metric has a recipe and a moment"
