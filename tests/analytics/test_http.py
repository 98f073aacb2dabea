"""What the analytics service answers over HTTP, from an empty shop to one in which something happened."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from datetime import datetime

import msgspec
import pytest
from tests.analytics.running import NOW_MS, Json, Running
from tests.analytics.shop import cancelled_order, confirmed_order, placed

from analytics_service.calendar_windows import WINDOWS_MAX
from analytics_service.questions import YEARS
from analytics_service.settings import AnalyticsSettings
from analytics_service.wiring import TABLES, build
from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.ports import LogUnavailableError, StoreUnavailableError
from sagakit.runtime.failpoints import ARMED
from sagakit.runtime.settings import SettingsError, read

SUMMARY_OF_NOTHING = {
    "totalOrders": 0,
    "confirmedOrders": 0,
    "cancelledOrders": 0,
    "pendingOrders": 0,
    "failedPayments": 0,
    "successRate": None,
    "totalRevenue": 0,
    "averageOrderValue": None,
    "currency": "USD",
    "revenueByCurrency": {},
    "cancelledByReason": {},
    "watermark": None,
    "lagSeconds": 0,
    "asOf": "2026-01-01T00:00:00Z",
    "version": 1,
    "events": 0,
    "durations": {"count": 0, "p50Seconds": None, "p95Seconds": None, "p99Seconds": None},
    "oddities": {"late": 0, "duplicates": 0, "future": 0, "past": 0},
}


@pytest.fixture
async def shop() -> AsyncIterator[Running]:
    made = Running()
    async with made.client:
        await made.hear()
        yield made


async def some_orders(shop: Running) -> None:
    """One confirmed, one cancelled after it was paid, one in euros of which nothing more was heard."""
    await shop.hear(
        [
            *confirmed_order("order-1", NOW_MS),
            *cancelled_order("order-2", NOW_MS + 100),
            placed("order-3", NOW_MS + 200, user_id="bob", total="5.00", currency="EUR"),
        ]
    )


async def test_before_the_views_are_open_a_caller_is_told_to_come_again() -> None:
    early = Running()
    async with early.client:
        for path in ("/analytics", "/analytics/windows", "/analytics/orders/order-1", "/analytics/products"):
            assert (await early.ask(path, 503))["detail"] == "the views are not open yet"


async def test_the_summary_of_an_empty_shop_is_zeros_and_nulls(shop: Running) -> None:
    told = await shop.ask("/analytics")
    assert {name: told[name] for name in SUMMARY_OF_NOTHING} == SUMMARY_OF_NOTHING
    assert set(told) == {*SUMMARY_OF_NOTHING, "windows", "byMode"}
    assert [mode["orders"] for mode in told["byMode"]] == [0] * len(told["byMode"])
    assert {window["now"] for window in told["windows"]["ordersPerMinute"]} == {0}
    assert {window["now"] for window in told["windows"]["successRatePerMinute"]} == {None}


async def test_the_summary_says_what_happened(shop: Running) -> None:
    await some_orders(shop)
    told = await shop.ask("/analytics")
    expected = {
        "totalOrders": 3,
        "confirmedOrders": 1,
        "cancelledOrders": 1,
        "pendingOrders": 1,
        "failedPayments": 0,
        "successRate": 0.5,
        "totalRevenue": 10.0,
        "averageOrderValue": 10.0,
        "revenueByCurrency": {"USD": 10.0},
        "cancelledByReason": {"NO_CARRIER": 1},
        "lagSeconds": 0,
        "events": 14,
    }
    assert {name: told[name] for name in expected} == expected
    assert told["watermark"].startswith("2026-01-01T00:00:00")
    assert sum(window["now"] for window in told["windows"]["ordersPerMinute"]) == 3


async def test_what_nobody_has_handled_yet_is_lag(shop: Running) -> None:
    await some_orders(shop)
    await shop.publish([placed("order-3", NOW_MS + 300)])
    await shop.clock.sleep(5)
    told = await shop.ask("/analytics")
    assert told["totalOrders"] == 3
    assert 5 <= told["lagSeconds"] < 6


async def test_lag_is_how_long_the_oldest_event_waits_however_silent_it_was_before(shop: Running) -> None:
    await some_orders(shop)
    await shop.clock.sleep(3600)
    await shop.publish([placed("order-4", NOW_MS + 3_600_000)])
    assert (await shop.ask("/analytics"))["lagSeconds"] == 0
    await shop.clock.sleep(2)
    await shop.publish([placed("order-5", NOW_MS + 3_602_000)])
    assert (await shop.ask("/analytics"))["lagSeconds"] == 2.001
    await shop.hear()
    assert (await shop.ask("/analytics"))["lagSeconds"] == 0


async def test_lag_is_known_also_where_nothing_was_heard_yet(shop: Running) -> None:
    await shop.publish([placed("order-1", NOW_MS)])
    await shop.clock.sleep(7)
    assert (await shop.ask("/analytics"))["lagSeconds"] == 7


async def test_windows_count_what_happened_in_each_of_them(shop: Running) -> None:
    await some_orders(shop)
    told = await shop.ask("/analytics/windows?metric=orders&size=1m&from=2026-01-01T00:00:00Z&to=2026-01-01T00:02:00Z")
    assert [(window["start"], window["now"], window["final"]) for window in told["windows"]] == [
        ("2026-01-01T00:00:00Z", 3, False),
        ("2026-01-01T00:01:00Z", 0, False),
    ]
    assert (told["metric"], told["type"], told["sizeSeconds"], told["endInclusive"]) == (
        "orders",
        "tumbling",
        60,
        False,
    )


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("type=hopping&size=2m&step=1m", [3, 3]),
        ("type=sliding&size=1s", 3),
        ("type=session&gap=1m", 2),
        ("type=session&gap=1m&userId=bob", 1),
        ("metric=orderValue&currency=EUR&size=1m", [5.0]),
        ("metric=revenue&size=1m", [10.0]),
        ("metric=successRate&size=1m", [0.5]),
        ("metric=durationP50&size=1m", None),
    ],
)
async def test_every_type_of_window_is_answered(shop: Running, query: str, shown: object) -> None:
    await some_orders(shop)
    told = await shop.ask(f"/analytics/windows?{query}&from=2025-12-31T23:59:00Z&to=2026-01-01T00:01:00Z")
    values = [window["now"] for window in told["windows"]]
    if isinstance(shown, list):
        assert [value for value in values if value] == shown
    elif isinstance(shown, int):
        assert len(values) >= shown
    assert values


async def test_times_without_an_offset_are_by_the_clock_of_the_caller(shop: Running) -> None:
    told = await shop.ask("/analytics/windows?size=1h&tz=Europe/Paris&from=2026-01-01T12:00&to=2026-01-01T14:00")
    assert (told["from"], told["to"]) == ("2026-01-01T11:00:00Z", "2026-01-01T13:00:00Z")
    assert told["timeZone"] == "Europe/Paris"


async def test_a_plus_sign_that_became_a_space_is_a_plus_sign(shop: Running) -> None:
    told = await shop.ask("/analytics/windows?size=1h&from=2026-01-01T12:00:00+01:00&to=2026-01-01T14:00:00%2B01:00")
    assert (told["from"], told["to"]) == ("2026-01-01T11:00:00Z", "2026-01-01T13:00:00Z")


@pytest.mark.parametrize(
    ("query", "field", "rule"),
    [
        ("metric=profit", "metric", "'profit' is unknown; there are orders, confirmed"),
        ("type=spiral", "type", "'spiral' is unknown; there are tumbling, hopping, sliding, session"),
        ("tz=Mars/Olympus", "tz", "is no time zone"),
        ("tz=../etc/passwd", "tz", "is no time zone"),
        ("tz=", "tz", "is no time zone"),
        ("tz=Europe", "tz", "is no time zone"),
        ("metric=revenue&currency=XXX", "currency", "is not an ISO 4217 currency"),
        ("metric=revenue&currency=usd", "currency", "is not an ISO 4217 currency"),
        ("from=2026-01-02&to=2026-01-01", "from", "must be before to"),
        ("from=2026-01-01&to=2026-01-01", "from", "must be before to"),
        ("from=2026-01-02", "from", "must be before to"),
        ("from=yesterday", "from", "is no time"),
        ("to=2026-13-01", "to", "is no time"),
        ("to=2026-01-01T25:00:00Z", "to", "is no time"),
        ("to=1767225600", "to", "is no time"),
        ("from=0001-01-01&to=0003-01-01", "from", "must be in the years 2 to 9997"),
        ("to=9999-12-31T23:59:59Z", "to", "must be in the years 2 to 9997"),
        ("size=0", "size", "must be between 1ms and 366d"),
        ("size=0s", "size", "must be between 1ms and 366d"),
        ("size=-5m", "size", "is no length"),
        ("size=367d", "size", "must be between 1ms and 366d"),
        ("size=999999999999d", "size", "must be between 1ms and 366d"),
        ("size=9999999999999", "size", "is no length"),
        ("size=1.5m", "size", "is no length"),
        ("size=1w", "size", "is no length"),
        ("size=1500ms", "size", "must be whole seconds"),
        ("type=hopping&size=2m&step=500ms", "step", "must be whole seconds"),
        ("type=hopping&size=1m&step=2m", "step", "must not exceed the size"),
        ("type=hopping&size=1m", "step", "is required for hopping windows"),
        ("step=1m", "step", "means nothing for tumbling windows"),
        ("gap=1m", "gap", "means nothing for tumbling windows"),
        ("type=sliding&step=1m", "step", "means nothing for sliding windows"),
        ("type=session&size=1m", "size", "means nothing for session windows"),
        ("type=session&gap=0", "gap", "must be between 1ms and 366d"),
        ("type=session&metric=revenue", "metric", "of a session must be"),
        ("userId=ann", "userId", "needs type=session"),
        ("size=1s&from=2026-01-01&to=2026-01-02", "step", f"at most {WINDOWS_MAX:,} are answered"),
        ("size=1s&from=0002-01-01&to=9997-12-31", "step", f"at most {WINDOWS_MAX:,} are answered"),
        ("type=hopping&size=86401s&step=300s&from=2026-01-01&to=2026-01-03", "size", "buckets"),
        ("size=7m&tz=Europe/Paris", "step", "does not divide a day"),
        ("type=hopping&size=36h&step=1d&tz=Europe/Paris", "size", "must be whole days"),
        ("metric=durationP99&size=90s", "size", "must be whole minutes"),
        ("currency=" + "U" * 65, "currency", "<= 64"),
        ("userId=a%2Fb", "userId", "matching regex"),
        ("colour=red", "colour", "is not a parameter"),
    ],
)
async def test_a_question_that_makes_no_sense_gets_a_sentence(shop: Running, query: str, field: str, rule: str) -> None:
    told = await shop.ask(f"/analytics/windows?{query}", 400)
    assert told["field"] == field, told
    assert rule in told["rule"]


@pytest.mark.parametrize("step", ["366d", "1d", "12h", "2h"])
async def test_a_window_may_end_a_year_after_the_last_moment_that_can_be_asked_for(shop: Running, step: str) -> None:
    span = f"from={YEARS[-1]}-12-01T00:00:00Z&to={YEARS[-1]}-12-31T23:59:59Z"
    for zone in ("UTC", "Europe/Paris", "Pacific/Kiritimati", "Pacific/Pago_Pago"):
        await shop.ask(f"/analytics/windows?type=hopping&size=366d&step={step}&tz={zone}&{span}")


async def test_the_first_and_the_last_year_can_be_asked_for_by_any_clock(shop: Running) -> None:
    for zone in ("UTC", "Pacific/Kiritimati", "America/Los_Angeles", "Africa/Monrovia"):
        for start, end in (("0002-01-01", "0002-01-03"), ("9997-12-29", "9997-12-31")):
            for size in ("1h", "1d", "7d"):
                await shop.ask(f"/analytics/windows?size={size}&tz={zone}&from={start}&to={end}")


async def test_a_joined_order_shows_what_came_of_each_part(shop: Running) -> None:
    await some_orders(shop)
    confirmed = await shop.ask("/analytics/orders/order-1")
    assert (confirmed["status"], confirmed["total"], confirmed["missing"]) == ("confirmed", 10.0, [])
    assert confirmed["payment"]["amount"] == 10.0
    assert confirmed["reservation"]["consumedAt"]
    assert confirmed["shipment"]["trackingNumber"] == "n"
    cancelled = await shop.ask("/analytics/orders/order-2")
    assert (cancelled["status"], cancelled["reason"], cancelled["missing"]) == ("cancelled", "NO_CARRIER", [])
    assert cancelled["payment"]["refundMethod"] == "refund"
    waiting = await shop.ask("/analytics/orders/order-3")
    assert (waiting["status"], waiting["currency"], waiting["payment"]) == ("pending", "EUR", None)
    assert waiting["missing"]


async def test_what_nothing_was_heard_of_is_not_found(shop: Running) -> None:
    assert (await shop.ask("/analytics/orders/order-9", 404))["field"] == "orderId"
    assert (await shop.ask("/analytics/users/nobody", 404))["field"] == "userId"
    assert (await shop.ask("/analytics/versions/9", 404, "DELETE"))["field"] == "version"
    assert (await shop.ask("/analytics/versions/9/accept", 404, "POST"))["field"] == "version"


async def test_the_live_version_can_neither_be_dropped_nor_accepted(shop: Running) -> None:
    assert (await shop.ask("/analytics/versions/1", 409, "DELETE"))[
        "detail"
    ] == "version 1 is live and cannot be dropped"
    assert "version 1 is live" in (await shop.ask("/analytics/versions/1/accept", 409, "POST"))["detail"]


async def test_versions_tell_how_far_each_has_come(shop: Running) -> None:
    await some_orders(shop)
    (only,) = (await shop.ask("/analytics/versions"))["versions"]
    assert only == {
        "version": 1,
        "state": "live",
        "createdAt": "2026-01-01T00:00:00Z",
        "endedAt": None,
        "eventsHandled": 14,
        "eventsTotal": 14,
        "differences": [],
    }


async def test_a_rebuild_over_http_ends_with_another_version_live_and_the_old_one_can_be_dropped(shop: Running) -> None:
    await some_orders(shop)
    before = await shop.ask("/analytics")
    begun = await shop.ask("/analytics/versions", 202, "POST")
    assert (begun["version"], begun["state"]) == (2, "building")
    assert "version 2 is building already" in (await shop.ask("/analytics/versions", 409, "POST"))["detail"]
    await shop.hear()
    states = {told["version"]: told["state"] for told in (await shop.ask("/analytics/versions"))["versions"]}
    assert states == {2: "live", 1: "retired"}
    assert {**(await shop.ask("/analytics")), "version": 1} == before
    assert (await shop.client.delete("/analytics/versions/1")).status_code == 204
    assert [told["version"] for told in (await shop.ask("/analytics/versions"))["versions"]] == [2]
    assert set(shop.stores.states) == {2}


async def test_what_a_crash_left_of_a_dropped_version_is_in_no_later_one(shop: Running) -> None:
    def crash() -> None:
        raise StoreUnavailableError("the process ends here")

    await some_orders(shop)
    await shop.ask("/analytics/versions", 202, "POST")
    await shop.hear()
    await shop.ask("/analytics/versions", 202, "POST")
    ARMED["http.after_commit"] = crash
    try:
        await shop.ask("/analytics/versions/3", 503, "DELETE")
    finally:
        ARMED.clear()
    assert (await shop.ask("/analytics/versions", 202, "POST"))["version"] == 4
    await shop.hear()
    told = (await shop.ask("/analytics/versions"))["versions"]
    assert [(each["version"], each["state"]) for each in told] == [(4, "live"), (2, "retired"), (1, "retired")]


async def test_pages_of_high_value_orders_show_each_once_the_newest_first(shop: Running) -> None:
    orders = [placed(f"order-{number}", NOW_MS + number // 2, total="1000.01") for number in range(7)]
    await shop.hear(orders)
    pages = await shop.pages("/analytics/high-value", 3)
    assert [len(page) for page in pages] == [3, 3, 1]
    found = [item["orderId"] for page in pages for item in page]
    assert sorted(found) == sorted(order.saga_id for order in orders)
    times = [datetime.fromisoformat(item["placedAt"]) for page in pages for item in page]
    assert times == sorted(times, reverse=True)
    assert {item["status"] for page in pages for item in page} == {"pending"}


async def test_pages_of_unmatched_orders_show_each_once_the_oldest_first(shop: Running) -> None:
    await shop.hear([placed(f"order-{number}", NOW_MS + number // 2) for number in range(7)])
    pages = await shop.pages("/analytics/unmatched", 2)
    assert [len(page) for page in pages] == [2, 2, 2, 1]
    found = [item for page in pages for item in page]
    assert {item["orderId"] for item in found} == {f"order-{number}" for number in range(7)}
    times = [datetime.fromisoformat(item["since"]) for item in found]
    assert times == sorted(times)


async def test_only_what_has_waited_long_enough_is_unmatched(shop: Running) -> None:
    await shop.hear([*confirmed_order("order-1", NOW_MS), placed("order-2", NOW_MS)])
    await shop.clock.sleep(60)
    assert [item["orderId"] for item in (await shop.ask("/analytics/unmatched"))["items"]] == ["order-2"]
    assert (await shop.ask("/analytics/unmatched?minAgeSeconds=60"))["items"][0]["ageSeconds"] >= 60
    assert (await shop.ask("/analytics/unmatched?minAgeSeconds=61"))["items"] == []
    assert (await shop.ask("/analytics/unmatched?minAgeSeconds=1000000000"))["items"] == []
    assert (await shop.ask("/analytics/unmatched?minAgeSeconds=-1", 400))["field"] == "minAgeSeconds"


async def test_pages_of_products_show_each_once_whatever_partition_it_was_sold_in(shop: Running) -> None:
    orders = [placed(f"order-{number}", NOW_MS + number) for number in range(12)]
    await shop.hear(
        [
            msgspec.structs.replace(order, data=msgspec.Raw(bytes(order.data).replace(b"prod-1", b"pen-%d" % (n % 5))))
            for n, order in enumerate(orders)
        ]
    )
    pages = await shop.pages("/analytics/products", 2)
    assert [[item["productId"] for item in page] for page in pages] == [
        ["pen-0", "pen-1"],
        ["pen-2", "pen-3"],
        ["pen-4"],
    ]
    assert sum(item["orders"] for page in pages for item in page) == 12


@pytest.mark.parametrize("path", ["/analytics/high-value", "/analytics/unmatched"])
@pytest.mark.parametrize("cursor", ["____", "YWJj", "bm90YW51bWJlci9hYmM"])
async def test_a_cursor_that_was_not_given_out_is_refused(shop: Running, path: str, cursor: str) -> None:
    assert (await shop.ask(f"{path}?cursor={cursor}", 400))["field"] == "cursor"


@pytest.mark.parametrize("path", ["/analytics/high-value", "/analytics/unmatched", "/analytics/products"])
@pytest.mark.parametrize("page", ["limit=0", "limit=1001", "limit=two", "cursor=%2F", "cursor="])
async def test_a_page_that_cannot_be_is_refused(shop: Running, path: str, page: str) -> None:
    assert (await shop.ask(f"{path}?{page}", 400))["field"] in ("limit", "cursor")


async def test_a_profile_is_seen_everywhere_once_it_was_heard(shop: Running) -> None:
    await shop.hear([placed("order-1", NOW_MS, total="2000.00")])
    said = await shop.ask("/analytics/users/ada", 202, "PUT", json={"name": "Ada", "segment": "gold"})
    assert said["messageId"]
    assert (await shop.ask("/analytics/orders/order-1"))["profile"] is None
    await shop.hear()
    profile = {"name": "Ada", "segment": "gold", "country": None}
    assert (await shop.ask("/analytics/orders/order-1"))["profile"] == profile
    assert (await shop.ask("/analytics/high-value"))["items"][0]["profile"] == profile
    user = await shop.ask("/analytics/users/ada")
    assert (user["profile"], user["orders"], user["value"]) == (profile, 1, {"USD": 2000.0})


async def test_a_profile_is_whole_what_is_left_out_is_not_known_any_more(shop: Running) -> None:
    await shop.ask("/analytics/users/ada", 202, "PUT", json={"name": "Ada", "country": "GB"})
    await shop.hear()
    await shop.clock.sleep(1)
    await shop.ask("/analytics/users/ada", 202, "PUT", json={"name": "Ada Lovelace"})
    await shop.hear()
    user = await shop.ask("/analytics/users/ada")
    assert user["profile"] == {"name": "Ada Lovelace", "segment": None, "country": None}
    assert user["orders"] == 0


@pytest.mark.parametrize(
    ("user_id", "body", "field"),
    [
        ("ada", {"name": ""}, "/name"),
        ("ada", {"name": "x" * 101}, "/name"),
        ("ada", {"segment": 7}, "/segment"),
        ("ada", {"country": "a\0b"}, "/country"),
        ("ada", {"age": 7}, "/age"),
        ("a" * 101, {}, "userId"),
        ("a%0Ab", {}, "userId"),
    ],
)
async def test_a_profile_that_breaks_a_rule_is_refused(shop: Running, user_id: str, body: Json, field: str) -> None:
    assert (await shop.ask(f"/analytics/users/{user_id}", 400, "PUT", json=body))["field"] == field
    assert await shop.catalogue.outbox(10) == []


async def test_the_stream_begins_with_the_summary_and_ends_with_the_service(
    shop: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some_orders(shop)
    plain = await shop.ask("/analytics")
    ends = shop.log.ends

    async def the_last(topics: Iterable[str]) -> dict[tuple[str, int], int]:
        shop.service.runner.stop.set()
        return await ends(topics)

    monkeypatch.setattr(shop.log, "ends", the_last)
    answer = await asyncio.wait_for(shop.client.get("/analytics/stream"), 10)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    event, data = answer.text.removesuffix("\n\n").split("\n")
    assert event == "event: summary"
    assert msgspec.json.decode(data.removeprefix("data: ")) == plain


async def test_however_many_watch_one_summary_is_made_for_all_of_them(
    shop: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, asked = shop.log.ends, []

    async def counted(topics: Iterable[str]) -> dict[tuple[str, int], int]:
        shop.service.runner.stop.set()
        asked.append(1)
        return await ends(topics)

    monkeypatch.setattr(shop.log, "ends", counted)
    answers = []
    for _ in range(5):
        shop.service.runner.stop.clear()
        answers.append(asyncio.create_task(shop.client.get("/analytics/stream")))
        await asyncio.sleep(0)
    for _ in range(100):
        await asyncio.sleep(0)
    shop.service.runner.stop.set()
    texts = {(await asyncio.wait_for(answer, 10)).text for answer in answers}
    assert len(texts) == len(asked) == 1


@pytest.mark.parametrize("error", [None, LogUnavailableError("the log\nis away")])
async def test_a_stream_says_that_it_cannot_say_anything_now_and_stays(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    shop = Running()
    if error is not None:
        await shop.hear()

    async def away(topics: Iterable[str]) -> dict[tuple[str, int], int]:
        shop.service.runner.stop.set()
        if error is not None:
            raise error
        return {}

    monkeypatch.setattr(shop.log, "ends", away)
    async with shop.client:
        answer = await asyncio.wait_for(shop.client.get("/analytics/stream"), 10)
    assert answer.text == (": the views are not open yet\n\n" if error is None else ": the log is away\n\n")


async def test_the_dashboard_loads_nothing_from_elsewhere(shop: Running) -> None:
    answer = await shop.client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "connect-src 'self'" in answer.headers["content-security-policy"]
    hosts = set(re.findall(r"(?:https?:)?//([a-z0-9-]+\.[a-z0-9.-]+)", answer.text)) - {"www.w3.org"}
    assert hosts == set()


@pytest.mark.parametrize("path", ["/analytics/high-value", "/analytics/unmatched"])
async def test_a_cursor_of_a_time_that_no_database_can_hold_is_refused(shop: Running, path: str) -> None:
    # 10**30 in front of a slash, as `cursor_of` would write it
    cursor = "MTAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMC9h"
    assert (await shop.ask(f"{path}?cursor={cursor}", 400))["field"] == "cursor"


def built(settings: AnalyticsSettings) -> None:
    shop = Running()
    build(settings, MemoryStore(TABLES), shop.stores, MemoryLog(shop.clock), shop.clock)


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("ANALYTICS_CURRENCY", "usd", "'usd' is not an ISO 4217 currency"),
        ("ANALYTICS_CURRENCY", "XAU", "'XAU' is not an ISO 4217 currency"),
        ("ANALYTICS_HIGH_VALUE_OVER", "much", "'much' is not an amount"),
        ("ANALYTICS_HIGH_VALUE_OVER", "1000,EUR=", "'' is not an amount"),
        ("ANALYTICS_HIGH_VALUE_OVER", "1000,EURO=900", "'EURO' is not an ISO 4217 currency"),
        ("ANALYTICS_HIGH_VALUE_OVER", "1000.001", "1000.001 has too many decimals"),
        ("ANALYTICS_HIGH_VALUE_OVER", "NaN", "NaN is not an amount"),
        ("ANALYTICS_HIGH_VALUE_OVER", "1e40", "beyond what is handled"),
        ("ANALYTICS_PAST_DAYS", "0", "expected int >= 1"),
        ("ANALYTICS_ALLOWED_LATENESS_SECONDS", "-1", "expected float >= 0.0"),
    ],
)
def test_a_wrong_setting_is_told_in_one_sentence_with_its_variable(name: str, text: str, rule: str) -> None:
    with pytest.raises(SettingsError) as caught:
        built(read(AnalyticsSettings, {name: text}))
    told = str(caught.value)
    assert told.startswith(f"{name}={text}: ")
    assert rule in told
    assert "\n" not in told
