"""Windows at close are what Kafka Streams makes of the same events with the same grace; see oracle/README.md."""

import pytest
from tests.analytics.oracle import model
from tests.analytics.oracle.cases import (
    Hopping,
    Join,
    Session,
    Sliding,
    Tumbling,
    Window,
    Windowed,
    departures,
    joins,
    windowed,
)
from tests.analytics.shop import Shop, at, placed, say

from analytics_service.orders import missing
from analytics_service.questions import WindowType
from analytics_service.series import milliseconds
from shop_contracts.messages import PaymentCompleted

pytestmark = pytest.mark.anyio

FIXED = [case for case in windowed() if isinstance(case, Tumbling | Hopping)]
ONE_KEY = 1
BY_EVENTS = [
    case
    for case in (*windowed(), *departures())
    if isinstance(case, Session) or (isinstance(case, Sliding) and len({r.key for r in case.records}) == ONE_KEY)
]
"""Our sliding windows have no key, so a case with several says nothing about them."""


async def told(case: Windowed) -> Shop:
    """Return a shop in which each record of the case is an order of its own, placed by the user of its key."""
    shop = Shop(lateness_ms=case.grace_ms)
    await shop.hear(
        *(
            placed(f"order-{number}", record.timestamp_ms, record.key, f"{record.value / 100:.2f}")
            for number, record in enumerate(case.records)
        )
    )
    return shop


def lengths(case: Windowed) -> dict[str, str]:
    match case:
        case Tumbling():
            return {"kind": WindowType.TUMBLING, "size": f"{case.size_ms}ms"}
        case Hopping():
            return {"kind": WindowType.HOPPING, "size": f"{case.size_ms}ms", "step": f"{case.step_ms}ms"}
        case Sliding():
            return {"kind": WindowType.SLIDING, "size": f"{case.difference_ms}ms"}
        case Session():
            return {"kind": WindowType.SESSION, "gap": f"{case.gap_ms}ms"}


def reach(case: Windowed) -> dict[str, str]:
    """Return a range in which every window of the case begins."""
    times = [record.timestamp_ms for record in case.records]
    length = case.size_ms if isinstance(case, Tumbling | Hopping) else 0
    longest = case.difference_ms if isinstance(case, Sliding) else length
    return {"start": at(min(times) - longest).isoformat(), "end": at(max(times) + 2).isoformat()}


def of_all_keys(windows: tuple[Window, ...]) -> dict[tuple[int, int], tuple[int, int]]:
    """Return count and sum of each window over all keys: our fixed windows have none."""
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for window in windows:
        count, total = found.get((window.start, window.end), (0, 0))
        found[window.start, window.end] = count + window.count, total + window.sum
    return found


@pytest.mark.parametrize("case", FIXED, ids=lambda case: case.name)
async def test_fixed_windows_hold_at_close_what_kafka_streams_emits(case: Tumbling | Hopping) -> None:
    shop = await told(case)
    counts = await shop.windows(metric="orders", **lengths(case), **reach(case))
    values = await shop.windows(metric="orderValue", **lengths(case), **reach(case))
    found = {
        (milliseconds(count.start), milliseconds(count.end)): (count.at_close, round(value.at_close * 100))  # type: ignore[operator]
        for count, value in zip(counts.windows, values.windows, strict=True)
        if count.at_close
    }
    assert found == of_all_keys(case.windows)
    everything = model.hopping(
        case.records, case.size_ms, case.step_ms if isinstance(case, Hopping) else case.size_ms, 2**50
    )
    now = {
        (milliseconds(window.start), milliseconds(window.end)): window.now for window in counts.windows if window.now
    }
    assert now == {extent: count for extent, (count, _) in of_all_keys(everything).items()}
    assert all(window.late_count == window.now - window.at_close for window in counts.windows)  # type: ignore[operator]


@pytest.mark.parametrize("case", BY_EVENTS, ids=lambda case: case.name)
async def test_windows_made_by_events_hold_at_close_what_kafka_streams_documents(case: Sliding | Session) -> None:
    """Where the library departs from its documents, the model follows them, and so do we."""
    expected = model.windows(case) if case.departs else case.windows
    keys = sorted({record.key for record in case.records})
    shop = await told(case)
    counts = await shop.windows(metric="orders", **lengths(case), **reach(case))
    found = {
        (window.user_id or keys[0], milliseconds(window.start), milliseconds(window.end)): window.at_close
        for window in counts.windows
        if window.at_close is not None
    }
    assert found == {(window.key, window.start, window.end): window.count for window in expected}
    if isinstance(case, Session):
        for key in keys:
            own = await shop.windows(metric="orders", user_id=key, **lengths(case), **reach(case))
            assert own.windows == [window for window in counts.windows if window.user_id == key]


@pytest.mark.parametrize("case", joins(), ids=lambda case: case.name)
async def test_an_order_and_its_payment_meet_whichever_comes_first(case: Join) -> None:
    """Whatever Kafka Streams pairs within its bound is on one row here; what stays alone is unmatched."""
    shop = Shop(lateness_ms=case.grace_ms)
    for record in case.records:
        if record.side == "order":
            await shop.hear(placed(record.key, record.timestamp_ms, total="1.00"))
        else:
            paid = PaymentCompleted(order_id=record.key, payment_id="p", amount=1, transaction_id="t")  # type: ignore[arg-type]
            await shop.hear(say(record.key, record.timestamp_ms, paid))
    rows = {row.order_id: row for row in await shop.rows()}
    for pair in case.pairs:
        row = rows[pair.key]
        if pair.order is not None and pair.payment is not None:
            assert row.created_ms is not None
            assert row.paid_ms is not None
        assert missing(row)
        assert row.waiting_since_ms == row.first_ms
