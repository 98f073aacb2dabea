"""What sagactl says of the shop's figures: the report, windows, lists, versions, the live view, and the recount."""

import asyncio
import io
import json
import re
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import anyio
import httpx
import msgspec
import pytest
from tests.unit.onebox.conftest import Sagactl
from tests.unit.onebox.events_of_orders import COMPENSATED, CONFIRMED, Counted, Order
from tests.unit.onebox.live_shop import LiveShop
from typing_extensions import override

from analytics_service.tables import CHUNKS
from onebox.cli import execute
from onebox.client import Shop
from onebox.commands.analytics import pictures
from onebox.commands.versions import rebuild_views
from onebox.figures import Figures, Window
from onebox.output import Output
from onebox.plots import bars, frame
from onebox.report import report
from onebox.settings import CtlSettings
from sagakit.ports import Query, Transaction

pytestmark = pytest.mark.usefixtures("pens")
SUMMARY = {
    "totalOrders": 3,
    "confirmedOrders": 2,
    "cancelledOrders": 1,
    "pendingOrders": 0,
    "failedPayments": 1,
    "successRate": 2 / 3,
    "totalRevenue": 30.5,
    "averageOrderValue": 12.34,
    "currency": "USD",
    "revenueByCurrency": {"USD": 30.5, "JPY": 1200},
    "cancelledByReason": {"CARD_DECLINED": 1},
    "byMode": [{"mode": "choreography", "orders": 3, "confirmed": 2, "cancelled": 1, "successRate": 2 / 3}],
    "durations": {"count": 3, "p50Seconds": 0.061, "p95Seconds": 0.12, "p99Seconds": None},
    "windows": {
        "ordersPerMinute": [
            {"start": "2026-11-25T12:00:00Z", "end": "2026-11-25T12:01:00Z", "now": 3, "atClose": 2, "lateCount": 1},
            {"start": "2026-11-25T12:01:00Z", "end": "2026-11-25T12:02:00Z", "now": 0, "atClose": None},
        ],
        "revenuePerHour": [{"start": "2026-11-25T12:00:00Z", "end": "2026-11-25T13:00:00Z", "now": 30.50}],
        "successRatePerMinute": [{"start": "2026-11-25T12:00:00Z", "end": "2026-11-25T12:01:00Z", "now": 0.667}],
    },
    "asOf": "2026-11-25T12:02:00Z",
    "version": 1,
    "events": 14,
    "lagSeconds": 0.0,
    "newerThanThisSagactl": True,
}


def figures() -> Figures:
    return msgspec.json.decode(json.dumps(SUMMARY), type=Figures)


def test_the_report_tells_totals_modes_reasons_and_the_windows_that_are_not_empty() -> None:
    lines = report(figures()).splitlines()
    assert "orders           3: 2 confirmed, 1 cancelled, 0 pending" in lines
    assert "success rate     66.7%" in lines
    assert "revenue          30.5 USD" in lines
    assert "                 1200 JPY" in lines
    assert "saga duration    p50 0.061 s, p95 0.120 s, p99 -" in lines
    assert "choreography  3       2          1          66.7%" in lines
    assert "CARD_DECLINED  1" in lines
    assert "2026-11-25 12:00Z  3       66.7%" in lines
    assert not any("12:01Z" in text for text in lines)


def test_a_picture_has_a_bar_for_each_window() -> None:
    picture = frame(figures())
    assert re.search(r"orders / minute +█ +at most 3", picture)
    assert re.search(r"success / minute +▆ +66\.7%", picture)
    assert re.search(r"revenue / hour +█ +at most 30\.5 USD", picture)


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([0, 0], "  "),
        ([1, 2, 4, 8, None, 0, -3], "▂▃▅█· ▾"),
        ([None], "·"),
        ([-1], "▾"),
    ],
)
def test_bars_are_as_high_as_their_values(values: list[int | None], drawn: str) -> None:
    assert bars([None if value is None else Decimal(value) for value in values]) == drawn


def confirmed(sagactl: Sagactl) -> str:
    answer = sagactl("submit", "--item", "pen:2:9.99", "--wait", "-o", "name")
    assert answer.code == 0, answer.err
    return answer.out.strip()


def until(sagactl: Sagactl, sure: str, *words: str) -> str:
    """Look again until the answer has what it must have once everything was counted."""
    for _ in range(200):
        answer = sagactl(*words)
        if re.search(sure, answer.out):
            return answer.out
        anyio.run(anyio.sleep, 0.05)
    raise AssertionError(f"{words}: {sure} not in {answer.out}{answer.err}")


def counted(sagactl: Sagactl) -> str:
    """Return the id of an order of which every event was counted."""
    order_id = confirmed(sagactl)
    until(sagactl, r"missing +nothing", "analytics", "order", order_id)
    return order_id


