"""The same against a Stripe-compatible server that others wrote; it keeps no keys, so our front keeps them for it."""

import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.provider.books import SECRET, Asked, Json
from tests.provider.desk import charge, desk_at, repayment
from tests.provider.server import Fault, serving

from payment_service.http_provider import NOTHING_MOVED
from payment_service.provider import Approved, NoAnswer, Rejected

pytestmark = pytest.mark.skipif(importlib.util.find_spec("localstripe") is None, reason="needs localstripe")

BOUND_SECONDS = 30.0


class Front:
    """Passes requests on to localstripe, and answers the same key with the same words."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.answers: dict[str, tuple[int, Json]] = {}

    def hear(self, asked: Asked) -> tuple[int, Json]:
        if asked.key in self.answers:
            return self.answers[asked.key]
        response = self.client.request(
            asked.method, asked.path, data=asked.form or None, headers={"Authorization": asked.authorization}
        )
        answer = response.status_code, response.json()
        if asked.key:
            self.answers[asked.key] = answer
        return answer

    def held(self) -> int:
        """Return the money that the shop has, by the balance of its account."""
        answer = self.client.get("/v1/balance_transactions?limit=100", headers={"Authorization": f"Bearer {SECRET}"})
        return sum(entry["amount"] for entry in answer.json()["data"])


@contextmanager
def localstripe(directory: Path) -> Iterator[httpx.Client]:
    """Run it as a process of its own, from scratch."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "localstripe", "--port", str(port), "--from-scratch"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=directory, **quiet) as process:  # type: ignore[call-overload]
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                until_it_answers(client)
                yield client
        finally:
            process.kill()


def until_it_answers(client: httpx.Client) -> None:
    end = time.monotonic() + BOUND_SECONDS
    while time.monotonic() < end:
        try:
            client.get("/v1/customers")
        except httpx.TransportError:
            continue
        return
    raise AssertionError(f"localstripe does not answer within {BOUND_SECONDS} s")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with localstripe(tmp_path_factory.mktemp("localstripe")) as opened:
        yield opened


@pytest.mark.parametrize("fault", [None, Fault.SILENT, Fault.BREAKS, Fault.LOST, Fault.FAILS, Fault.DOUBLED])
async def test_a_charge_is_made_once_and_given_back_once(client: httpx.Client, fault: Fault | None) -> None:
    front = Front(client)
    before = front.held()
    with serving() as server:
        server.hear = front.hear
        async with desk_at(server, read_seconds=5.0) as desk:
            for what in ("/v1/payment_intents", "/confirm"):
                if fault is not None:
                    server.fails(fault, what)
                assert isinstance(await desk.charge_until_answered(charge(what, user_id="visa")), Approved)
            assert front.held() - before == 2100
            for what in ("/v1/payment_intents", "/confirm"):
                if fault is not None:
                    server.fails(fault, "/v1/refunds")
                assert isinstance(await desk.repay_until_answered(repayment(what)), Approved)
                assert isinstance(await desk.repay_until_answered(repayment(what)), Approved)
            assert front.held() == before


async def test_a_declined_card_and_a_charge_taken_back_before_it_was_made_move_nothing(client: httpx.Client) -> None:
    front = Front(client)
    before = front.held()
    with serving() as server:
        server.hear = front.hear
        async with desk_at(server, read_seconds=5.0) as desk:
            refused = await desk.charge_until_answered(charge("a", user_id="chargeCustomerFail"))
            assert isinstance(refused, Rejected)
            assert refused.code == "CARD_DECLINED"
            assert await desk.repay_until_answered(repayment("a")) == Approved(NOTHING_MOVED)
            server.fails(Fault.LATE, "/confirm", 3)
            assert isinstance(await desk.charge(charge("b", user_id="visa")), NoAnswer)
            assert await desk.repay_until_answered(repayment("b")) == Approved(NOTHING_MOVED)
            server.deliver()
            assert isinstance(await desk.charge_until_answered(charge("b", user_id="visa")), Rejected)
    assert front.held() == before
