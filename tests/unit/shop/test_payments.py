"""What is on record of an order's money, whatever the bank says and whoever decides."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from tests.unit.http.services import HandClock
from tests.unit.shop.desk import ask

from payment_service.actions import PAYMENTS, Payments
from payment_service.domain import Payment, PaymentStatus
from payment_service.provider import BANK_TABLES, OPERATIONS, Bank, BankSettings
from sagakit.adapters.memory import MemoryStore
from sagakit.core.facts import Verb
from sagakit.runtime.actions import Ask, Done, OutsideAction, Refused, Reply, Unknown
from shop_contracts.messages import ChargePayment, PaymentCompleted, PaymentFailed, PaymentRefunded, RefundMethod
from shop_contracts.messages import RefundPayment as Back


class Desk:
    """The payment service's actions over its own store, and the bank over another."""

    def __init__(self, behaviour: BankSettings | None = None) -> None:
        self.store = MemoryStore([PAYMENTS])
        self.vault = MemoryStore(BANK_TABLES)
        self.clock = HandClock()
        self.payments = Payments(Bank(self.vault, behaviour or BankSettings(), self.clock))
        self.actions: dict[str, OutsideAction[Any]] = {a.command: a for a in self.payments.actions()}

    async def carry_out(self, asked: Ask[Any]) -> Reply:
        action = self.actions[asked.command]
        if asked.by_hand is not None:
            return await self.settle(asked, Unknown("decided by hand"))
        await self.store.transact(lambda tx: action.intend(tx, [asked]))
        (reply,) = await action.call([asked])
        return await self.settle(asked, reply)

    async def settle(self, asked: Ask[Any], reply: Reply) -> Reply:
        action = self.actions[asked.command]
        said: Sequence[Reply] = await self.store.transact(lambda tx: action.settle(tx, [asked], [reply]))
        return said[0]

    async def on_record(self, order_id: str = "order-1") -> Payment:
        return (await self.store.view(lambda reader: reader.load(PAYMENTS, [order_id])))[order_id]

    async def kept_by_the_bank(self) -> int:
        operations = await self.vault.view(lambda r: r.load(OPERATIONS, self.keys()))
        return sum(operation.amount_minor for operation in operations.values() if operation.approved)

    def keys(self) -> list[str]:
        return [ask(charge(), "payment").idempotency_key, ask(back(), "payment").idempotency_key]


def charge(total: str = "10.50", currency: str = "USD", user_id: str = "ann") -> ChargePayment:
    return ChargePayment(order_id="order-1", user_id=user_id, total=Decimal(total), currency=currency)


def back(method: RefundMethod = RefundMethod.REFUND) -> Back:
    return Back(order_id="order-1", user_id="ann", total=Decimal("10.50"), currency="USD", refund_policy=method)


async def test_a_charge_is_captured_once_and_given_back_once_however_often_it_is_asked() -> None:
    desk = Desk()
    for _ in range(2):
        said = await desk.carry_out(ask(charge(), "payment"))
        assert isinstance(said, Done)
        assert isinstance(said.event, PaymentCompleted)
        assert said.event.amount == Decimal("10.50")
    assert await desk.kept_by_the_bank() == 1050
    for _ in range(2):
        said = await desk.carry_out(ask(back(), "payment"))
        assert isinstance(said, Done)
        assert isinstance(said.event, PaymentRefunded)
        assert said.event.amount == Decimal("10.50")
    assert await desk.kept_by_the_bank() == 0
    payment = await desk.on_record()
    assert payment.status is PaymentStatus.REFUNDED
    assert [refund.amount_minor for refund in payment.refunds] == [1050]


async def test_a_bank_that_does_not_answer_leaves_the_payment_unknown_until_it_does() -> None:
    desk = Desk(BankSettings(unknown_rate=0.6))  # the clock's luck is always 0.5
    said = await desk.carry_out(ask(charge(), "payment"))
    assert isinstance(said, Unknown)
    assert (await desk.on_record()).status is PaymentStatus.UNKNOWN
    assert await desk.kept_by_the_bank() == 1050, "it took the money and said nothing"
    desk.payments.provider._settings = BankSettings()  # type: ignore[attr-defined]
    assert isinstance(await desk.carry_out(ask(charge(), "payment")), Done)
    assert (await desk.on_record()).status is PaymentStatus.CAPTURED
    assert await desk.kept_by_the_bank() == 1050