def test_the_shop_reports_its_figures(sagactl: Sagactl) -> None:
    counted(sagactl)
    assert re.search(r"orders +\d+: \d+ confirmed", sagactl("analytics", "report").out)
    told = json.loads(sagactl("analytics", "report", "-o", "json").out)
    assert told["totalOrders"] >= 1
    assert told["byMode"][0]["mode"] == "choreography"
    assert sagactl("analytics", "report", "-o", "name").out == "1\n"


def test_an_order_is_shown_with_everything_that_came_with_it(sagactl: Sagactl) -> None:
    order_id = counted(sagactl)
    text = sagactl("analytics", "order", order_id).out
    assert text.startswith(f"{order_id}  confirmed, choreography\n")
    assert "2 × pen at 9.99" in text
    assert "19.98 USD" in text
    assert "trackingNumber" in text
    assert json.loads(sagactl("analytics", "order", order_id, "-o", "json").out)["total"] == 19.98


def test_windows_are_a_table_and_json_has_all_of_the_answer(sagactl: Sagactl) -> None:
    counted(sagactl)
    day = ("analytics", "windows", "--size", "1d", "--from", datetime.now(UTC).date().isoformat())
    head = sagactl(*day).out.splitlines()[0].split()
    assert head == ["BEGINS", "ENDS", "ORDERS", "AT", "CLOSE", "LATE", "CLOSED"]
    (window,) = json.loads(sagactl(*day, "-o", "json").out)["windows"]
    assert window["now"] >= 1
    money = sagactl("analytics", "windows", "-m", "revenue", "--size", "1h", "-t", "hopping", "--step", "30m").out
    assert "REVENUE USD" in money
    sessions = sagactl("analytics", "windows", "-t", "session", "--gap", "1h", "--user", "user-1").out
    assert "user-1" in sessions
    assert "USER" in sessions


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--metric", "luck"), "'luck' is unknown"),
        (("--type", "hopping"), "is required for hopping windows"),
        (("--tz", "Mars/Olympus"), "is no time zone"),
        (("--size", "long"), "is no length"),
    ],
)
def test_a_question_that_makes_no_sense_ends_with_two(sagactl: Sagactl, words: tuple[str, ...], said: str) -> None:
    answer = sagactl("analytics", "windows", *words)
    assert answer.code == 2
    assert said in answer.err


def test_products_waiting_and_dear_orders_are_listed(sagactl: Sagactl) -> None:
    counted(sagactl)
    assert re.search(r"^pen +\d+ ", sagactl("analytics", "products").out, re.MULTILINE)
    assert sagactl("analytics", "products", "-o", "name").out == "pen\n"
    assert "no such orders" in sagactl("analytics", "unmatched", "--min-age", "3600").err
    assert sagactl("submit", "--item", "pen:1:1000.01", "--wait").code == 0
    dear = until(sagactl, "confirmed", "analytics", "high-value")
    assert "1000.01 USD" in dear
    assert "there may be more orders" in sagactl("analytics", "high-value", "--limit", "1").err


def test_one_picture_is_printed_where_nobody_watches(sagactl: Sagactl) -> None:
    counted(sagactl)
    for words in (("watch", "--once"), ("watch",)):
        answer = sagactl("analytics", *words)
        assert answer.code == 0
        assert "orders / minute" in answer.out


async def test_watching_goes_on_while_the_service_is_away() -> None:
    answers = [200, 503, 200]
    shown: list[str] = []

    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(answers.pop(0), json=SUMMARY)

    def show(text: str) -> None:
        shown.append(text)
        if not answers:
            raise asyncio.CancelledError

    async with Shop(CtlSettings(), {"analytics": httpx.MockTransport(answer)}) as shop:
        with pytest.raises(asyncio.CancelledError):
            await pictures(shop, show, 0.0)
    assert [text.count("trying again") for text in shown] == [0, 1, 0]
    assert all("orders / minute" in text for text in shown)


def test_the_views_are_built_again_swapped_back_and_dropped(sagactl: Sagactl) -> None:
    counted(sagactl)
    built = sagactl("analytics", "rebuild")
    assert (built.code, built.out) == (0, "✔ version 2 is live\n")
    assert sagactl("analytics", "versions", "-o", "name").out == "2\n1\n"
    assert re.search(r"^1 +retired", sagactl("analytics", "versions").out, re.MULTILINE)
    refused = sagactl("analytics", "drop", "2", "--yes")
    assert refused.code == 5
    assert (
        "version 2 is live and cannot be dropped\n  see how the versions stand: sagactl analytics versions"
        in refused.err
    )
    assert sagactl("analytics", "accept", "1").out == "✔ version 1 is live\n"
    assert sagactl("analytics", "drop", "2", "--yes").out == "✔ version 2 is dropped\n"
    assert sagactl("analytics", "drop", "2", "--yes").code == 4
    assert sagactl("analytics", "accept", "9").code == 4


