"""What payment does for each command: record the intent, ask the provider, record what it said."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from payment_service.domain import Payment, captured, decided, declined, given_back, in_doubt, pending
from payment_service.provider import Approved, Charge, NoAnswer, PaymentProvider, Rejected, Repayment, Result
from sagakit.core.facts import AbortCode
from sagakit.core.messages import name_based_id
from sagakit.ports import Table, Transaction
from sagakit.runtime.actions import Ask, Done, OutsideAction, Refused, Reply, Unknown
from shop_contracts.messages import (
    ChargePayment,
    PaymentCompleted,
    PaymentFailed,
    PaymentRefunded,
    RefundMethod,
    RefundPayment,
)
from shop_contracts.money import to_major, to_minor

PAYMENTS = Table("payments", Payment, "order_id")


@dataclass(frozen=True, slots=True)
class Payments:
    """The actions of payment, towards one provider."""

    provider: PaymentProvider

    def actions(self) -> tuple[OutsideAction[ChargePayment] | OutsideAction[RefundPayment], ...]:
        """Return one action per command."""
        return (
            OutsideAction("ChargePayment", ChargePayment, self.intend_charge, self.charge, self.settle_charge),
            OutsideAction("RefundPayment", RefundPayment, self.intend_refund, self.refund, self.settle_refund),
        )

    async def intend_charge(self, transaction: Transaction, asks: Sequence[Ask[ChargePayment]]) -> None:
        """Put the charge on record, once."""
        new = [ask for ask in asks if not ask.tries]
        await transaction.save(PAYMENTS, [_pending(ask) for ask in new])

    async def charge(self, asks: Sequence[Ask[ChargePayment]]) -> list[Reply]:
        """Ask the provider for the money."""
        charges = [
            Charge(
                a.idempotency_key, a.saga_id, a.data.user_id, to_minor(a.data.total, a.data.currency), a.data.currency
            )
            for a in asks
        ]
        results = await self.provider.charge(charges)
        return [_charge_reply(ask, result) for ask, result in zip(asks, results, strict=True)]

    async def settle_charge(
        self, transaction: Transaction, asks: Sequence[Ask[ChargePayment]], replies: Sequence[Reply]
    ) -> list[Reply]:
        """Put on record what the provider said, or what a person decided."""
        payments = await transaction.load(PAYMENTS, [ask.saga_id for ask in asks])
        settled: list[Payment] = []
        said: list[Reply] = []
        for ask, reply in zip(asks, replies, strict=True):
            before = payments[ask.saga_id]
            after = decided(before, ask.by_hand, ask.now) if ask.by_hand else _after_charge(before, ask, reply)
            settled.append(after)
            said.append(_completed_by_hand(ask, after) if ask.by_hand else reply)
        await transaction.save(PAYMENTS, settled)
        return said

    async def intend_refund(self, transaction: Transaction, asks: Sequence[Ask[RefundPayment]]) -> None:
        """Nothing to record: that money is to go back is known from the saga."""

    async def refund(self, asks: Sequence[Ask[RefundPayment]]) -> list[Reply]:
        """Ask the provider to give the money back, or give store credit ourselves.

        A charge that may still be under way is taken back by the provider in any case: so it captures nothing later.
        """
        back = [ask for ask in asks if ask.data.refund_policy is RefundMethod.REFUND or not ask.happened]
        results: dict[str, Result] = {}
        if back:
            repayments = [Repayment(a.idempotency_key, _charge_key(a.saga_id, a.step), a.happened) for a in back]
            answers = await self.provider.repay(repayments)
            results = {ask.saga_id: answer for ask, answer in zip(back, answers, strict=True)}
        return [_refund_reply(ask, results.get(ask.saga_id)) for ask in asks]

    async def settle_refund(
        self, transaction: Transaction, asks: Sequence[Ask[RefundPayment]], replies: Sequence[Reply]
    ) -> list[Reply]:
        """Put the refund on record; of a payment that never was, there is nothing to give back."""
        payments = await transaction.load(PAYMENTS, [ask.saga_id for ask in asks])
        settled: list[Payment] = []
        said: list[Reply] = []
        for ask, reply in zip(asks, replies, strict=True):
            if isinstance(reply, Unknown) and ask.by_hand is None:
                said.append(reply)
                continue
            before = payments.get(ask.saga_id) or _pending(ask)
            after = given_back(before, ask.data.refund_policy, ask.now, ask.by_hand)
            settled.append(after)
            said.append(Done(_refunded(after, ask)))
        await transaction.save(PAYMENTS, settled)
        return said


def barred(saga_id: str, step: str, code: AbortCode) -> PaymentFailed:
    """Say that no money will be captured for this order any more."""
    del step
    return PaymentFailed(order_id=saga_id, reason=code, error_code=code, barred=True)


def _pending(ask: Ask[ChargePayment] | Ask[RefundPayment]) -> Payment:
    data = ask.data
    return pending(ask.saga_id, data.user_id, to_minor(data.total, data.currency), data.currency, ask.now)


def _charge_key(order_id: str, step: str) -> str:
    return name_based_id(order_id, step, "ChargePayment")


def _charge_reply(ask: Ask[ChargePayment], result: Result) -> Reply:
    match result:
        case Approved(transaction_id):
            return Done(_completed(ask, transaction_id, ask.data.total))
        case Rejected(code, reason):
            return Refused(PaymentFailed(order_id=ask.saga_id, reason=reason, error_code=code))
        case NoAnswer(error, asked):
            return Unknown(error, asked)


def _refund_reply(ask: Ask[RefundPayment], result: Result | None) -> Reply:
    match result:
        case Rejected(code, reason):
            return Unknown(f"the provider refuses to give the money back: {code}, {reason}")
        case NoAnswer(error, asked):
            return Unknown(error, asked)
        case _:
            return Done(ask.data)


def _completed_by_hand(ask: Ask[ChargePayment], payment: Payment) -> Reply:
    assert payment.transaction_id is not None, "a decided payment says who decided"
    return Done(_completed(ask, payment.transaction_id, to_major(payment.amount_minor, payment.currency)))


def _completed(ask: Ask[ChargePayment], transaction_id: str, amount: Decimal) -> PaymentCompleted:
    return PaymentCompleted(
        order_id=ask.saga_id,
        payment_id=name_based_id(ask.saga_id, "payment"),
        amount=amount,
        transaction_id=transaction_id,
    )


def _after_charge(payment: Payment, ask: Ask[ChargePayment], reply: Reply) -> Payment:
    match reply:
        case Done(PaymentCompleted(transaction_id=transaction_id)):
            return captured(payment, transaction_id, ask.now)
        case Refused(PaymentFailed(error_code=code, reason=reason)):
            return declined(payment, code, reason, ask.now)
        case Unknown(error):
            return in_doubt(payment, error, ask.now)
        case _:
            raise AssertionError(reply)


def _refunded(payment: Payment, ask: Ask[RefundPayment]) -> PaymentRefunded:
    refund = payment.refunds[0] if payment.refunds else None
    return PaymentRefunded(
        order_id=ask.saga_id,
        payment_id=payment.payment_id if refund else None,
        amount=to_major(refund.amount_minor if refund else 0, payment.currency),
        refund_id=refund.refund_id if refund else None,
        method=ask.data.refund_policy,
    )
