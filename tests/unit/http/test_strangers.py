"""A page of another site that somebody opens cannot change anything in a shop that her browser can reach."""

from collections.abc import AsyncIterator

import httpx
import pytest

from sagakit.runtime.http.app import Requests, build_app
from sagakit.runtime.http.openapi import document
from sagakit.runtime.http.routes import Call, Input, Nothing, Reply, Route

STRANGERS = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "what there may be one day"},
    {"sec-fetch-site": "cross-site", "origin": "http://localhost:3002"},
    {"origin": "http://localhost:8080"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
]
FRIENDS: list[dict[str, str]] = [
    {},
    {"sec-fetch-site": "same-origin", "origin": "http://localhost:3002"},
    {"sec-fetch-site": "none"},
    {"origin": "http://localhost:3002"},
]


class Basket(Input, frozen=True, kw_only=True):
    note: str = ""


class Shop:
    def __init__(self) -> None:
        self.asked = 0
        self.requests = Requests()

    async def ask(self, call: Call[Nothing, Basket | None]) -> Reply:
        self.asked += 1
        return Reply(204)

    def routes(self) -> list[Route]:
        return [
            Route(
                method=method,
                path="/baskets",
                handler=self.ask,
                returns={204: None},
                summary="Ask",
                body=Basket if method == "POST" else None,
            )
            for method in ("GET", "POST", "PUT", "DELETE")
        ]


@pytest.fixture
async def shop() -> Shop:
    return Shop()


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(build_app(shop.routes(), shop.requests), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:3002") as client:
        yield client


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("headers", STRANGERS)
async def test_a_page_of_another_site_changes_nothing(
    client: httpx.AsyncClient, shop: Shop, method: str, headers: dict[str, str]
) -> None:
    answer = await client.request(method, "/baskets", content=b"{}", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert answer.json()["detail"] == "a page of another site may not ask for this"
    assert shop.asked == 0
    assert shop.requests.counts == {(method, "/baskets", 403): 1}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("headers", FRIENDS)
async def test_programs_and_the_pages_of_the_service_itself_ask_as_before(
    client: httpx.AsyncClient, shop: Shop, method: str, headers: dict[str, str]
) -> None:
    assert (await client.request(method, "/baskets", content=b"{}", headers=headers)).status_code == 204
    assert shop.asked == 1


@pytest.mark.parametrize("headers", STRANGERS)
async def test_a_link_from_anywhere_may_be_followed(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await client.get("/baskets", headers=headers)).status_code == 204


def test_the_document_tells_of_the_refusal_where_there_is_one() -> None:
    told = document("Shop", Shop().routes())["paths"]["/baskets"]
    assert {method for method, its in told.items() if "403" in its["responses"]} == {"post", "put", "delete"}
    assert {method for method, its in told.items() if "408" in its["responses"]} == {"post"}
