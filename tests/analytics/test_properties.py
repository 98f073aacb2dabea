"""Whatever comes, in whatever order: the views say what a slow count of the same events says."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.analytics.shop import UNBOUNDED_MS, Shop, at, cancelled_order, confirmed_order, placed, say

from analytics_service.live import lifted
from analytics_service.orders import Arrival
from analytics_service.series import DAY, HOUR, MINUTE, milliseconds
from analytics_service.shapes import WindowShown
from analytics_service.tables import JOINED, LANES, VIEWS, Lane
from analytics_service.views import EVENT_TOPICS, lane_key
from sagakit.core.messages import Message
from sagakit.core.partitioner import partition_of
from sagakit.ports import Transaction
from shop_contracts import messages as m
from shop_contracts.money import exponent

pytestmark = pytest.mark.anyio

BASE_MS = 1_767_225_600_000
"""2026-01-01, which is a multiple of most sizes, and a few milliseconds before it are in the year before."""
SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1000, MINUTE * 1000, HOUR * 1000, DAY * 1000
FIXED = (
    *((seconds, seconds) for seconds in (1, 7, 90, 15 * MINUTE, HOUR, 6 * HOUR, DAY)),
    *((3, 1), (21, 7), (90, 7), (90, 30), (15 * MINUTE, 5 * MINUTE), (HOUR, 90), (6 * HOUR, HOUR), (DAY, 6 * HOUR)),
)
"""Size and step in seconds."""
AROUND = 2
"""How many windows before and behind an event are asked for."""
FEW = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

times = st.one_of(
    st.integers(-5 * SECOND_MS, 20 * SECOND_MS),
    st.integers(-DAY_MS, 3 * DAY_MS),
    st.builds(lambda n, ms: n * 15 * MINUTE_MS + ms, st.integers(-8, 200), st.integers(-1, 1)),
).map(lambda offset_ms: BASE_MS + offset_ms)
lateness = st.sampled_from([0, 1, 999, 1000, 1001, 7 * SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS, UNBOUNDED_MS])
partitions = st.integers(1, 3)
picks = st.integers(0, 20)
"""Which of some events, counted around."""


@dataclass(frozen=True, slots=True)
class Came:
    """An order as it came: when it was placed, for how much, and what was closed then."""

    at_ms: int
    minor: int
    closed_ms: int


def came(messages: Sequence[Message], lateness_ms: int, count: int) -> list[Came]:
    """Return the orders among these messages, each the first time it came; all of one topic."""
    stream: dict[int, int] = {}
    seen: set[str] = set()
    found = []
    for message in messages:
        number, at_ms = partition_of(message.saga_id, count), milliseconds(message.time)
        stream[number] = max(stream.get(number, at_ms), at_ms)
        if message.saga_id not in seen:
            seen.add(message.saga_id)
            total = msgspec.json.decode(message.data)["total"]
            found.append(Came(at_ms, int(Decimal(str(total)) * 100), stream[number] - lateness_ms))
    return found


def picked(pick: int, moments: Sequence[int]) -> int:
    return moments[pick % len(moments)]


def windows_of(size_ms: int, step_ms: int, first_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
    for start in range(first_ms // step_ms * step_ms, end_ms, step_ms):
        if start >= first_ms:
            yield start, start + size_ms


@st.composite
def orders(draw: st.DrawFn, least: int = 1, most: int = 14) -> list[Message]:
    """Return orders in no order, some of them twice."""
    drawn = draw(
        st.lists(st.tuples(times, st.integers(1, 10**6), st.sampled_from("abc")), min_size=least, max_size=most)
    )
    found = [
        placed(f"order-{number}", at_ms, user_id, f"{minor / 100:.2f}")
        for number, (at_ms, minor, user_id) in enumerate(drawn)
    ]
    for place in draw(st.lists(st.integers(0, most), max_size=4)):
        found.insert(place, found[place % len(found)])
    return found


@st.composite
def histories(draw: st.DrawFn, most: int = 4) -> list[Message]:
    """Return all that is said of some orders, in no order."""
    found: list[Message] = []
    for number, (at_ms, minor, tell) in enumerate(
        draw(
            st.lists(
                st.tuples(times, st.integers(1, 10**6), st.sampled_from([confirmed_order, cancelled_order])),
                min_size=1,
                max_size=most,
            )
        )
    ):
        found += tell(f"saga-{number}", at_ms, f"{minor / 100:.2f}")
    return draw(st.permutations(found))


async def ask(shop: Shop, first_ms: int, end_ms: int, **asked: Any) -> list[WindowShown]:  # noqa: ANN401 - of `parsed`
    return (await shop.windows(start=at(first_ms).isoformat(), end=at(end_ms).isoformat(), **asked)).windows


def lengths(size: int, step: int) -> dict[str, str]:
    if size == step:
        return {"kind": "tumbling", "size": f"{size}s"}
    return {"kind": "hopping", "size": f"{size}s", "step": f"{step}s"}


async def kept(shop: Shop) -> dict[str, Any]:
    """Return everything the views keep."""
    return {table.name: {getattr(row, table.key): row for row in await shop.rows(table)} for table in VIEWS}


async def meaning(shop: Shop) -> dict[str, Any]:
    """Return everything the views keep but for the places in the log where it stood."""
    found = await kept(shop)
    del found[LANES.name]
    found[JOINED.name] = {
        key: {
            name: value.closed_ms if isinstance(value, Arrival) else value
            for name, value in msgspec.structs.asdict(row).items()
        }
        for key, row in found[JOINED.name].items()
    }
    return found


# Against a slow count


@pytest.mark.parametrize("metric", ["orders", "orderValue"])
@given(messages=orders(), count=partitions, lateness_ms=lateness, pick=picks)
@FEW
async def test_windows_of_every_length_hold_what_a_slow_count_finds(
    metric: str, messages: list[Message], count: int, lateness_ms: int, pick: int
) -> None:
    """Now it is everything; at close, what came when the end of the window was not yet closed in its partition."""
    shop = Shop(lateness_ms=lateness_ms, partitions=count)
    await shop.hear(*messages)
    events = came(messages, lateness_ms, count)
    around_ms = picked(pick, [event.at_ms for event in events])
    for size, step in FIXED:
        first_ms, end_ms = around_ms - size * 1000 - AROUND * step * 1000, around_ms + AROUND * step * 1000
        found = await ask(shop, first_ms, end_ms, metric=metric, **lengths(size, step))
        expected = []
        for start, end in windows_of(size * 1000, step * 1000, first_ms, end_ms):
            inside = [event for event in events if start <= event.at_ms < end]
            intime = [event for event in inside if end > event.closed_ms]
            expected.append((start, end, weight(metric, inside), weight(metric, intime), len(inside) - len(intime)))
        assert [
            (milliseconds(window.start), milliseconds(window.end), window.now, window.at_close, window.late_count)
            for window in found
        ] == expected


def weight(metric: str, events: Sequence[Came]) -> int | Decimal:
    """Return how many there are, or for how much."""
    return len(events) if metric == "orders" else Decimal(sum(event.minor for event in events)).scaleb(-2)


@given(
    messages=orders(),
    count=partitions,
    first=picks,
    last=picks,
    size_ms=st.sampled_from([1, 700, 5000, MINUTE_MS, DAY_MS]),
)
@FEW
async def test_sliding_windows_hold_now_what_a_slow_count_finds(
    messages: list[Message], count: int, first: int, last: int, size_ms: int
) -> None:
    """One ends at each event and one begins behind it, its end included, if there is anything in it."""
    shop = Shop(lateness_ms=UNBOUNDED_MS, partitions=count)
    await shop.hear(*messages)
    events = [event.at_ms for event in came(messages, 0, count)]
    first_ms = picked(first, [min(events) - size_ms - 1, *events])
    end_ms = picked(last, [max(events) + 2, *(event for event in events if event > first_ms)])
    starts = sorted({event - size_ms for event in events} | {event + 1 for event in events})
    expected = [
        (start, start + size_ms, inside, inside, 0)
        for start in starts
        if first_ms <= start < end_ms and (inside := sum(start <= event <= start + size_ms for event in events))
    ]
    found = await ask(shop, first_ms, end_ms, kind="sliding", size=f"{size_ms}ms")
    assert [
        (milliseconds(window.start), milliseconds(window.end), window.now, window.at_close, window.late_count)
        for window in found
    ] == expected


@given(
    messages=orders(),
    count=partitions,
    first=picks,
    last=picks,
    gap_ms=st.sampled_from([1, 700, 5000, HOUR_MS, DAY_MS]),
)
@FEW
async def test_sessions_hold_now_what_a_slow_count_finds(
    messages: list[Message], count: int, first: int, last: int, gap_ms: int
) -> None:
    """A session is what a user ordered without a longer silence; it is in the range when it begins there."""
    shop = Shop(lateness_ms=UNBOUNDED_MS, partitions=count)
    await shop.hear(*messages)
    by_user: dict[str, set[tuple[int, str]]] = {}
    for message in messages:
        user_id = msgspec.json.decode(message.data)["userId"]
        by_user.setdefault(user_id, set()).add((milliseconds(message.time), message.saga_id))
    moments = [milliseconds(message.time) for message in messages]
    first_ms = picked(first, [min(moments), *moments])
    end_ms = picked(last, [max(moments) + 1, *(moment for moment in moments if moment > first_ms)])
    expected = sorted(
        (start, user_id, end, size, size)
        for user_id, own in by_user.items()
        for start, end, size in sessions(sorted(moment for moment, _ in own), gap_ms)
        if first_ms <= start < end_ms
    )
    found = await ask(shop, first_ms, end_ms, kind="session", gap=f"{gap_ms}ms")
    assert [
        (milliseconds(window.start), window.user_id, milliseconds(window.end), window.now, window.at_close)
        for window in found
    ] == expected
    for user_id in by_user:
        alone = await ask(shop, first_ms, end_ms, kind="session", gap=f"{gap_ms}ms", user_id=user_id)
        assert alone == [window for window in found if window.user_id == user_id]


def sessions(moments: list[int], gap_ms: int) -> Iterator[tuple[int, int, int]]:
    """Yield start, end and size, by joining whoever is near until nobody is."""
    left = [*moments]
    while left:
        group = [left.pop(0)]
        while near := [other for other in left if any(abs(other - own) <= gap_ms for own in group)]:
            group += near
            left = [other for other in left if other not in near]
        yield min(group), max(group), len(group)


@given(
    told=st.lists(
        st.tuples(
            times,
            st.integers(1, 10**9),
            st.sampled_from(["USD", "EUR", "JPY", "KWD"]),
            st.integers(0, 2),
            st.integers(0, HOUR_MS),
            st.sampled_from(m.RefundMethod),
        ),
        min_size=1,
        max_size=8,
    ),
    count=partitions,
    order=st.randoms(use_true_random=False),
)
@FEW
async def test_revenue_is_what_was_captured_less_what_was_refunded_to_the_last_minor_unit(
    told: list[tuple[int, int, str, int, int, m.RefundMethod]], count: int, order: Random
) -> None:
    """By currency: an order that was not paid is none, and one that was refunded is none in the end."""
    messages: list[Message] = []
    moved: list[tuple[int, str, int]] = []
    for number, (at_ms, minor, currency, steps, later_ms, method) in enumerate(told):
        order_id, amount = f"order-{number}", Decimal(minor).scaleb(-exponent(currency))
        messages.append(placed(order_id, at_ms, total=str(amount), currency=currency))
        if steps:
            paid = m.PaymentCompleted(order_id=order_id, payment_id="p", amount=amount, transaction_id="t")
            messages.append(say(order_id, at_ms + later_ms, paid))
            moved.append((at_ms + later_ms, currency, minor))
        if steps > 1:
            back = m.PaymentRefunded(order_id=order_id, payment_id="p", amount=amount, refund_id="f", method=method)
            messages.append(say(order_id, at_ms + 2 * later_ms, back))
            moved.append((at_ms + 2 * later_ms, currency, -minor))
    shop = Shop(lateness_ms=UNBOUNDED_MS, partitions=count)
    order.shuffle(messages)
    await shop.hear(*messages)
    for currency in ("USD", "EUR", "JPY", "KWD"):
        days = await ask(
            shop, BASE_MS - 2 * DAY_MS, BASE_MS + 5 * DAY_MS, metric="revenue", size="1h", currency=currency
        )
        found = [(milliseconds(day.start), Decimal(day.now or 0).scaleb(exponent(currency))) for day in days]
        assert [
            (
                start,
                sum(
                    Decimal(minor)
                    for at_ms, own, minor in moved
                    if own == currency and start <= at_ms < start + HOUR_MS
                ),
            )
            for start, _ in found
        ] == found
        assert all(isinstance(day.now, Decimal) and day.now == day.at_close for day in days)


# In batches, and twice


@given(messages=histories(), count=partitions, lateness_ms=lateness, cuts=st.sets(st.integers(1, 27)))
@FEW
async def test_how_the_log_is_cut_into_batches_changes_nothing(
    messages: list[Message], count: int, lateness_ms: int, cuts: set[int]
) -> None:
    whole, parts = (Shop(lateness_ms=lateness_ms, partitions=count) for _ in range(2))
    await whole.hear(*messages)
    for first, last in pairwise([0, *sorted(cuts), len(messages) + 27]):
        await parts.hear(*messages[first:last])
    assert await kept(parts) == await kept(whole)


@given(messages=histories(), count=partitions, lateness_ms=lateness, at_once=st.booleans())
@FEW
async def test_every_record_twice_is_every_record_once(
    messages: list[Message], count: int, lateness_ms: int, *, at_once: bool
) -> None:
    once, twice = (Shop(lateness_ms=lateness_ms, partitions=count) for _ in range(2))
    await once.hear(*messages)
    if at_once:
        await twice.hear(*(message for message in messages for _ in range(2)))
    else:
        await twice.hear(*messages)
        await twice.hear(*messages)
    assert await meaning(twice) == await meaning(once)
    assert sum(lane.duplicates for lane in await twice.rows(LANES)) == len(messages)


# What is final


ASKED: Sequence[Mapping[str, str]] = (
    {"metric": "orders", "size": "7s"},
    {"metric": "orders", "kind": "hopping", "size": "90s", "step": "30s"},
    {"metric": "orderValue", "size": "1h"},
    {"metric": "revenue", "size": "15m"},
    {"metric": "revenue", "size": "1d"},
    {"metric": "successRate", "size": "1h"},
    {"metric": "durationP95", "size": "1m"},
)


async def lift(shop: Shop, idle: set[str]) -> None:
    """Let these lanes come along with the others, and those of which nothing was heard."""

    async def work(transaction: Transaction) -> None:
        places = [(topic, number) for topic in sorted(EVENT_TOPICS) for number in range(shop.partitions)]
        known = await transaction.load(LANES, [lane_key(*place) for place in places])
        found = {
            place: known.get(lane_key(*place)) or Lane(lane=lane_key(*place), topic=place[0], partition=place[1])
            for place in places
        }
        silent = {place for place, lane in found.items() if lane.stream_ms is None or lane_key(*place) in idle}
        await transaction.save(LANES, lifted(found, silent, shop.lateness_ms))

    await shop.store.transact(work)


async def finals(shop: Shop, around_ms: int) -> dict[tuple[Any, ...], Any]:
    """Return what windows that are final say about their close."""
    found: dict[tuple[Any, ...], Any] = {}
    for asked in ASKED:
        length = {"s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}[asked["size"][-1]] * int(
            asked["size"][:-1]
        )
        for window in await ask(shop, around_ms - 2 * length, around_ms + length, **asked):
            if window.final:
                found[(*asked.values(), window.start)] = window.at_close
    return found


def mixed(some: list[Message], others: list[Message], order: Random) -> list[Message]:
    together = [*some, *others]
    order.shuffle(together)
    return together


async def test_a_window_of_which_every_order_ended_late_has_no_duration_at_close() -> None:
    first, *_, end = confirmed_order("order-1", BASE_MS)
    shop = Shop()
    await shop.hear(first, placed("order-2", BASE_MS + HOUR_MS), end)
    (window,) = await ask(shop, BASE_MS, BASE_MS + MINUTE_MS, metric="durationP95", size="1m")
    assert window.now == pytest.approx(0.05, rel=0.01)
    assert (window.at_close, window.late_count) == (None, 1)


@given(
    messages=st.builds(mixed, histories(3), orders(), st.randoms(use_true_random=False)),
    count=partitions,
    lateness_ms=lateness,
    pick=picks,
    batches=st.lists(st.tuples(st.integers(1, 6), st.sets(st.integers(0, 14))), max_size=6),
)
@settings(FEW, max_examples=60)
async def test_what_a_final_window_held_at_close_never_changes_again(
    messages: list[Message], count: int, lateness_ms: int, pick: int, batches: list[tuple[int, set[int]]]
) -> None:
    """Whatever lanes are idle meanwhile, and whether an amount waits for its order or not."""
    shop = Shop(lateness_ms=lateness_ms, partitions=count)
    around_ms = picked(pick, [milliseconds(message.time) for message in messages])
    names = [lane_key(topic, number) for topic in sorted(EVENT_TOPICS) for number in range(count)]
    told: dict[tuple[Any, ...], Any] = {}
    left = [*messages]
    for many, idle in (*batches, (len(messages), set[int]())):
        await shop.hear(*left[:many])
        left = left[many:]
        await lift(shop, {names[number % len(names)] for number in idle})
        now = await finals(shop, around_ms)
        assert {window: now.get(window) for window in told} == told
        told = now
