"""Whatever is wrong with a request: a problem document names the field and the rule, and no handler hears of it."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated, Any

import httpx
import msgspec
import pytest
from msgspec import Meta

from sagakit.ports import LogUnavailableError, StoreUnavailableError
from sagakit.runtime.http.app import build_app
from sagakit.runtime.http.routes import ACTOR_DEFAULT, Actor, Call, Id, Input, Reply, Route, Shape


class Line(Input, frozen=True, kw_only=True):
    product_id: str
    quantity: Annotated[int, Meta(ge=1, le=100)]
    price: Decimal


class Basket(Input, frozen=True, kw_only=True):
    user_id: str
    items: Annotated[list[Line], Meta(min_length=1)]
    note: str | None = None


class Params(Input, frozen=True, kw_only=True):
    basket_id: Id
    limit: Annotated[int, Meta(ge=1, le=5)] = 1
    actor: Actor = ACTOR_DEFAULT


class LargeParams(Input, frozen=True, kw_only=True):
    actor: Actor = ACTOR_DEFAULT


class Told(Shape, frozen=True, kw_only=True):
    prices: list[Decimal]
    said: str


class Shop:
    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.error: Exception | None = None

    async def place(self, call: Call[Params | LargeParams, Basket]) -> Reply:
        self.heard.append(call.body)
        return Reply(201, Told(prices=[line.price for line in call.body.items], said=call.params.actor))

    async def show(self, call: Call[Params, None]) -> Told:
        self.heard.append(call.params)
        if self.error is not None:
            raise self.error
        return Told(prices=[Decimal("1.10")], said=call.params.basket_id)

    def client(self) -> httpx.AsyncClient:
        path = "/baskets/{basketId}"
        shape = {"path": path, "params": Params, "summary": "A basket"}
        routes = [
            Route(method="PUT", handler=self.place, returns={201: Told}, body=Basket, **shape),  # type: ignore[arg-type]
            Route(method="GET", handler=self.show, returns={200: Told}, **shape),  # type: ignore[arg-type]
            Route(
                method="POST",
                path="/large",
                handler=self.place,
                returns={201: Told},
                params=LargeParams,
                body=Basket,
                body_bytes_max=4_194_304,
                summary="Large",
            ),
        ]
        transport = httpx.ASGITransport(build_app(routes), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://shop")


@pytest.fixture
async def shop() -> Shop:
    return Shop()


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with shop.client() as client:
        yield client


LINE = {"productId": "prod-1", "quantity": 2, "price": 1.5}


def basket(**said: object) -> bytes:
    return msgspec.json.encode({"userId": "ann", "items": [LINE], **said})


def line(**said: object) -> bytes:
    return basket(items=[LINE, {**LINE, **said}])


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["status"] == status
    assert told["type"].startswith("urn:sagaplane:problem:")
    assert told["title"]
    assert "Traceback" not in answer.text
    return told


@pytest.mark.parametrize(
    ("body", "field", "rule"),
    [
        (b"", "", "a JSON body is required"),
        (b"{", "", "must be JSON"),
        (basket() + b" x", "", "must be JSON"),
        (b'{"userId":"\xff"}', "", "must be JSON in UTF-8"),
        (b'{"userId":"\\ud800"}', "", "must be JSON"),
        (b"[]", "", "Expected object, got array"),
        (b"null", "", "Expected object, got null"),
        (b'{"items":[]}', "/items", ">= 1"),
        (basket(items=[]), "/items", ">= 1"),
        (basket(userId=7), "/userId", "Expected str, got int"),
        (basket(userId=None), "/userId", "Expected str, got null"),
        (basket(colour="red"), "/colour", "is not a field here"),
        (basket(**{"a/b~c": 1}), "/a~1b~0c", "is not a field here"),
        (line(size=1), "/items/1/size", "is not a field here"),
        (line(quantity=0), "/items/1/quantity", ">= 1"),
        (line(quantity=2**70), "/items/1/quantity", "<= 100"),
        (line(quantity=-(2**70)), "/items/1/quantity", ">= 1"),
        (line(quantity=1.5), "/items/1/quantity", "got float"),
        (line(quantity="2"), "/items/1/quantity", "got str"),
        (line(quantity=True), "/items/1/quantity", "got bool"),
        (line(price=True), "/items/1/price", "got bool"),
        (line(price="dear"), "/items/1/price", "decimal"),
        (line(price="NaN"), "/items/1/price", "matching regex"),
        (line(price="Infinity"), "/items/1/price", "matching regex"),
        (line(price=" 1"), "/items/1/price", "matching regex"),
        (line(price="1_0"), "/items/1/price", "matching regex"),
        (line(price="1\n"), "/items/1/price", "matching regex"),
        (line(price="\u0661"), "/items/1/price", "matching regex"),
        (line(productId="a\0b"), "/items/1/productId", "NUL"),
        (basket(items=[{"productId": "prod-1", "quantity": 1}]), "/items/0/price", "is required"),
        (basket(note="[" * 40 + "\0"), "/note", "NUL"),
        (b"[" * 33 + b"]" * 33, "", "nested deeper than 32"),
        (b'{"userId":' * 10_000, "", "nested deeper than 32"),
        (b'{"items":' + b"[" * 40 + b"]" * 40 + b"}", "", "nested deeper than 32"),
    ],
)
async def test_a_broken_rule_is_named_with_its_field(
    client: httpx.AsyncClient, shop: Shop, body: bytes, field: str, rule: str
) -> None:
    told = problem(await client.put("/baskets/b-1", content=body), 400)
    assert told["field"] == field
    assert rule in told["rule"]
    assert told["rule"] in told["detail"]
    assert not shop.heard


async def test_brackets_within_a_string_are_no_nesting(client: httpx.AsyncClient) -> None:
    assert (await client.put("/baskets/b-1", content=basket(note='["' * 100))).status_code == 201


async def test_a_backslash_before_u0000_is_text_and_no_nul(client: httpx.AsyncClient) -> None:
    assert (await client.put("/baskets/b-1", content=basket(note="\\u0000"))).status_code == 201


@pytest.mark.parametrize(
    ("given", "exact"),
    [(b"0.1", "0.1"), (b'"0.10"', "0.10"), (b"3.141592653589793238462643", "3.141592653589793238462643")],
)
async def test_amounts_are_exact_from_the_body_to_the_answer(
    client: httpx.AsyncClient, given: bytes, exact: str
) -> None:
    body = b'{"userId":"ann","items":[{"productId":"p","quantity":1,"price":' + given + b"}]}"
    answer = await client.put("/baskets/b-1", content=body)
    assert answer.text == f'{{"prices":[{exact}],"said":"anonymous"}}'


@pytest.mark.parametrize(
    ("path", "field", "rule"),
    [
        ("/baskets/b%201", "basketId", "matching regex"),
        ("/baskets/b%0A", "basketId", "printable"),
        ("/baskets/b%00", "basketId", "printable"),
        ("/baskets/" + "b" * 51, "basketId", "matching regex"),
        ("/baskets/b?limit=0", "limit", ">= 1"),
        ("/baskets/b?limit=99999999999999999999999", "limit", "<= 5"),
        ("/baskets/b?limit=two", "limit", "Expected int"),
        ("/baskets/b?limit=", "limit", "Expected int"),
        ("/baskets/b?limit=1&limit=2", "limit", "given twice"),
        ("/baskets/b?basketId=c", "basketId", "given twice"),
        ("/baskets/b?colour=red", "colour", "is not a parameter here"),
        ("/baskets/b?X-Actor=me", "X-Actor", "is not a parameter here"),
        ("/baskets/b?actor=me", "actor", "is not a parameter here"),
        ("/baskets/b?limit=%ff", "", "UTF-8"),
        ("/baskets/b?" + "&".join(f"a{n}=1" for n in range(200)), "", "at most 100"),
    ],
)
async def test_a_parameter_that_breaks_a_rule_is_named(
    client: httpx.AsyncClient, shop: Shop, path: str, field: str, rule: str
) -> None:
    told = problem(await client.get(path), 400)
    assert (told["field"], shop.heard) == (field, [])
    assert rule in told["rule"]


@pytest.mark.parametrize("actor", [b"", b" me", b"m\xe9", b"x" * 101])
async def test_an_actor_has_1_to_100_printable_characters(client: httpx.AsyncClient, actor: bytes) -> None:
    told = problem(await client.get("/baskets/b", headers={b"X-Actor": actor}), 400)
    assert told["field"] == "X-Actor"


async def test_the_actor_comes_in_a_header(client: httpx.AsyncClient) -> None:
    answer = await client.put("/baskets/b", content=basket(), headers={"X-Actor": "ann from support"})
    assert answer.json()["said"] == "ann from support"


async def test_an_unknown_route_is_not_found(client: httpx.AsyncClient) -> None:
    assert "/nowhere" in problem(await client.get("/nowhere"), 404)["detail"]


async def test_a_method_that_means_nothing_names_those_that_do(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/baskets/b")
    problem(answer, 405)
    allowed = {"GET", "HEAD", "OPTIONS", "PUT"}
    assert set(answer.headers["allow"].split(", ")) == allowed
    assert set((await client.options("/baskets/b")).headers["allow"].split(", ")) == allowed


async def test_what_can_be_got_can_be_asked_for_its_headers(client: httpx.AsyncClient) -> None:
    answer = await client.head("/baskets/b")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_body_over_256_kib_is_too_large_unless_the_route_takes_more(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    body = basket(note="x" * 262_144)
    assert "262144 bytes" in problem(await client.put("/baskets/b", content=body), 413)["rule"]
    assert not shop.heard

    async def pieces() -> AsyncIterator[bytes]:
        yield body[:1000]
        yield body[1000:]

    problem(await client.put("/baskets/b", content=pieces()), 413)
    assert (await client.post("/large", content=body)).status_code == 201
    problem(await client.post("/large", content=b" " * 4_194_305), 413)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "text/plain"},
        {"content-type": ""},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
async def test_only_plain_json_is_read(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    told = problem(await client.put("/baskets/b", content=basket(), headers=headers), 415)
    assert told["field"].lower() in headers


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/vnd.shop+json", None])
async def test_json_by_any_of_its_names_is_read(client: httpx.AsyncClient, content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}
    assert (await client.put("/baskets/b", content=basket(), headers=headers)).status_code == 201


@pytest.mark.parametrize("error", [StoreUnavailableError("disk full"), LogUnavailableError("log full")])
async def test_a_full_disk_means_try_again_and_nothing_worse(
    client: httpx.AsyncClient, shop: Shop, error: Exception
) -> None:
    shop.error = error
    answer = await client.get("/baskets/b")
    problem(answer, 503)
    assert answer.headers["retry-after"] == "1"
    shop.error = None
    assert (await client.get("/baskets/b")).status_code == 200


async def test_a_bug_is_logged_and_its_inside_is_not_told(
    client: httpx.AsyncClient, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.error = KeyError("secret")
    told = problem(await client.get("/baskets/b"), 500)
    assert "secret" not in str(told)
    assert "secret" in caplog.text
