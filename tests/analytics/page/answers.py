"""What a made-up shop answers, in the shapes of the analytics service: busy, empty, failing, hostile."""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from analytics_service.shapes import (
    DurationsShown,
    HighValueShown,
    ModeShown,
    Oddities,
    ProductShown,
    ProfileShown,
    RecentWindows,
    Summary,
    UnmatchedShown,
    Value,
    Windows,
    WindowShown,
)
from sagakit.runtime.http.pages import Page
from sagakit.runtime.http.problems import Problem, problem

AS_OF = datetime(2026, 11, 25, 20, 14, 31, tzinfo=UTC)
WATERMARK = AS_OF - timedelta(seconds=4)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MARKUP = "<script>document.title = 'broken into'</script><img src=x onerror=\"document.title = 'broken into'\">"


@dataclass(frozen=True, slots=True)
class Answers:
    """What each path answers; a problem is answered with its own status."""

    summary: Summary | Problem
    high_value: Page[HighValueShown] | Problem
    products: Page[ProductShown] | Problem
    unmatched: Page[UnmatchedShown] | Problem
    windows: Windows | Problem


def full() -> Answers:
    """Return a busy evening.

    Some came late, the last windows are still open, and for three minutes nothing ended.
    """
    return Answers(
        summary=_summary(),
        high_value=Page(items=_high_value(), next_cursor="bmV4dA"),
        products=Page(items=_products(), next_cursor=None),
        unmatched=Page(items=_unmatched(), next_cursor=None),
        windows=_windows(),
    )


def empty() -> Answers:
    """Return what a shop says before its first order."""
    nothing = DurationsShown(count=0, p50_seconds=None, p95_seconds=None, p99_seconds=None)
    minutes = [_window(index, 60, MINUTE, 0, 0, 0) for index in range(60)]
    return Answers(
        summary=msgspec.structs.replace(
            _summary(),
            total_orders=0,
            confirmed_orders=0,
            cancelled_orders=0,
            pending_orders=0,
            failed_payments=0,
            success_rate=None,
            total_revenue=Decimal(0),
            average_order_value=None,
            revenue_by_currency={},
            cancelled_by_reason={},
            by_mode=[],
            durations=nothing,
            windows=RecentWindows(
                orders_per_minute=minutes,
                revenue_per_hour=[_window(index, 24, HOUR, Decimal(0), Decimal(0), 0) for index in range(24)],
                success_rate_per_minute=[_window(index, 60, MINUTE, None, None, 0) for index in range(60)],
            ),
            watermark=None,
            lag_seconds=0.0,
            events=0,
            oddities=Oddities(late=0, duplicates=0, future=0, past=0),
        ),
        high_value=Page(items=[], next_cursor=None),
        products=Page(items=[], next_cursor=None),
        unmatched=Page(items=[], next_cursor=None),
        windows=msgspec.structs.replace(_windows(), windows=[]),
    )


def failing() -> Answers:
    """Return what a service says whose store is away."""
    away = problem(503, detail="the store cannot be reached")
    return Answers(away, away, away, away, away)


def hostile() -> Answers:
    """Return ids and reasons of somebody who tries to break the page: markup, and texts that do not end."""
    endless = "endless-" * 2000
    known, profile = full(), ProfileShown(name=MARKUP, segment=MARKUP, country=endless)
    return replace(
        known,
        summary=msgspec.structs.replace(
            _summary(),
            currency="<b>",
            revenue_by_currency={"<b>": Decimal(1), MARKUP: Decimal(2)},
            cancelled_by_reason={MARKUP: 3, endless: 2, "__proto__": 1, "\u202e)DELLECNAC(": 1},
            by_mode=[ModeShown(mode=MARKUP, orders=3, confirmed=1, cancelled=1, success_rate=0.5)],
        ),
        high_value=Page(
            items=[
                msgspec.structs.replace(one, order_id=text, user_id=text, profile=profile, status=text, flags=[text])
                for one, text in zip(_high_value(), (MARKUP, endless), strict=False)
            ],
            next_cursor=None,
        ),
        products=Page(items=[msgspec.structs.replace(_products()[0], product_id=MARKUP)], next_cursor=None),
        unmatched=Page(
            items=[msgspec.structs.replace(_unmatched()[0], order_id=MARKUP, status=MARKUP, missing=[MARKUP, endless])],
            next_cursor=None,
        ),
        windows=problem(400, "invalid-request", detail=f"size: {MARKUP}", field="size", rule=MARKUP),
    )