def test_dropping_asks_first(sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        @override
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert "add --yes" in sagactl("analytics", "drop", "1").err
    monkeypatch.setattr(sys, "stdin", Terminal("no\n"))
    assert "not dropped" in sagactl("analytics", "drop", "1").err
    monkeypatch.setattr(sys, "stdin", Terminal("1\n"))
    assert sagactl("analytics", "drop", "1").code == 5


def test_a_version_that_is_different_is_told_and_ends_with_one(sagactl: Sagactl, shop: LiveShop) -> None:
    counted(sagactl)
    live = int(sagactl("analytics", "report", "-o", "name").out)

    async def tamper() -> None:
        async def work(transaction: Transaction) -> None:
            hours = await transaction.select(CHUNKS, Query(where={"level": 3600}, by="start", limit=10))
            await transaction.delete(CHUNKS, [chunk.key for chunk in hours])

        await shop.views.kept[live].transact(work)

    shop.portal.call(tamper)
    answer = sagactl("analytics", "rebuild")
    assert answer.code == 1
    assert "is different" in answer.out
    assert "the live version says 0" in answer.out
    (number,) = re.findall(r"sagactl analytics accept (\d+)", answer.err)
    assert "different" in sagactl("analytics", "versions").out
    again = sagactl("analytics", "rebuild")
    assert (again.code, again.out) == (5, "")
    assert sagactl("analytics", "accept", number).code == 0
    until(sagactl, rf"^{number}$", "analytics", "report", "-o", "name")


async def test_a_rebuild_that_is_under_way_is_shown_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    states = ["building", "building", "comparing", "live"]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(409, json={"title": "conflict", "detail": "version 2 is building already"})
        state = states.pop(0)
        version = {"version": 2, "state": state, "createdAt": "2026-11-25T12:00:00Z", "eventsTotal": 9}
        return httpx.Response(200, json={"versions": [version]})

    async with Shop(CtlSettings(), {"analytics": httpx.MockTransport(answer)}) as shop:
        await rebuild_views(shop, Output(), wait=True)
    assert capsys.readouterr().out == "✔ version 2 is live\n"
    assert not states


def test_what_nobody_heard_of_ends_with_four(sagactl: Sagactl) -> None:
    answer = sagactl("analytics", "order", "nobody")
    assert answer.code == 4
    assert "nothing was heard of an order nobody" in answer.err


def test_a_service_that_is_not_there_is_named(sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGACTL_ANALYTICS_URL", "http://127.0.0.1:1")
    answer = sagactl("analytics", "report")
    assert answer.code == 3
    assert "the analytics service at http://127.0.0.1:1 refuses connections" in answer.err


async def filled(directory: Path) -> None:
    box = Counted(directory)
    await box.open()
    await box.log.publish([*Order("order-1").goes(CONFIRMED), *Order("order-2").goes(COMPENSATED)])
    await box.count()
    await box.close()


async def robbed(directory: Path) -> None:
    box = Counted(directory)
    store = box.stores.open(1)

    async def work(transaction: Transaction) -> None:
        seconds = await transaction.select(CHUNKS, Query(where={"level": 1}, by="start", limit=10))
        await transaction.delete(CHUNKS, [chunk.key for chunk in seconds])

    await store.transact(work)
    await store.close()
    await box.catalogue.close()
    await box.log.close()


def test_the_recount_ends_with_nought_or_names_what_differs_and_ends_with_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    anyio.run(filled, tmp_path)
    verify = ("analytics", "verify", "--data-dir", str(tmp_path))
    assert execute(verify) == 0
    text = capsys.readouterr().out
    assert text.startswith("version 1 at inventory.events ")
    assert text.endswith("\n✔ 11 events counted again with DuckDB, nothing differs\n")
    assert re.search(r"^joined orders +2 +0$", text, re.MULTILINE)
    anyio.run(robbed, tmp_path)
    assert execute((*verify, "--limit", "2")) == 1
    printed = capsys.readouterr()
    assert "… and " in printed.out
    assert re.search(r"^seconds +2026-11-25 12:00:\d\dZ \S+ +nothing +\d+$", printed.out, re.MULTILINE)
    assert "are not what the log says" in printed.err
    assert execute((*verify, "-o", "json")) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["differencesTotal"] == len(told["differences"])
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert execute(("analytics", "verify")) == 4
    assert "sagaplane holds no log.db" in capsys.readouterr().err
    assert execute((*verify, "--version", "2")) == 4


def test_a_window_without_an_answer_is_none() -> None:
    window = msgspec.convert({"start": "2026-11-25T12:00:00Z", "end": "2026-11-25T12:01:00Z", "now": None}, Window)
    assert window.now is None
