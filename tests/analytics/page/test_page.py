"""What the page of the analytics shows, looked at in a browser: a busy shop, an empty, a failing and a hostile one."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from tests.analytics.page.answers import MARKUP, MODES, Answers, empty, failing, full, hostile
from tests.analytics.page.browser import BrowserMissingError, Tab, browser, executable, tab
from tests.analytics.page.shoot import shoot
from tests.analytics.page.stub import PAGE, Stub, serving

from analytics_service.shapes import Summary
from sagakit.runtime.http.problems import problem

pytestmark = pytest.mark.browser

Look = Callable[..., AbstractContextManager[tuple[Tab, Stub]]]

LIVE = "document.querySelector('#state').dataset.state === 'live'"
LISTED = "[...document.querySelectorAll('section .scroll')].every((one) => one.childElementCount)"
STATE = "document.querySelector('#state').textContent"
SUBMIT = "sagactl submit --item prod-1:2:19.99"
CHARTS = {
    "orders-per-minute": 60,
    "success-rate-per-minute": 60,
    "revenue-per-hour": 24,
    "cancelled-by-reason": 7,
    "cancelled-by-mode": 2,
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    try:
        executable()
    except BrowserMissingError as missing:
        pytest.fail(str(missing), pytrace=False)
    with browser() as found:
        yield found


@pytest.fixture
def look(address: str) -> Look:
    return partial(_look, address)


@contextmanager
def _look(address: str, answers: Answers, *, width: int = 1280, dark: bool = False) -> Iterator[tuple[Tab, Stub]]:
    """Look at a shop; whatever is tested, the page asks nobody but its own service and has nothing to complain of."""
    with serving(answers) as stub, tab(address) as page:
        page.clock_of("Europe/Berlin")
        page.open(stub.url, width=width, dark=dark)
        yield page, stub
        assert [url for url in page.requests if not url.startswith((stub.url, "data:"))] == []
        assert page.complaints == []


def _said(answers: Answers) -> Summary:
    assert isinstance(answers.summary, Summary), "this shop has a summary"
    return answers.summary


def _figures(page: Tab) -> dict[str, str]:
    lines = page.ask("[...document.querySelectorAll('#figures > div')].map((one) => one.innerText.split('\\n'))")
    return {name: figure for name, figure, *_ in lines}


def _rows(page: Tab, within: str) -> list[list[str]]:
    cells = "[...document.querySelectorAll('{} tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText))"
    rows: list[list[str]] = page.ask(cells.format(within))
    return rows


def _count(page: Tab, selector: str) -> int:
    return int(page.ask(f"document.querySelectorAll({selector!r}).length"))


def _open_tables(page: Tab, shown: int) -> None:
    page.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.until(f"document.querySelectorAll('figure details table').length === {shown}")


def test_the_figures_are_those_the_service_said(look: Look) -> None:
    with look(full()) as (page, _):
        page.until(LIVE)
        assert _figures(page) == {
            "Orders": "48,213",
            "Confirmed": "44,610",
            "Cancelled": "3,586",
            "Pending": "17",
            "Success rate": "92.6%",
            "Revenue": "$1,948,302.57",
            "Average order": "$43.67",
            "Saga duration, p99": "2.75 s",
        }
        assert "and €20,417.90" in page.text("#figures")
        assert page.text("#state") == "Live"


def test_the_footer_says_how_current_the_figures_are_and_what_was_odd(look: Look) -> None:
    with look(full()) as (page, _):
        page.until(LIVE)
        footer = " ".join(page.text("#footer").split())
        assert footer == (
            "Watermark: 21:14:27 Lag: 412 ms As of: 21:14:31 Views: version 3 Events: 291,046 "
            "Oddities: 212 late, 1,034 repeated, 2 from the future, 0 from the past"
        )


def test_times_are_those_of_the_readers_clock_and_the_page_names_it(look: Look) -> None:
    with look(full()) as (page, _):
        page.until(f"{LIVE} && {LISTED}")
        assert "Europe/Berlin (GMT+1)" in page.text("header")
        assert _rows(page, "#high-value")[0][0] == "21:14:28"


def test_an_amount_of_eighteen_digits_is_shown_to_the_cent(look: Look) -> None:
    rich = msgspec.structs.replace(_said(full()), total_revenue=Decimal("1234567890123456.78"))
    with look(replace(full(), summary=rich)) as (page, _):
        page.until(LIVE)
        assert _figures(page)["Revenue"] == "$1,234,567,890,123,456.78"


def test_what_came_late_and_what_may_still_change_look_different(look: Look) -> None:
    recent = _said(full()).windows
    with look(full()) as (page, _):
        page.until(LIVE)
        late = sum(window.late_count > 0 for window in recent.orders_per_minute)
        still_open = sum(not window.final for window in recent.orders_per_minute)
        assert _count(page, "#orders-per-minute .on-time") == 60
        assert _count(page, "#orders-per-minute .late") == late > 0
        assert _count(page, "#orders-per-minute .provisional") == still_open > 0
        assert _count(page, "#revenue-per-hour .undone") == 1, "a refund that came late took something back"


def test_the_success_rate_has_a_gap_where_nothing_ended(look: Look) -> None:
    with look(full()) as (page, _):
        page.until(LIVE)
        paths = "[...document.querySelectorAll('#success-rate-per-minute path')].map((one) => one.getAttribute('d'))"
        assert "".join(page.ask(paths)).count("M") == 59 - 4, "three minutes without an end are four lines fewer"


def test_every_chart_has_its_numbers_in_a_table_and_its_latest_in_words(look: Look) -> None:
    with look(full()) as (page, _):
        page.until(LIVE)
        _open_tables(page, len(CHARTS))
        assert {chart: len(_rows(page, f"#{chart}")) for chart in CHARTS} == CHARTS
        refunded = _said(full()).windows.revenue_per_hour[-5]
        shown = [f"${refunded.now:,}", f"${refunded.at_close:,}", "9", "final"]
        assert _rows(page, "#revenue-per-hour")[4][2:] == shown
        assert _rows(page, "#cancelled-by-mode")[0] == ["choreography", "31,877", "29,402", "2,464", "11", "92.3%"]
        label = page.ask("document.querySelector('#orders-per-minute [role=img]').getAttribute('aria-label')")
        assert label == "Orders per minute: latest 21:14–21:15 · 23 · provisional"


def test_the_pointer_reads_a_window(look: Look) -> None:
    with look(full()) as (page, _):
        page.until(LIVE)
        where = "(() => { const box = document.querySelector('#revenue-per-hour .undone').getBoundingClientRect();"
        x, y = page.ask(f"{where} return [box.x + box.width / 2, box.y + 2]; }})()")
        page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        page.until("document.querySelector('#revenue-per-hour .readout').textContent.includes('at close')")
        refunded = _said(full()).windows.revenue_per_hour[-5]
        words = f"17:00–18:00 · ${refunded.now:,} · ${refunded.at_close:,} at close · 9 late events"
        assert page.text("#revenue-per-hour .readout") == words


def test_the_lists_show_who_ordered_what_was_sold_and_what_is_missing(look: Look) -> None:
    with look(full()) as (page, _):
        page.until(f"{LIVE} && {LISTED}")
        high_value, products, unmatched = (_rows(page, f"#{one}") for one in ("high-value", "products", "unmatched"))
        assert high_value[0] == ["21:14:28", "Ada Lovelace\nada · gold · GB", "$1,249.00", "pending", "order-48213", ""]
        assert high_value[2][1:] == ["user-2201", "$999.99", "cancelled", "order-48139", "future"]
        assert products[1] == ["prod-2", "16,563", "$82,815.00 + €20,417.90", "18,068", "9,034", "751"]
        assert unmatched[0] == ["order-48190", "1 h 10 min", "PaymentRefunded", "cancelled"]
        assert "There are more" in page.text("#high-value")


def test_a_new_order_appears_without_asking_again(look: Look) -> None:
    with look(full()) as (page, stub):
        page.until(LIVE)
        stub.change(replace(full(), summary=msgspec.structs.replace(_said(full()), total_orders=48_214)))
        page.until("document.querySelector('#figures .figure').textContent === '48,214'")
        assert stub.asked.count("/analytics") == 1


def test_an_empty_shop_says_how_to_place_an_order(look: Look) -> None:
    with look(empty()) as (page, _):
        page.until(f"{LIVE} && {LISTED}")
        assert SUBMIT in page.text("#empty")
        assert _figures(page)["Success rate"] == "–"
        for chart, sentence in (
            ("orders-per-minute", "No order in the last hour."),
            ("success-rate-per-minute", "No saga ended in the last hour."),
            ("revenue-per-hour", "No revenue in the last day."),
            ("cancelled-by-reason", "No order was cancelled."),
            ("high-value", "No order above the threshold yet."),
            ("products", "No product was ordered yet."),
            ("unmatched", "Nothing is missing: every order is complete."),
        ):
            assert sentence in page.text(f"#{chart}")


def test_a_busy_shop_needs_no_advice(look: Look) -> None:
    with look(full()) as (page, _):
        page.until(LIVE)
        assert SUBMIT not in page.text("body")


def test_a_failing_service_is_quoted_and_nothing_is_claimed(look: Look) -> None:
    with look(failing()) as (page, _):
        page.until(f"{STATE} === 'Reconnecting: the store cannot be reached (503).' && {LISTED}")
        assert page.text("#products .scroll") == "Products cannot be shown: the store cannot be reached (503)"
        assert "Not known yet." in page.text("#orders-per-minute")
        assert "No order" not in page.text("main")


def test_a_service_that_comes_back_is_shown_again(look: Look) -> None:
    with look(failing()) as (page, stub):
        page.until(f"{STATE}.startsWith('Reconnecting')")
        stub.change(full())
        page.until(LIVE)
        assert _figures(page)["Orders"] == "48,213"


def test_when_the_stream_breaks_the_last_figures_stay_with_their_time(look: Look) -> None:
    with look(full()) as (page, stub):
        page.until(LIVE)
        stub.change(failing())
        page.until(f"{STATE}.startsWith('Reconnecting')")
        assert page.text("#state").startswith("Reconnecting: the store cannot be reached (503). The figures are of ")
        assert _figures(page)["Orders"] == "48,213"


def test_a_list_that_fails_says_why_and_leaves_the_others_standing(look: Look) -> None:
    late = problem(503, detail="the profiles are being read")
    with look(replace(full(), high_value=late)) as (page, _):
        page.until(f"{LIVE} && {LISTED}")
        assert "High-value orders cannot be shown: the profiles are being read (503)" in page.text("#high-value")
        assert len(_rows(page, "#products")) == 5


def test_a_lag_is_said_in_words(look: Look) -> None:
    with look(replace(full(), summary=msgspec.structs.replace(_said(full()), lag_seconds=75.0))) as (page, _):
        page.until(LIVE)
        assert "lag behind" in page.text("#state")
        assert "Lag: 1 min 15 s" in page.text("#footer")


def test_a_paused_page_stands_still_until_it_is_resumed(look: Look) -> None:
    with look(full()) as (page, stub):
        page.until(LIVE)
        page.ask("document.querySelector('#pause').click()")
        assert page.text("#state").startswith("Paused. The figures are of ")
        stub.change(replace(full(), summary=msgspec.structs.replace(_said(full()), total_orders=1)))
        assert _figures(page)["Orders"] == "48,213"
        page.ask("document.querySelector('#pause').click()")
        page.until("document.querySelector('#figures .figure').textContent === '1'")


def test_text_from_outside_stays_text(look: Look) -> None:
    with look(hostile()) as (page, _):
        page.until(f"{LIVE} && {LISTED}")
        _open_tables(page, len(CHARTS))
        page.ask("document.querySelector('#question').requestSubmit()")
        page.until("!document.querySelector('#refused').hidden")
        for place in (
            "#high-value",
            "#products",
            "#unmatched",
            "#cancelled-by-reason",
            "#cancelled-by-mode",
            "#refused",
        ):
            assert MARKUP in page.ask(f"document.querySelector({place!r}).textContent")
        assert "43.67 <b>" in page.text("#figures")
        assert "__proto__" in page.text("#cancelled-by-reason")
        assert page.ask("document.title") == "Shop analytics"
        assert [_count(page, tag) for tag in ("script", "img", "b", "iframe")] == [1, 0, 0, 0]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("width", [360, 700, 1100, 1600])
def test_whatever_is_shown_fits_the_width(look: Look, mode: str, width: int) -> None:
    with look(MODES[mode](), width=width) as (page, _):
        page.until(LISTED)
        assert page.ask("document.documentElement.scrollWidth") == width


def test_light_and_dark_follow_the_reader(look: Look) -> None:
    colours = []
    for dark in (False, True):
        with look(empty(), dark=dark) as (page, _):
            colours.append(page.ask("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(243, 245, 247)", "rgb(15, 19, 23)"]


def test_any_window_can_be_asked_for_by_the_readers_clock(look: Look) -> None:
    with look(full()) as (page, stub):
        page.ask("""{
          const { elements } = document.querySelector('#question');
          elements.type.value = 'hopping';
          elements.from.value = '2026-11-25T20:00:00';
          elements.to.value = '2026-11-25T21:00:00';
          elements.type.dispatchEvent(new Event('change', { bubbles: true }));
          document.querySelector('#question').requestSubmit();
        }""")
        page.until("!document.querySelector('#answer').hidden")
        asked = next(path for path in stub.asked if path.startswith("/analytics/windows"))
        assert {name: value for name, [value] in parse_qs(urlsplit(asked).query).items()} == {
            "tz": "Europe/Berlin",
            "metric": "orders",
            "type": "hopping",
            "size": "5m",
            "step": "1m",
            "from": "2026-11-25T19:00:00.000Z",
            "to": "2026-11-25T20:00:00.000Z",
        }
        assert "orders · tumbling · size 1 min" in page.text("#answer")
        assert _count(page, "#answer .on-time") == 12
        page.ask("document.querySelector('#answer details').open = true")
        page.until("document.querySelectorAll('#answer tbody tr').length === 12")


def test_a_window_that_is_refused_is_refused_in_a_sentence(look: Look) -> None:
    sentence = "step: would give 86,400 windows; at most 1,500 are answered: choose longer ones"
    with look(replace(full(), windows=problem(400, "invalid-request", detail=sentence))) as (page, _):
        page.ask("document.querySelector('#question').requestSubmit()")
        page.until("!document.querySelector('#refused').hidden")
        assert page.text("#refused") == f"{sentence} (400)"


def test_both_pictures_can_be_made_of_a_running_page(address: str, tmp_path: Path) -> None:
    with serving(full()) as stub:
        light, dark = (path.read_bytes() for path in shoot(stub.url, tmp_path))
    assert light[:8] == dark[:8] == b"\x89PNG\r\n\x1a\n"
    assert light != dark


def test_without_a_browser_one_sentence_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BrowserMissingError, match=r"install one with `apt-get install .* chromium`"):
        executable()


def test_the_page_is_one_file_that_needs_nothing_else() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [word for word in ("src=", "@import", "url(", "innerHTML", "insertAdjacent") if word in text] == []
    assert text.count("://") == 1, "the one address is the name of SVG"