async def test_a_declined_payment_stays_declined_when_it_is_taken_back_all_the_same() -> None:
    desk = Desk(BankSettings(limit_minor=100))
    said = await desk.carry_out(ask(charge(), "payment"))
    assert isinstance(said, Refused)
    assert isinstance(said.event, PaymentFailed)
    assert said.event.error_code == "LIMIT_EXCEEDED"
    said = await desk.carry_out(ask(back(), "payment", happened=False))
    assert isinstance(said, Done)
    assert isinstance(said.event, PaymentRefunded)
    assert (said.event.amount, said.event.refund_id) == (Decimal(0), None)
    payment = await desk.on_record()
    assert (payment.status, payment.code) == (PaymentStatus.DECLINED, "LIMIT_EXCEEDED")


@pytest.mark.parametrize("method", list(RefundMethod))
async def test_a_charge_that_was_overtaken_by_its_refund_takes_no_money_later(method: RefundMethod) -> None:
    desk = Desk()
    said = await desk.carry_out(ask(back(method), "payment", happened=False))
    assert isinstance(said, Done)
    assert (await desk.on_record()).status is PaymentStatus.VOIDED
    (late,) = await desk.actions["ChargePayment"].call([ask(charge(), "payment")])
    assert isinstance(late, Refused)
    assert await desk.kept_by_the_bank() == 0


async def test_store_credit_leaves_the_money_with_the_bank() -> None:
    desk = Desk()
    await desk.carry_out(ask(charge(), "payment"))
    said = await desk.carry_out(ask(back(RefundMethod.STORE_CREDIT), "payment"))
    assert isinstance(said, Done)
    assert await desk.kept_by_the_bank() == 1050
    payment = await desk.on_record()
    assert [(refund.method, refund.amount_minor) for refund in payment.refunds] == [(RefundMethod.STORE_CREDIT, 1050)]


async def test_a_charge_marked_as_done_by_hand_is_captured_and_says_by_whom() -> None:
    desk = Desk(BankSettings(unknown_rate=0.6))
    await desk.carry_out(ask(charge(), "payment"))
    said = await desk.carry_out(ask(charge(), "payment", hand=Verb.MARK_DONE))
    assert isinstance(said, Done)
    payment = await desk.on_record()
    assert (payment.status, payment.amount_minor) == (PaymentStatus.CAPTURED, 1050)
    assert payment.transaction_id == "by hand: mark-done by ann"


@pytest.mark.parametrize("method", list(RefundMethod))
async def test_a_charge_skipped_by_hand_captured_nothing_and_nothing_is_given_back_for_it(method: RefundMethod) -> None:
    desk = Desk(BankSettings(unknown_rate=0.6))
    await desk.carry_out(ask(charge(), "payment"))
    said = await desk.carry_out(ask(charge(), "payment", hand=Verb.SKIP))
    assert isinstance(said, Done)
    assert isinstance(said.event, PaymentCompleted)
    assert said.event.amount == 0
    desk.payments.provider._settings = BankSettings()  # type: ignore[attr-defined]
    said = await desk.carry_out(ask(back(method), "payment"))
    assert isinstance(said, Done)
    assert isinstance(said.event, PaymentRefunded)
    assert said.event.amount == 0
    assert [refund.amount_minor for refund in (await desk.on_record()).refunds] == [0]


@pytest.mark.parametrize(("verb", "amount_minor"), [(Verb.SKIP, 0), (Verb.MARK_DONE, 1050)])
async def test_a_refund_decided_by_hand_says_by_whom_and_whether_money_went_back(verb: Verb, amount_minor: int) -> None:
    desk = Desk()
    await desk.carry_out(ask(charge(), "payment"))
    said = await desk.carry_out(ask(back(), "payment", hand=verb))
    assert isinstance(said, Done)
    assert isinstance(said.event, PaymentRefunded)
    assert said.event.amount == Decimal(amount_minor) / 100
    (refund,) = (await desk.on_record()).refunds
    assert (refund.amount_minor, refund.by_hand) == (amount_minor, f"{verb} by ann")


@pytest.mark.parametrize(
    ("total", "currency", "approved"),
    [
        ("100.00", "USD", True),
        ("100.01", "USD", False),
        ("100", "JPY", True),
        ("101", "JPY", False),
        ("100.000", "KWD", True),
        ("100.001", "KWD", False),
    ],
)
async def test_a_limit_holds_in_the_major_units_of_each_currency(total: str, currency: str, *, approved: bool) -> None:
    desk = Desk(BankSettings(limit_minor=10_000))
    said = await desk.carry_out(ask(charge(total, currency), "payment"))
    assert isinstance(said, Done if approved else Refused)


async def test_a_user_with_an_account_has_its_limit_and_no_other() -> None:
    desk = Desk(BankSettings(limit_minor=10_000))
    bank = desk.payments.provider
    assert isinstance(bank, Bank)
    await bank.set_limit("rich", 1_000_000)
    assert isinstance(await desk.carry_out(ask(charge("9999", user_id="rich"), "payment")), Done)
    assert await bank.limit("rich") == 1_000_000
    assert await bank.limit("ann") == 10_000