MODES: Mapping[str, Callable[[], Answers]] = {"full": full, "empty": empty, "failing": failing, "hostile": hostile}


def _summary() -> Summary:
    return Summary(
        total_orders=48213,
        confirmed_orders=44610,
        cancelled_orders=3586,
        pending_orders=17,
        failed_payments=1942,
        success_rate=0.9255954850984327,
        total_revenue=Decimal("1948302.57"),
        average_order_value=Decimal("43.67"),
        currency="USD",
        revenue_by_currency={"USD": Decimal("1948302.57"), "EUR": Decimal("20417.90")},
        cancelled_by_reason={
            "CARD_DECLINED": 1377,
            "OUT_OF_STOCK": 902,
            "LIMIT_EXCEEDED": 565,
            "WAREHOUSE_REFUSED": 371,
            "NO_CARRIER": 248,
            "TIMEOUT": 96,
            "CANCELLED_BY_CUSTOMER": 27,
        },
        by_mode=[
            ModeShown(
                mode="choreography", orders=31877, confirmed=29402, cancelled=2464, success_rate=0.9226761438523818
            ),
            ModeShown(
                mode="orchestration", orders=16336, confirmed=15208, cancelled=1122, success_rate=0.9312921004286589
            ),
        ],
        durations=DurationsShown(count=48196, p50_seconds=0.184131, p95_seconds=0.941766, p99_seconds=2.748905),
        windows=_recent(),
        watermark=WATERMARK,
        lag_seconds=0.412,
        as_of=AS_OF,
        version=3,
        events=291046,
        oddities=Oddities(late=212, duplicates=1034, future=2, past=0),
    )


def _recent() -> RecentWindows:
    chance = random.Random(20)
    orders, revenue, rates = [], [], []
    for index in range(60):
        now = int(38 + 14 * math.sin(index / 9) + chance.uniform(-7, 7)) * (31 if index == 59 else 60) // 60
        late = chance.choice((0, 0, 0, 1, 2, 4)) if index < 58 else 0
        orders.append(_window(index, 60, MINUTE, now, now - late, late))
        rate = (
            None
            if 21 <= index < 24
            else min(0.93 - 0.3 * math.exp(-((index - 38) ** 2) / 12) + chance.uniform(-0.05, 0.05), 1)
        )
        before = None if rate is None else rate - (0.08 if index in {11, 44} else 0)
        rates.append(_window(index, 60, MINUTE, rate, before, 3 if index in {11, 44} else 0))
    for index in range(24):
        cents = int(100 * (5200 + 4100 * math.sin((index - 9) / 24 * 2 * math.pi) + chance.uniform(-500, 500)))
        late = {7: 41_950, 15: 128_800, 19: -96_420}.get(index, 0)
        shown = cents * 14 // 60 if index == 23 else cents
        taken, at_close = Decimal(shown).scaleb(-2), Decimal(shown - late).scaleb(-2)
        revenue.append(_window(index, 24, HOUR, taken, at_close, 9 if late else 0))
    return RecentWindows(orders_per_minute=orders, revenue_per_hour=revenue, success_rate_per_minute=rates)


