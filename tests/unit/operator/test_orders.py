"""The order service is believed when it speaks, and nobody else is: what is in between answers too."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import msgspec
import pytest

from order_service.inputs import Why
from saga_operator.orders import OrderService, OrdersUnavailableError, RefusedOrderError
from sagakit.core.facts import Verb
from sagakit.runtime.http.problems import PROBLEM_JSON, ProblemError, conflict, invalid, not_found, problem, unavailable

URL = "http://orders"
SAGA = "saga-1"
Ask = Callable[[OrderService], Awaitable[Any]]

ASKED: dict[str, Ask] = {
    "place": lambda orders: orders.place({}, "key"),
    "find": lambda orders: orders.find(SAGA),
    "wish": lambda orders: orders.wish(SAGA, Verb.CANCEL, "", "operator"),
    "latest": lambda orders: orders.latest(None, 1),
}
FOREIGN = {
    "a page": httpx.Response(404, text="<h1>Not Found</h1>"),
    "a redirect": httpx.Response(302, headers={"Location": "/login"}),
    "a mesh that forbids": httpx.Response(403, text="RBAC: access denied"),
    "a wall": httpx.Response(401, json={"message": "who are you?"}),
    "a proxy that reads no further": httpx.Response(400, text="Bad Request"),
    "somebody else's problem": httpx.Response(409, json={"type": "about:blank", "title": "Conflict", "field": "/id"}),
    "nothing": httpx.Response(204),
    "a page that is well": httpx.Response(200, text="<h1>Welcome</h1>"),
}


def asked(ask: Ask, answer: httpx.Response) -> Any:  # noqa: ANN401 - whatever it returns
    async def go() -> Any:  # noqa: ANN401
        # A response can be sent once only.
        sent = httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        async with OrderService(URL, 5.0, httpx.MockTransport(lambda _: sent)) as orders:
            return await ask(orders)

    return asyncio.run(go())


def said(error: ProblemError) -> httpx.Response:
    """Return what our service answers for this error."""
    content = msgspec.json.encode(error.problem)
    headers = {"Content-Type": PROBLEM_JSON, **error.headers}
    return httpx.Response(error.problem.status, headers=headers, content=content)


def test_what_somebody_else_answers_is_told_in_a_line() -> None:
    page = "<html>\n" + "<p>a wall</p>\n" * 100
    with pytest.raises(OrdersUnavailableError) as error:
        asked(ASKED["find"], httpx.Response(403, text=page))
    said = str(error.value)
    assert said.startswith("http://orders/sagas/saga-1 is answered HTTP 403, not by an order service: look at SAGA")
    assert "it says <html> <p>a wall</p>" in said
    assert len(said) <= 256
    assert "\n" not in said


@pytest.mark.parametrize("answer", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_who_is_no_order_service_decides_nothing(ask: Ask, answer: httpx.Response) -> None:
    with pytest.raises(OrdersUnavailableError) as error:
        asked(ask, answer)
    assert not error.value.undone


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
@pytest.mark.parametrize("status", [404, 405])
def test_another_service_of_ours_at_that_address_decides_nothing(ask: Ask, status: int) -> None:
    with pytest.raises(OrdersUnavailableError, match=r"SAGAPLANE_OPERATOR_ORDER_URL"):
        asked(ask, said(ProblemError(problem(status, detail="there is no /sagas here"))))


@pytest.mark.parametrize(
    ("error", "is_conflict"),
    [
        (invalid("/currency", "expected a currency"), False),
        (invalid("", "expected an object"), False),
        (conflict("Idempotency-Key", "was used for another order"), True),
    ],
)
def test_the_order_service_refuses_an_order(error: ProblemError, is_conflict: bool) -> None:
    with pytest.raises(RefusedOrderError) as refused:
        asked(ASKED["place"], said(error))
    assert (str(refused.value), refused.value.field) == (error.problem.detail, error.problem.field)
    assert refused.value.conflict is is_conflict


def test_a_saga_that_the_order_service_does_not_have_is_absent() -> None:
    answer = said(not_found("sagaId", "there is no such saga"))
    assert asked(ASKED["find"], answer) is None
    assert asked(ASKED["wish"], answer) is None


def test_a_saga_that_bears_the_id_as_its_correlation_id_is_somebody_elses() -> None:
    told = {"definition": "order/1", "mode": "choreography", "phase": "Running", "asOf": "2026-01-01T00:00:00Z"}
    own = asked(ASKED["find"], httpx.Response(200, json={**told, "sagaId": SAGA}))
    assert own.state.saga_id == SAGA
    assert asked(ASKED["find"], httpx.Response(200, json={**told, "sagaId": "mallorys", "correlationId": SAGA})) is None


def test_a_wish_that_is_not_granted_says_why() -> None:
    granted = asked(ASKED["wish"], said(conflict("", "it has ended")))
    assert (granted.granted, granted.sentence) == (False, "it has ended")


def test_a_reason_with_control_characters_is_one_that_the_order_service_takes() -> None:
    """It answered 400, which counted as a no: the order was never cancelled, whatever reason was given later."""
    sent: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return said(conflict("", "it has ended"))

    async def go(reason: str) -> None:
        async with OrderService(URL, 5.0, httpx.MockTransport(answer)) as orders:
            await orders.wish(SAGA, Verb.CANCEL, reason, "operator")

    asyncio.run(go("he called\r\nagain\x1b[31m\x00\x7f\x9b, tab\there"))
    (body,) = sent
    assert msgspec.json.decode(body, type=Why).reason == "he called \nagain [31m   , tab\there"


@pytest.mark.parametrize(
    ("answer", "undone"),
    [
        (said(unavailable("the database restarts")), True),
        (httpx.Response(503, text="upstream connect error or disconnect/reset before headers"), False),
        (said(ProblemError(problem(500, detail="an error of ours"))), False),
        (httpx.Response(502, text="Bad Gateway"), False),
        (httpx.Response(429, text="slow down"), False),
    ],
    ids=["ours", "a proxy's", "a bug", "no gateway", "too many"],
)
def test_an_order_is_surely_not_placed_only_when_the_order_service_says_so(
    answer: httpx.Response, undone: bool,
) -> None:  # fmt: skip
    with pytest.raises(OrdersUnavailableError) as error:
        asked(ASKED["place"], answer)
    assert error.value.undone is undone


@pytest.mark.parametrize("saga_id", [".", "..", "batch"])
def test_what_no_saga_is_called_is_no_saga_and_asked_of_nobody(saga_id: str) -> None:
    """In an address the first two name what is above, and `batch` is where many sagas are spoken to."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request.url)

    async def go() -> tuple[object, object]:
        async with OrderService(URL, 5.0, httpx.MockTransport(refuse)) as orders:
            return await orders.find(saga_id), await orders.wish(saga_id, Verb.CANCEL, "", "operator")

    assert asyncio.run(go()) == (None, None)
