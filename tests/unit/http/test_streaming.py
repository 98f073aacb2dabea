"""Answers that come in parts, and answers with nothing in them."""

from collections.abc import AsyncIterator

import httpx
import pytest

from sagakit.runtime.http.app import Requests, build_app
from sagakit.runtime.http.openapi import document
from sagakit.runtime.http.routes import Call, Id, Input, Nothing, Reply, Route


class Which(Input, frozen=True, kw_only=True):
    basket_id: Id


class Baskets:
    """Tells of baskets in parts, and drops them."""

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self.ended = 0
        self.requests = Requests()

    async def watch(self, call: Call[Nothing, None]) -> Reply:
        return Reply(200, self._parts(), {"Cache-Control": "no-store"}, "text/event-stream")

    async def _parts(self) -> AsyncIterator[bytes]:
        try:
            for number in range(3):
                yield b"data: %d\n\n" % number
        finally:
            self.ended += 1

    async def drop(self, call: Call[Which, None]) -> Reply:
        self.dropped.append(call.params.basket_id)
        return Reply(204)

    async def show(self, call: Call[Which, None]) -> Reply:
        return Reply(200, b"<p>", {"X-Made": "by hand"}, "text/html")

    def routes(self) -> list[Route]:
        one = "/baskets/{basketId}"
        return [
            Route(
                method="GET",
                path="/stream",
                handler=self.watch,
                summary="All",
                returns={200: str},
                media_type="text/event-stream",
            ),
            Route(method="GET", path=one, handler=self.show, summary="One", returns={200: str}, params=Which),
            Route(method="DELETE", path=one, handler=self.drop, summary="Drop", returns={204: None}, params=Which),
        ]

    def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(build_app(self.routes(), self.requests), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://shop")


@pytest.fixture
async def baskets() -> Baskets:
    return Baskets()


@pytest.fixture
async def client(baskets: Baskets) -> AsyncIterator[httpx.AsyncClient]:
    async with baskets.client() as client:
        yield client


async def test_parts_come_one_after_the_other_with_the_headers_of_the_answer(
    client: httpx.AsyncClient, baskets: Baskets
) -> None:
    answer = await client.get("/stream")
    assert (answer.status_code, answer.text) == (200, "data: 0\n\ndata: 1\n\ndata: 2\n\n")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert "content-length" not in answer.headers, "nobody knows how long it will be"
    assert baskets.ended == 1


async def test_a_stream_counts_as_one_request(client: httpx.AsyncClient, baskets: Baskets) -> None:
    await client.get("/stream")
    assert baskets.requests.counts == {("GET", "/stream", 200): 1}


async def test_who_asks_for_the_headers_of_a_stream_gets_no_parts(client: httpx.AsyncClient) -> None:
    answer = await client.head("/stream")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_what_is_dropped_is_answered_with_nothing(client: httpx.AsyncClient, baskets: Baskets) -> None:
    answer = await client.delete("/baskets/b-1")
    assert (answer.status_code, answer.content, baskets.dropped) == (204, b"", ["b-1"])
    assert "content-length" not in answer.headers or answer.headers["content-length"] == "0"
    assert baskets.requests.counts == {("DELETE", "/baskets/{basketId}", 204): 1}


async def test_beside_a_route_that_drops_another_keeps_its_own_status(client: httpx.AsyncClient) -> None:
    answer = await client.get("/baskets/b-1")
    assert (answer.status_code, answer.text, answer.headers["x-made"]) == (200, "<p>", "by hand")
    assert set((await client.options("/baskets/b-1")).headers["allow"].split(", ")) == {
        "DELETE",
        "GET",
        "HEAD",
        "OPTIONS",
    }


async def test_a_parameter_of_what_is_dropped_is_checked(client: httpx.AsyncClient, baskets: Baskets) -> None:
    assert (await client.delete("/baskets/b%201")).json()["field"] == "basketId"
    assert (await client.delete("/stream")).status_code == 405
    assert baskets.dropped == []


def test_the_document_says_what_comes_in_parts_and_where_there_is_nothing_to_say() -> None:
    paths = document("Shop", Baskets().routes())["paths"]
    dropped = paths["/baskets/{basketId}"]["delete"]["responses"]
    assert dropped["204"] == {"description": "Done; there is nothing to say."}
    assert {"400", "500", "503"} < dropped.keys()
    watched = paths["/stream"]["get"]["responses"]["200"]
    assert watched["content"] == {"text/event-stream": {"schema": {"type": "string"}}}
