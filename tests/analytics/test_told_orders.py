"""What the views keep of orders that came through the log: mixed up, in batches, twice, with gaps and bad bodies."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.analytics.shop import UNBOUNDED_MS, Shop, at, cancelled_order, confirmed_order, placed, say

from analytics_service.orders import Arrival, Outcome, is_complete, missing
from analytics_service.reading import digest, products, reasons, totals, unmatched
from analytics_service.series import DAY, HOUR
from analytics_service.summing import merged
from analytics_service.tables import CHUNKS, LANES, LATE, USERS
from sagakit.core.messages import EMPTY, Message, Mode
from shop_contracts import messages as m

pytestmark = pytest.mark.anyio

NOON_MS = 1_767_268_800_000
"""2026-01-01T12:00:00Z."""
HOUR_MS, DAY_MS = HOUR * 1000, DAY * 1000
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
HISTORIES = (confirmed_order("order-1", NOON_MS), cancelled_order("order-1", NOON_MS))
BOTH = [*confirmed_order("order-1", NOON_MS, "7.50"), *cancelled_order("order-2", NOON_MS + 5, "0.01")]


@st.composite
def tellings(draw: st.DrawFn) -> list[list[Message]]:
    """Return all that is said of an order, first as it should be, then mixed up in some batches, some of it again."""
    history = draw(st.sampled_from(HISTORIES))
    shuffled = draw(st.permutations(history))
    cuts = [0, *sorted(draw(st.sets(st.integers(1, len(history) - 1), max_size=3))), len(history)]
    again = draw(st.lists(st.sampled_from(history), max_size=len(history)))
    return [history, *(shuffled[first:last] for first, last in pairwise(cuts)), again]


def paid(order_id: str, at_ms: int, amount: str = "10.00") -> Message:
    data = m.PaymentCompleted(order_id=order_id, payment_id="p", amount=Decimal(amount), transaction_id="t")
    return say(order_id, at_ms, data)


def cancelled(order_id: str, at_ms: int, reason: str) -> Message:
    return say(order_id, at_ms, m.OrderCancelled(order_id=order_id, reason=reason, cancelled_at=at(at_ms)))


def basket(order_id: str, *lines: tuple[str, int, str]) -> Message:
    """Return an order of so many of a product at a price each, with the total that they come to."""
    items = [m.Item(product_id=product, quantity=count, price=Decimal(price)) for product, count, price in lines]
    total = sum((item.price * item.quantity for item in items), Decimal(0))
    data = m.OrderCreated(order_id=order_id, user_id="ada", items=items, total=total, currency="USD")
    return say(order_id, NOON_MS, data)


async def heard(*messages: Message, lateness_ms: int = 0, partitions: int = 1) -> Shop:
    shop = Shop(lateness_ms, partitions)
    await shop.hear(*messages)
    return shop


async def said(shop: Shop) -> list[dict[str, Any]]:
    """Return what the rows say, but for how the events came."""
    return [
        {name: value for name, value in msgspec.structs.asdict(row).items() if not isinstance(value, Arrival)}
        for row in await shop.rows()
    ]


async def counted(shop: Shop) -> dict[str, Any]:
    """Return every count, over all time and per bucket."""
    return {
        "sums": await shop.store.view(digest),
        "users": merged(await shop.rows(USERS)),
        "buckets": await shop.rows(CHUNKS),
        "late": await shop.rows(LATE),
    }


async def revenue(shop: Shop, first_ms: int, hours: int) -> list[tuple[Any, Any, int]]:
    """Return `now`, `atClose` and `lateCount` of some hours."""
    start, end = at(first_ms).isoformat(), at(first_ms + hours * HOUR_MS).isoformat()
    answer = await shop.windows(metric="revenue", size="1h", start=start, end=end)
    return [(window.now, window.at_close, window.late_count) for window in answer.windows]


async def lacking(shop: Shop, until_ms: int = NOON_MS + DAY_MS) -> dict[str, list[str]]:
    """Return what is missing of which order, as the list of the unmatched has it."""
    rows = await shop.store.view(lambda reader: unmatched(reader, at(until_ms), None, 100))
    return {row.order_id: missing(row) for row in rows}


@given(telling=tellings())
@FEW
async def test_whatever_comes_first_and_however_often_the_order_says_the_same(telling: list[list[Message]]) -> None:
    history, *batches, again = telling
    expected, shop = await heard(*history, lateness_ms=UNBOUNDED_MS), Shop(lateness_ms=UNBOUNDED_MS)
    for batch in (*batches, again):
        await shop.hear(*batch)
    assert await said(shop) == await said(expected)
    assert await counted(shop) == await counted(expected)
    assert [is_complete(row) for row in await shop.rows()] == [True]
    assert sum(lane.duplicates for lane in await shop.rows(LANES)) == len(again)


@given(mixed=st.permutations([*BOTH, *BOTH]))
@FEW
async def test_orders_that_are_told_at_once_do_not_get_in_each_others_way(mixed: list[Message]) -> None:
    expected = await heard(*BOTH, lateness_ms=UNBOUNDED_MS, partitions=3)
    shop = await heard(*mixed, lateness_ms=UNBOUNDED_MS, partitions=3)
    assert await said(shop) == await said(expected)
    assert await counted(shop) == await counted(expected)


@given(shuffled=st.sampled_from(HISTORIES).flatmap(st.permutations))
@FEW
async def test_an_order_is_on_the_list_of_the_unmatched_until_nothing_is_missing(shuffled: list[Message]) -> None:
    shop = Shop()
    for message in shuffled[:-1]:
        await shop.hear(message)
        (row,) = await shop.rows()
        assert await lacking(shop) == ({"order-1": missing(row)} if missing(row) else {})
    await shop.hear(shuffled[-1])
    assert await lacking(shop) == {}


async def test_the_unmatched_are_those_whose_first_event_is_old_enough_the_oldest_first() -> None:
    shop = await heard(placed("order-2", NOON_MS + 2000), placed("order-1", NOON_MS + 1000), placed("order-3", NOON_MS))
    assert [*await lacking(shop)] == ["order-3", "order-1", "order-2"]
    assert [*await lacking(shop, NOON_MS + 1000)] == ["order-3", "order-1"]
    assert [*await lacking(shop, NOON_MS + 999)] == ["order-3"]


async def test_a_killed_order_is_complete_as_it_was_left() -> None:
    shop = await heard(*cancelled_order("order-1", NOON_MS)[:3])
    assert await lacking(shop) == {"order-1": ["OrderConfirmed or OrderCancelled"]}
    await shop.hear(cancelled("order-1", NOON_MS + 60, "KILLED"))
    (row,) = await shop.rows()
    assert (row.outcome, row.reason, row.refunded_ms, missing(row)) == (Outcome.CANCELLED, "KILLED", None, [])
    assert await lacking(shop) == {}


async def test_a_payment_counts_in_the_hour_of_the_payment_once_its_order_is_known() -> None:
    nothing = (Decimal("0.00"), Decimal("0.00"), 0)
    shop = await heard(paid("order-1", NOON_MS - HOUR_MS), lateness_ms=2 * HOUR_MS)
    assert await revenue(shop, NOON_MS - HOUR_MS, 2) == [nothing, nothing]
    await shop.hear(placed("order-1", NOON_MS))
    assert await revenue(shop, NOON_MS - HOUR_MS, 2) == [(Decimal("10.00"), Decimal("10.00"), 0), nothing]


async def test_a_payment_whose_order_comes_when_its_hour_is_closed_is_late_for_it() -> None:
    """Nobody could count it at close: its currency was not known."""
    shop = await heard(paid("order-1", NOON_MS - HOUR_MS), placed("order-1", NOON_MS))
    assert await revenue(shop, NOON_MS - HOUR_MS, 1) == [(Decimal("10.00"), Decimal("0.00"), 1)]


async def test_an_order_keeps_the_flags_of_all_its_events_each_once() -> None:
    shop = Shop(future_ms=60_000, past_ms=DAY_MS)
    payment, order = paid("order-1", NOON_MS + DAY_MS, "1.234"), placed("order-1", NOON_MS - 2 * DAY_MS)
    await shop.hear(payment, order, cancelled("order-1", NOON_MS + DAY_MS, "NO_CARRIER"))
    assert [row.flags for row in await shop.rows()] == [("amount", "future", "past")]
    assert await shop.store.outbox(10) == []


async def test_a_body_that_fits_no_contract_is_a_dead_letter_and_what_stood_around_it_is_counted() -> None:
    broken = msgspec.structs.replace(placed("order-2", NOON_MS), data=EMPTY)
    shop = await heard(placed("order-1", NOON_MS), broken, placed("order-3", NOON_MS))
    assert shop.consumer.counts["batches"] == 1
    assert [row.order_id for row in await shop.rows()] == ["order-1", "order-3"]
    (letter,) = await shop.store.outbox(10)
    assert (letter.draft.topic, letter.draft.key) == ("analytics.dlq", "order-2")
    assert [lane.events for lane in await shop.rows(LANES)] == [2]


async def test_of_a_batch_without_a_readable_body_only_dead_letters_remain() -> None:
    shop = await heard(*(msgspec.structs.replace(placed(f"order-{n}", NOON_MS), data=EMPTY) for n in range(3)))
    assert len(await shop.store.outbox(10)) == 3
    assert (await shop.rows(), await shop.rows(LANES)) == ([], [])


async def test_of_a_product_it_is_known_how_many_were_ordered_and_sold_and_for_how_much() -> None:
    shop = await heard(
        basket("order-1", ("tea", 2, "3.00"), ("pot", 1, "20.00"), ("tea", 1, "2.50")),
        *confirmed_order("order-1", NOON_MS, "28.50")[1:],
        basket("order-2", ("tea", 5, "3.00")),
        *cancelled_order("order-2", NOON_MS, "15.00")[1:],
    )
    money = {"value:USD": 850 + 1500, "captured:USD": 850 + 1500, "refunded:USD": 1500}
    pot = {"orders": 1, "quantity": 1, "value:USD": 2000, "captured:USD": 2000, "confirmed": 1, "sold": 1}
    tea = {"orders": 2, "quantity": 8, "confirmed": 1, "cancelled": 1, "sold": 3, **money}
    assert await shop.store.view(lambda reader: products(reader, None, 10)) == [("pot", pot), ("tea", tea)]


async def test_of_a_user_it_is_known_how_many_orders_there_were_and_for_how_much() -> None:
    grace = placed("order-3", NOON_MS, user_id="grace", total="5.00")
    told = [*confirmed_order("order-1", NOON_MS), *cancelled_order("order-2", NOON_MS, "4.00"), grace]
    found = merged(await (await heard(*told, partitions=3)).rows(USERS))
    money = {"value:USD": 1400, "captured:USD": 1400, "refunded:USD": 400}
    assert found == {
        "ada": {"orders": 2, "confirmed": 1, "cancelled": 1, **money},
        "grace": {"orders": 1, "value:USD": 500},
    }


async def test_each_mode_of_coordination_has_its_own_sums_whichever_event_comes_first() -> None:
    other = [msgspec.structs.replace(said, mode=Mode.ORCHESTRATION) for said in cancelled_order("order-2", NOON_MS)]
    shop = await heard(*confirmed_order("order-1", NOON_MS), *reversed(other))
    sums = await shop.store.view(totals)
    assert {name: count for name, count in sums.items() if "/" in name} == {
        "orders/choreography": 1,
        "confirmed/choreography": 1,
        "orders/orchestration": 1,
        "cancelled/orchestration": 1,
    }


async def test_reasons_are_counted_the_most_frequent_first() -> None:
    told = ("FRAUD", "NO_CARRIER", "OUT_OF_STOCK", "NO_CARRIER")
    shop = await heard(*(cancelled(f"order-{number}", NOON_MS, reason) for number, reason in enumerate(told)))
    found = await shop.store.view(reasons)
    assert [*found.items()] == [("NO_CARRIER", 2), ("FRAUD", 1), ("OUT_OF_STOCK", 1)]
