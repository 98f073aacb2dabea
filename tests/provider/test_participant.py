"""The whole payment participant, against a provider that misbehaves."""

from datetime import timedelta
from decimal import Decimal

import httpx
import msgspec
import pytest
from tests.provider.desk import Desk, desk_at
from tests.provider.server import Fault, Server
from tests.unit.order_service.shop import NOON

from payment_service.actions import PAYMENTS
from payment_service.domain import Payment, PaymentStatus
from payment_service.http_provider import INTENTS
from payment_service.settings import PaymentSettings
from payment_service.wiring import TABLES, build
from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.core.contracts import encode_data
from sagakit.core.messages import Message, Mode
from sagakit.runtime.loops import Steps
from sagakit.runtime.participant import PARTS
from sagakit.runtime.wire import draft, headers_of
from shop_contracts.messages import ChargePayment, RefundMethod, RefundPayment
from shop_contracts.order_saga import ORDER_SAGA

CHARGE = ChargePayment(order_id="o1", user_id="ann", total=Decimal("10.50"), currency="USD")
BACK = RefundPayment(
    order_id="o1", user_id="ann", total=Decimal("10.50"), currency="USD", refund_policy=RefundMethod.REFUND
)
EVENTS = "payments.events"
ROUNDS_MAX = 60
SILENT = [Fault.SILENT, Fault.BREAKS, Fault.LOST, Fault.GARBAGE, Fault.CLOSES, Fault.FAILS, Fault.LATE, Fault.LIMITS]


