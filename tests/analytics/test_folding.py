"""A saga counts the same, whatever of it comes first, twice, an hour apart, or with a time that nobody believes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.analytics.shop import Shop, cancelled_order, confirmed_order, placed, say

from analytics_service.folding import FOLDS, Event, fold
from analytics_service.joined_answers import joined, status, unmatched_shown
from analytics_service.orders import Arrival, JoinedOrder, is_complete, missing
from analytics_service.series import milliseconds, moment
from analytics_service.summing import merged
from analytics_service.tables import LANES, PRODUCTS, TOTALS, USERS
from analytics_service.tally import Tally
from analytics_service.views import Bounds, Views
from sagakit.core.contracts import encode_data
from sagakit.core.facts import AbortCode
from sagakit.core.messages import Message
from sagakit.core.part import Abort
from shop_contracts import messages as m
from shop_contracts.catalogue import SHOP

NOON_MS = 1_767_268_800_000
HOUR_MS = 3_600_000
CONFIRMED = confirmed_order("order-1", NOON_MS, "12.50")
CANCELLED = cancelled_order("order-1", NOON_MS, "12.50")
OPEN = -(2**62)
EFFECTS = ["PaymentCompleted", "InventoryReserved", "ShipmentScheduled", "ReservationConsumed"]


@dataclass
class Folded:
    """A row, and what was counted with it."""

    row: JoinedOrder = field(default_factory=lambda: JoinedOrder(order_id="order-1", partition=0))
    tally: Tally = field(default_factory=Tally)
    news: list[bool] = field(default_factory=list)

    @property
    def shown(self) -> tuple[Any, ...]:
        """Everything but how it came: the row as it is answered, and all sums."""
        tally = self.tally
        return (
            joined(self.row, None),
            +tally.ever,
            +tally.on,
            +tally.durations,
            tally.reasons,
            tally.products,
            tally.users,
        )


def folded(messages: Sequence[Message]) -> Folded:
    """Fold the messages in this order; nothing is closed meanwhile."""
    found = Folded()
    for offset, message in enumerate(messages):
        arrival = Arrival(OPEN, NOON_MS + offset, offset)
        data = SHOP.decode(message)
        event = Event(message.type, data, message.mode.value, milliseconds(message.time), arrival)
        found.news.append(fold(found.row, event, found.tally))
    return found


def amounts(found: Folded, prefix: str = "") -> dict[str, int]:
    """Return what was counted over all time, without durations."""
    return {n: a for n, a in found.tally.ever.items() if n.startswith(prefix) and not n.startswith("duration")}


@pytest.mark.parametrize("saga", [CONFIRMED, CANCELLED], ids=["confirmed", "cancelled"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_saga_counts_the_same_in_any_order_and_doubled(saga: list[Message], data: st.DataObject) -> None:
    told = data.draw(st.permutations([*saga, *data.draw(st.lists(st.sampled_from(saga), max_size=4))]))
    found, expected = folded(told), folded(saga)
    assert found.shown == expected.shown
    assert sum(found.news) == len(saga)
    assert is_complete(found.row)
    assert found.row.waiting_since_ms is None


def test_a_confirmed_order_counts_with_its_money_its_user_and_its_product() -> None:
    found = folded(CONFIRMED)
    assert amounts(found) == {
        "orders": 1,
        "orders/choreography": 1,
        "confirmed": 1,
        "confirmed/choreography": 1,
        "value:USD": 1250,
        "valued:USD": 1,
        "captured:USD": 1250,
        "captures:USD": 1,
    }
    assert found.tally.users == {"ada": {"orders": 1, "value:USD": 1250, "captured:USD": 1250, "confirmed": 1}}
    assert found.tally.products == {
        "prod-1": {"orders": 1, "quantity": 1, "value:USD": 1250, "captured:USD": 1250, "confirmed": 1, "sold": 1}
    }


def test_a_cancelled_order_counts_its_reason_and_gives_its_money_back() -> None:
    found = folded(CANCELLED)
    assert found.tally.reasons == {"NO_CARRIER": 1}
    assert amounts(found, "refund") == {"refunded:USD": 1250, "refunds:USD": 1}
    assert amounts(found, "cancelled") == {"cancelled": 1, "cancelled/choreography": 1}
    assert "sold" not in found.tally.products["prod-1"]


def declined(order_id: str, at_ms: int) -> list[Message]:
    failed = m.PaymentFailed(order_id=order_id, reason="no", error_code="CARD_DECLINED")
    ended = m.OrderCancelled(order_id=order_id, reason="CARD_DECLINED", cancelled_at=moment(at_ms + 20))
    return [placed(order_id, at_ms), say(order_id, at_ms + 10, failed), say(order_id, at_ms + 20, ended)]


def out_of_stock(order_id: str, at_ms: int) -> list[Message]:
    failed = m.InventoryFailed(order_id=order_id, reason="OUT_OF_STOCK")
    ended = m.OrderCancelled(order_id=order_id, reason="OUT_OF_STOCK", cancelled_at=moment(at_ms + 40))
    return [*CANCELLED[:2], say(order_id, at_ms + 20, failed), CANCELLED[5], say(order_id, at_ms + 60, ended)]


def killed(order_id: str, at_ms: int) -> list[Message]:
    """Return a saga that was killed after the money was taken and the stock reserved."""
    abort = Abort(saga_id=order_id, code=AbortCode.CANCELLED)
    ended = m.OrderCancelled(order_id=order_id, reason="KILLED", cancelled_at=moment(at_ms + 60))
    return [*CANCELLED[:3], say(order_id, at_ms + 50, abort), say(order_id, at_ms + 60, ended)]


@pytest.mark.parametrize("saga", [declined, out_of_stock, killed])
def test_every_way_to_fail_counts_the_same_in_every_order(saga: Any) -> None:  # noqa: ANN401 - one of three functions
    told = saga("order-1", NOON_MS)
    expected = folded(told)
    assert is_complete(expected.row), missing(expected.row)
    for other in permutations(told):
        assert folded(other).shown == expected.shown


def test_a_declined_payment_and_an_abort_count_at_their_own_times() -> None:
    second = NOON_MS // 1000
    assert folded(declined("order-1", NOON_MS)).tally.on[second, "declined"] == 1
    assert folded(killed("order-1", NOON_MS)).tally.on[second, "aborted"] == 1


def test_a_payment_an_hour_before_its_order_waits_and_counts_at_its_own_time() -> None:
    (paid,) = (message for message in CONFIRMED if message.type == "PaymentCompleted")
    early = say("order-1", NOON_MS - HOUR_MS, SHOP.decode(paid))
    alone = folded([early])
    assert (amounts(alone), missing(alone.row)) == ({}, ["OrderCreated", "OrderConfirmed or OrderCancelled"])
    both = folded([early, CONFIRMED[0]])
    assert both.tally.on[(NOON_MS - HOUR_MS) // 1000, "captured:USD"] == 1250
    assert both.row.first_ms == both.row.waiting_since_ms == NOON_MS - HOUR_MS


def test_a_refund_before_its_order_counts_once_the_order_is_known() -> None:
    (refund,) = (message for message in CANCELLED if message.type == "PaymentRefunded")
    assert amounts(folded([refund])) == {}
    found = folded([refund, CANCELLED[0]])
    assert amounts(found, "refund") == {"refunded:USD": 1250, "refunds:USD": 1}
    assert found.tally.on[milliseconds(refund.time) // 1000, "refunded:USD"] == 1250


@pytest.mark.parametrize("method", m.RefundMethod)
def test_store_credit_is_money_given_back_too(method: m.RefundMethod) -> None:
    refund = m.PaymentRefunded(
        order_id="order-1", payment_id="p", amount=Decimal("12.50"), refund_id="f", method=method
    )
    found = folded([CANCELLED[0], say("order-1", NOON_MS, refund)])
    assert amounts(found, "refunded") == {"refunded:USD": 1250}
    assert found.row.refund_method == method.value


def test_a_refund_of_nothing_is_heard_and_not_counted() -> None:
    refund = m.PaymentRefunded(
        order_id="order-1", payment_id=None, amount=Decimal(0), refund_id=None, method=m.RefundMethod.REFUND
    )
    found = folded([CANCELLED[0], say("order-1", NOON_MS, refund)])
    assert amounts(found, "refund") == {}
    assert found.row.refunded_ms == NOON_MS


def paid(amount: str) -> Message:
    data = m.PaymentCompleted(order_id="order-1", payment_id="p", amount=Decimal(amount), transaction_id="t")
    return say("order-1", NOON_MS + 10, data)


@pytest.mark.parametrize("amount", ["0.001", "1e16", "12.345"])
def test_an_amount_its_currency_cannot_express_is_flagged_and_not_counted_in_either_order(amount: str) -> None:
    for told in permutations([CONFIRMED[0], paid(amount)]):
        found = folded(told)
        assert amounts(found, "captur") == {}
        assert found.row.flags == ("amount",)
        assert found.row.paid_minor is None


@pytest.mark.parametrize("word", ["NaN", "sNaN", "Infinity", "-Infinity", "1e999999", "1e-999999"])
def test_a_word_that_is_no_amount_is_flagged_and_not_counted(word: str) -> None:
    said = json.dumps({"orderId": "order-1", "paymentId": "p", "amount": word, "transactionId": "t"})
    told = msgspec.structs.replace(paid("1"), data=msgspec.Raw(said.encode()))
    for both in permutations([CONFIRMED[0], told]):
        found = folded(both)
        assert amounts(found, "captur") == {}
        assert found.row.flags == ("amount",)
        shown = joined(found.row, None)
        assert shown.payment is not None
        assert (shown.payment.amount is None) == (not Decimal(word).is_finite())


@pytest.mark.parametrize(("total", "currency"), [("1.5", "JPY"), ("10.00", "XYZ"), ("10.00", ""), ("0.001", "USD")])
def test_an_order_whose_total_means_nothing_is_an_order_without_a_value(total: str, currency: str) -> None:
    order = placed("order-1", NOON_MS, total=total, currency=currency)
    for told in permutations([order, paid("0.001")]):
        found = folded(told)
        assert amounts(found) == {"orders": 1, "orders/choreography": 1}
        assert found.row.flags == ("amount",)
        assert found.row.total_minor is None
        assert joined(found.row, None).total is None


def test_products_share_the_money_only_when_the_order_was_paid_as_a_whole() -> None:
    part = folded([CONFIRMED[0], paid("5.00")])
    assert part.tally.users["ada"]["captured:USD"] == 500
    assert "captured:USD" not in part.tally.products["prod-1"]


@pytest.mark.parametrize("kind", sorted(FOLDS))
def test_every_type_that_is_folded_has_a_contract_and_is_wanted(kind: str) -> None:
    assert kind in SHOP.by_type
    assert Views(Bounds()).wants(kind)


@pytest.mark.parametrize(
    ("told", "lacks", "shown"),
    [
        (CONFIRMED[:1], ["OrderConfirmed or OrderCancelled"], "pending"),
        (CONFIRMED[1:2], ["OrderCreated", "OrderConfirmed or OrderCancelled"], "unknown"),
        (CONFIRMED[-1:], ["OrderCreated", *EFFECTS], "confirmed"),
        ([*CONFIRMED[:2], *CONFIRMED[3:]], ["InventoryReserved"], "confirmed"),
        ([*CANCELLED[:4], CANCELLED[6]], ["PaymentRefunded", "InventoryReleased"], "cancelled"),
        ([CANCELLED[0], CANCELLED[6]], [], "cancelled"),
        (CANCELLED, [], "cancelled"),
    ],
)
def test_what_is_missing_of_an_order_is_named(told: list[Message], lacks: list[str], shown: str) -> None:
    row = folded(told).row
    assert (missing(row), is_complete(row), status(row)) == (lacks, not lacks, shown)
    if lacks:
        assert row.first_ms is not None
        waiting = unmatched_shown(row, moment(row.first_ms + HOUR_MS))
        assert (waiting.missing, waiting.age_seconds) == (lacks, 3600)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*CONFIRMED, *CANCELLED]), max_size=12))
def test_what_is_missing_and_whether_anything_is_never_disagree(told: list[Message]) -> None:
    row = folded(told).row
    assert is_complete(row) == (not missing(row))
    assert row.waiting_since_ms == (None if is_complete(row) or not told else row.first_ms)


async def test_an_order_of_the_first_version_is_in_dollars() -> None:
    body = m.OrderCreated(order_id="order-1", user_id="ada", items=[], total=Decimal("12.50"), currency="")
    old = {name: value for name, value in msgspec.to_builtins(body).items() if name not in ("currency", "total")}
    shop = Shop()
    said = msgspec.structs.replace(
        say("order-1", NOON_MS, body), data_version=1, data=encode_data({**old, "total": 12.5})
    )
    await shop.hear(said)
    (row,) = await shop.rows()
    assert (row.currency, row.total_minor) == ("USD", 1250)


@pytest.mark.parametrize("kind", ["orders", "everything"])
async def test_a_batch_that_comes_twice_is_counted_once(kind: str) -> None:
    told = [*CONFIRMED, *cancelled_order("order-2", NOON_MS)]
    once, twice = Shop(partitions=4), Shop(partitions=4)
    await once.hear(*told)
    await twice.hear(*told, *told) if kind == "everything" else await twice.hear(told[0], *told, told[0])
    for table in (TOTALS, USERS, PRODUCTS):
        assert await once.rows(table) == await twice.rows(table)
    lanes = await twice.rows(LANES)
    assert sum(lane.duplicates for lane in lanes) == (len(told) if kind == "everything" else 2)


async def test_a_time_of_the_future_is_kept_and_flagged_and_moves_event_time_no_further_than_allowed() -> None:
    shop = Shop(lateness_ms=1000, future_ms=60_000, past_ms=7 * 24 * HOUR_MS)
    now_ms = milliseconds(shop.clock.moment)
    await shop.hear(placed("order-1", now_ms + HOUR_MS))
    await shop.hear(placed("order-2", now_ms))
    (lane,) = await shop.rows(LANES)
    logged_ms = now_ms + 1
    assert (lane.stream_ms, lane.future, lane.late) == (logged_ms + 60_000, 1, 1)
    assert {row.order_id: row.flags for row in await shop.rows()} == {"order-1": ("future",), "order-2": ()}
    told = await shop.windows(size="1h", start=moment(now_ms).isoformat(), end=moment(now_ms + 2 * HOUR_MS).isoformat())
    assert [window.now for window in told.windows] == [1, 1]


async def test_a_time_just_within_what_is_allowed_is_believed() -> None:
    shop = Shop(future_ms=60_000, past_ms=HOUR_MS)
    logged_ms = milliseconds(shop.clock.moment) + 1
    await shop.hear(placed("order-1", logged_ms + 60_000), placed("order-2", logged_ms + 1 - HOUR_MS))
    (lane,) = await shop.rows(LANES)
    assert (lane.stream_ms, lane.future, lane.past) == (logged_ms + 60_000, 0, 0)


async def test_a_time_of_long_ago_is_kept_and_flagged_and_counted_when_it_was() -> None:
    shop = Shop(lateness_ms=1000, past_ms=7 * 24 * HOUR_MS)
    now_ms = milliseconds(shop.clock.moment)
    await shop.hear(placed("order-1", now_ms), placed("order-2", now_ms - 8 * 24 * HOUR_MS))
    (lane,) = await shop.rows(LANES)
    assert (lane.stream_ms, lane.past, lane.late) == (now_ms, 1, 1)
    assert {row.order_id: row.flags for row in await shop.rows()} == {"order-1": (), "order-2": ("past",)}
    assert sum(total.series["orders"] for total in await shop.rows(TOTALS)) == 2


async def test_what_cannot_be_read_holds_nothing_up() -> None:
    shop = Shop()
    good, bad = placed("order-1", NOON_MS), placed("order-2", NOON_MS)
    bodiless = msgspec.structs.replace(bad, data=msgspec.Raw(b'{"orderId":"order-2"}'))
    await shop.hear(bodiless, good)
    assert [row.order_id for row in await shop.rows()] == ["order-1"]
    assert [entry.draft.topic for entry in await shop.store.outbox(10)] == ["analytics.dlq"]


async def test_the_order_of_partitions_and_topics_says_nothing_about_what_is_counted() -> None:
    told = [message for number in range(8) for message in cancelled_order(f"order-{number}", NOON_MS + number * 700)]
    expected: list[Any] | None = None
    for partitions in (1, 2, 5):
        shop = Shop(partitions=partitions)
        await shop.hear(*reversed(told))
        found = sorted(merged(await shop.rows(TOTALS)).items())
        assert expected in (None, found)
        expected = found


async def test_an_hour_between_a_payment_and_its_order_is_one_row() -> None:
    shop = Shop()
    order, payment = CONFIRMED[0], say("order-1", NOON_MS - HOUR_MS, SHOP.decode(CONFIRMED[1]))
    await shop.hear(payment)
    shop.clock.moment += timedelta(hours=1)
    await shop.hear(order)
    (row,) = await shop.rows()
    assert (row.paid_ms, row.created_ms, row.paid_minor) == (NOON_MS - HOUR_MS, NOON_MS, 1250)
