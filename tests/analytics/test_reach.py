"""However little is read at once, an answer is the same: what is beyond is looked for, and pages cut nothing off."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.analytics.shop import Shop, at, placed

from analytics_service import reading
from analytics_service.calendar_windows import WindowError
from analytics_service.reading import every, products
from analytics_service.shapes import WindowShown
from analytics_service.summing import merged
from analytics_service.tables import JOINED, PRODUCTS
from sagakit.core.messages import Message

BEGINNING_MS = 1_767_225_600_000
Placed = tuple[int, str]
"""So many seconds after the beginning, and by whom."""
orders = st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["ada", "bob", "cat"])), max_size=14)
FEW = settings(max_examples=60, deadline=None)


@pytest.fixture(params=[(0, 1), (0, 3), (2, 2), (5, 2000)], ids=lambda sizes: f"margin {sizes[0]}, page {sizes[1]}")
def little_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """So few orders are read around a range, and so few rows on a page."""
    margin, page = request.param
    monkeypatch.setattr(reading, "MARGIN_MAX", margin)
    monkeypatch.setattr(reading, "ROWS_AT_ONCE", page)


def told(placements: Sequence[Placed]) -> list[Message]:
    return [placed(f"order-{n}", BEGINNING_MS + second * 1000, user) for n, (second, user) in enumerate(placements)]


async def sessions(shop: Shop, first: int, last: int, **asked: Any) -> list[WindowShown]:  # noqa: ANN401 - words
    start, end = at(BEGINNING_MS + first * 1000).isoformat(), at(BEGINNING_MS + last * 1000).isoformat()
    return (await shop.windows(kind="session", gap="5s", start=start, end=end, **asked)).windows


@pytest.mark.usefixtures("little_at_once")
@FEW
@given(orders, st.integers(0, 50), st.integers(1, 30))
async def test_a_session_that_begins_in_the_range_is_whole_however_far_it_goes_on(
    placements: list[Placed], first: int, seconds: int
) -> None:
    shop = Shop(lateness_ms=3000)
    await shop.hear(*told(placements))
    everything = await sessions(shop, -10, 80)
    last = first + seconds
    begin, end = at(BEGINNING_MS + first * 1000), at(BEGINNING_MS + last * 1000)
    expected = [window for window in everything if begin <= window.start < end]
    assert await sessions(shop, first, last) == expected
    for user in ("ada", "bob", "cat"):
        own = await sessions(shop, first, last, user_id=user)
        assert own == [window for window in expected if window.user_id == user]
    assert sum(window.now or 0 for window in everything) == len(placements)


def of_products(names: Sequence[str]) -> list[Message]:
    """Return an order for each name, of a product that is called so."""
    found = []
    for number, name in enumerate(names):
        order = placed(f"order-{number}", BEGINNING_MS)
        data = msgspec.json.decode(order.data)
        data["items"][0]["productId"] = name
        found.append(msgspec.structs.replace(order, data=msgspec.Raw(msgspec.json.encode(data))))
    return found


@pytest.mark.usefixtures("little_at_once")
@FEW
@given(st.lists(st.sampled_from(["a", "b", "a/b", "a0", "é", "\N{GRINNING FACE}"]), max_size=12), st.integers(1, 4))
async def test_pages_of_products_have_each_once_with_all_that_was_sold_in_any_partition(
    names: list[str], limit: int
) -> None:
    shop = Shop(partitions=3)
    await shop.hear(*of_products(names))
    whole = merged(await shop.rows(PRODUCTS))
    found: list[tuple[str, dict[str, int]]] = []
    after: str | None = None
    while True:
        page = await shop.store.view(lambda reader, after=after: products(reader, after, limit))  # type: ignore[misc]
        found += page
        if len(page) < limit:
            break
        after = page[-1][0]
    assert found == sorted(whole.items())


@pytest.mark.usefixtures("little_at_once")
async def test_all_rows_of_a_table_are_read_page_by_page() -> None:
    shop = Shop()
    await shop.hear(*told([(n, "ada") for n in range(11)]))
    rows = await shop.store.view(lambda reader: every(reader, JOINED))
    assert sorted(row.order_id for row in rows) == sorted(f"order-{n}" for n in range(11))


@pytest.mark.parametrize(
    ("asked", "field"), [({"kind": "sliding", "size": "1s"}, "to"), ({"kind": "session", "gap": "1s"}, "to")]
)
async def test_more_events_than_are_answered_are_refused_with_what_to_change(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], field: str
) -> None:
    monkeypatch.setattr(reading, "POINTS_MAX", 5)
    monkeypatch.setattr(reading, "MARGIN_MAX", 2)
    shop = Shop()
    await shop.hear(*told([(n, "ada") for n in range(6)]))
    span = {"start": at(BEGINNING_MS).isoformat(), "end": at(BEGINNING_MS + 60_000).isoformat()}
    with pytest.raises(WindowError, match="more than 5 events") as refused:
        await shop.windows(**asked, **span)
    assert refused.value.field == field


async def test_a_session_without_an_end_is_refused_with_what_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "POINTS_MAX", 5)
    monkeypatch.setattr(reading, "MARGIN_MAX", 0)
    shop = Shop()
    await shop.hear(*told([(n, "ada") for n in range(20)]))
    with pytest.raises(WindowError, match="a session has more than 5 events") as refused:
        await sessions(shop, 0, 2)
    assert refused.value.field == "gap"