class Shop:
    """The payment service, stepped by hand."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.clock = desk.clock
        self.store = MemoryStore(TABLES)
        self.log = MemoryLog(self.clock)
        self.service = build(PaymentSettings(port=0), self.store, self.log, self.clock, desk.provider)

    async def say(self, command: msgspec.Struct) -> None:
        kind = type(command).__name__
        message = Message(
            id=f"m-{kind}",
            type=kind,
            source="order",
            time=NOON,
            saga_id="o1",
            correlation_id="o1",
            causation_id="",
            mode=Mode.ORCHESTRATION,
            definition=ORDER_SAGA.ref,
            data=encode_data(command),
        )
        await self.log.publish([draft("payment.commands", message)])

    async def round(self) -> None:
        """Let every loop take a step, and turn the clock as far as the next one may wait."""
        loops: list[Steps] = [loop.steps for loop in self.service.runner.loops]
        for loop in loops:
            while await loop.step():
                pass
        part = (await self.store.view(lambda reader: reader.load(PARTS, ["o1"]))).get("o1")
        if part is not None and part.due is not None:
            self.clock.moment = max(self.clock.moment, part.due)

    async def until(self, *statuses: PaymentStatus) -> Payment:
        payment = None
        for _ in range(ROUNDS_MAX):
            await self.round()
            payment = (await self.store.view(lambda reader: reader.load(PAYMENTS, ["o1"]))).get("o1")
            if payment is not None and payment.status in statuses:
                await self.round()
                return payment
        raise AssertionError(payment)

    def said(self) -> list[str]:
        """Return the types of the events that were said."""
        records = [r for (topic, _), kept in self.log.state.places.items() if topic == EVENTS for r in kept.records]
        return [headers_of(record)["ce_type"] for record in records]

    def moved(self) -> tuple[int, int]:
        """Return how much was captured and given back, over all charges."""
        intents = self.desk.books.intents.values()
        return sum(sum(intent.captures) for intent in intents), sum(sum(intent.refunds) for intent in intents)


@pytest.fixture
def shop(desk: Desk) -> Shop:
    return Shop(desk)


@pytest.mark.parametrize("fault", SILENT)
async def test_an_order_is_paid_once_and_refunded_once_however_silent_the_provider_was(
    shop: Shop, fault: Fault
) -> None:
    shop.desk.server.fails(fault, times=8)
    await shop.say(CHARGE)
    payment = await shop.until(PaymentStatus.CAPTURED)
    assert (payment.transaction_id, shop.moved()) == ("pi_1", (1050, 0))
    shop.desk.server.fails(fault, times=8)
    await shop.say(BACK)
    await shop.until(PaymentStatus.REFUNDED)
    shop.desk.server.deliver()
    assert shop.moved() == (1050, 1050)
    assert shop.said() == ["PaymentCompleted", "PaymentRefunded"]


@pytest.mark.parametrize("fault", SILENT)
async def test_a_payment_in_doubt_that_is_taken_back_leaves_no_money_behind(shop: Shop, fault: Fault) -> None:
    shop.desk.server.fails(fault, "/confirm", 1000)
    await shop.say(CHARGE)
    await shop.until(PaymentStatus.UNKNOWN)
    await shop.say(BACK)
    shop.desk.server.be_well()
    await shop.until(PaymentStatus.VOIDED, PaymentStatus.REFUNDED)
    shop.desk.server.deliver()
    taken, back = shop.moved()
    assert taken == back


async def test_a_provider_that_never_answers_leaves_the_payment_unknown_and_asks_a_person(shop: Shop) -> None:
    shop.desk.server.vanish()
    await shop.say(CHARGE)
    await shop.until(PaymentStatus.UNKNOWN)
    for _ in range(ROUNDS_MAX):
        await shop.round()
    assert shop.said() == ["StepStuck"]
    assert (await shop.until(PaymentStatus.UNKNOWN)).reason


async def test_money_whose_intent_is_not_on_record_is_not_said_to_be_given_back(shop: Shop) -> None:
    await shop.say(CHARGE)
    await shop.until(PaymentStatus.CAPTURED)
    shop.desk.provider._store = MemoryStore([INTENTS])
    await shop.say(BACK)
    for _ in range(ROUNDS_MAX):
        await shop.round()
    assert shop.said() == ["PaymentCompleted", "StepStuck"]
    assert (await shop.until(PaymentStatus.CAPTURED)).refunds == ()


async def test_a_declined_card_is_a_refusal_with_its_code(desk: Desk) -> None:
    shop = Shop(desk)
    await shop.say(msgspec.structs.replace(CHARGE, user_id="broke"))
    payment = await shop.until(PaymentStatus.DECLINED)
    assert (payment.code, shop.said()) == ("CARD_DECLINED", ["PaymentFailed"])


async def test_the_provider_is_shown_and_limits_are_said_to_be_kept_there(shop: Shop) -> None:
    await shop.say(CHARGE)
    await shop.until(PaymentStatus.CAPTURED)
    transport = httpx.ASGITransport(shop.service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://payment") as client:
        shown = (await client.get("/provider")).json()
        assert shown == {"external": True, "circuit": "closed", "calls": 2, "retries": 0, "noAnswers": 0}
        for answer in (
            await client.get("/accounts/ann"),
            await client.put("/accounts/ann", json={"limit": 5}),
        ):
            assert answer.status_code == 409
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["type"] == "urn:sagaplane:problem:external-provider"
            assert "the payment provider is external" in answer.json()["detail"]


async def test_a_provider_that_is_left_alone_uses_up_no_attempt_and_its_circuit_is_a_metric(server: Server) -> None:
    """Half a minute of silence sent every payment under way to a person: eight attempts were gone."""
    async with desk_at(server, breaker_failures=2, breaker_pause_seconds=3600.0) as desk:
        shop = Shop(desk)
        server.vanish()
        await shop.say(CHARGE)
        for _ in range(3 * ORDER_SAGA.step("payment").retry.attempts_max):
            await shop.round()
        assert "saga_payment_provider_circuit_open 1.0" in await metrics_of(shop)
        server.appear()
        shop.clock.moment += timedelta(hours=1)
        payment = await shop.until(PaymentStatus.CAPTURED)
        assert payment.status is PaymentStatus.CAPTURED
        assert "StepStuck" not in shop.said()
        assert "saga_payment_provider_circuit_open 0.0" in await metrics_of(shop)


async def metrics_of(shop: Shop) -> str:
    transport = httpx.ASGITransport(shop.service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://payment") as client:
        return (await client.get("/metrics")).text