def _window(index: int, count: int, size: timedelta, now: Value, at_close: Value, late: int) -> WindowShown:
    """Return one of so many windows, of which the last holds the present."""
    current = AS_OF - (AS_OF - datetime(1970, 1, 1, tzinfo=UTC)) % size
    start = current - (count - 1 - index) * size
    final = start + size + MINUTE <= WATERMARK
    return WindowShown(start=start, end=start + size, now=now, at_close=at_close, late_count=late, final=final)


def _high_value() -> list[HighValueShown]:
    users = (
        ("ada", ProfileShown(name="Ada Lovelace", segment="gold", country="GB")),
        ("grace", ProfileShown(name="Grace Hopper", segment="silver", country="US")),
        ("user-2201", None),
        ("hedy", ProfileShown(name="Hedy Lamarr", segment=None, country="AT")),
        ("katherine", ProfileShown(name="Katherine Johnson", segment="gold", country="US")),
        ("user-77", ProfileShown(name=None, segment="new", country="DE")),
        ("mary", ProfileShown(name="Mary Jackson", segment="silver", country="US")),
        ("emmy", ProfileShown(name="Emmy Noether", segment="gold", country="DE")),
    )
    totals = ("1249.00", "5310.45", "999.99", "18800.00", "1024.10", "2000.00", "1380.75", "4021.30")
    statuses = ("pending", "confirmed", "cancelled", "confirmed", "confirmed", "confirmed", "cancelled", "confirmed")
    return [
        HighValueShown(
            order_id=f"order-{48213 - 37 * index}",
            user_id=user_id,
            profile=profile,
            total=Decimal(total),
            currency="EUR" if index == 3 else "USD",
            placed_at=AS_OF - timedelta(seconds=3 + 211 * index),
            status=status,
            flags=["future"] if index == 2 else [],
        )
        for index, ((user_id, profile), total, status) in enumerate(zip(users, totals, statuses, strict=True))
    ]


def _products() -> list[ProductShown]:
    sales = ((21870, "19.99"), (9034, "5.00"), (8112, "12.50"), (5408, "64.00"), (888, "149.90"))
    return [
        ProductShown(
            product_id=f"prod-{index + 1}",
            orders=orders,
            confirmed=orders - orders // 12,
            cancelled=orders // 12 - 1,
            quantity=2 * orders,
            sold=2 * orders - orders // 6,
            value={"USD": 2 * orders * Decimal(price)},
            revenue={"USD": (2 * orders - orders // 6) * Decimal(price)} | _abroad(index),
        )
        for index, (orders, price) in enumerate(sales)
    ]


def _abroad(index: int) -> dict[str, Decimal]:
    return {"EUR": Decimal("20417.90")} if index == 1 else {}


def _unmatched() -> list[UnmatchedShown]:
    kinds = (
        ("cancelled", ["PaymentRefunded"], 4211.0),
        ("cancelled", ["PaymentRefunded", "InventoryReleased"], 388.0),
        ("confirmed", ["ShipmentScheduled", "ReservationConsumed"], 96.4),
        ("pending", ["OrderConfirmed or OrderCancelled"], 12.25),
        ("unknown", ["OrderCreated", "OrderConfirmed or OrderCancelled"], 3.1),
        ("pending", ["OrderConfirmed or OrderCancelled"], 0.641),
    )
    return [
        UnmatchedShown(
            order_id=f"order-{48190 + 4 * index}",
            user_id=None if status == "unknown" else f"user-{index}",
            status=status,
            since=AS_OF - timedelta(seconds=age),
            age_seconds=age,
            missing=missing,
        )
        for index, (status, missing, age) in enumerate(kinds)
    ]


def _windows() -> Windows:
    return Windows(
        metric="orders",
        type="tumbling",
        unit="orders",
        currency=None,
        size_seconds=60.0,
        step_seconds=60.0,
        gap_seconds=None,
        time_zone="Europe/Berlin",
        from_=AS_OF - HOUR,
        to=AS_OF,
        end_inclusive=False,
        allowed_lateness_seconds=60.0,
        watermark=WATERMARK,
        windows=_recent().orders_per_minute[:12],
    )
