"""Whatever a thing is called, the page after it can be asked for."""

import httpx
import msgspec
import pytest

from sagakit.adapters.memory import MemoryStore
from sagakit.ports import Table
from sagakit.runtime.http.app import build_app
from sagakit.runtime.http.pages import Page, PageParams, cursor_of, page, text_of
from sagakit.runtime.http.routes import Call, Route, Shape


class Thing(msgspec.Struct, frozen=True):
    name: str


class Shown(Shape, frozen=True, kw_only=True):
    name: str


THINGS = Table("things", Thing, "name")


@pytest.mark.parametrize("letter", ["x", "é", "漢", "\N{GRINNING FACE}", "\U0010ffff"])
async def test_a_name_of_a_hundred_letters_of_any_script_leads_to_the_next_page(letter: str) -> None:
    store = MemoryStore([THINGS])
    names = [letter * 99, letter * 100]
    await store.transact(lambda transaction: transaction.save(THINGS, map(Thing, names)))

    async def show(call: Call[PageParams, None]) -> Page[Shown]:
        return await page(store, THINGS, call.params, lambda thing: Shown(name=thing.name))

    route = Route(
        method="GET", path="/things", handler=show, summary="Things", returns={200: Page[Shown]}, params=PageParams
    )
    transport = httpx.ASGITransport(build_app([route]))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        found, cursor = [], ""
        while True:
            answer = await client.get(f"/things?limit=1{cursor}")
            assert answer.status_code == 200, answer.text
            found += [item["name"] for item in answer.json()["items"]]
            if answer.json()["nextCursor"] is None:
                break
            cursor = f"&cursor={answer.json()['nextCursor']}"
    assert found == names


@pytest.mark.parametrize("text", ["a", "a/b", "order-1", "1767225600000/order-1", "漢字", "\N{GRINNING FACE}" * 100])
def test_a_cursor_leads_back_to_its_text(text: str) -> None:
    assert text_of(cursor_of(text)) == text
