"""Payments: one per order, captured once, given back once. No IO and no bank.

The outcome of a charge can be unknown; it stays so until the provider is asked again, with the same key.
"""

import enum
from datetime import datetime

import msgspec
from msgspec.structs import replace

from sagakit.core.facts import ByHand, Verb
from sagakit.core.messages import name_based_id
from shop_contracts.messages import RefundMethod


class PaymentStatus(enum.StrEnum):
    """Where a payment stands. Voided: given up before anything was captured."""

    PENDING = "pending"
    CAPTURED = "captured"
    DECLINED = "declined"
    UNKNOWN = "unknown"
    REFUNDED = "refunded"
    VOIDED = "voided"


class Refund(msgspec.Struct, frozen=True):
    """Money that went back."""

    refund_id: str
    amount_minor: int
    method: RefundMethod
    at: datetime
    by_hand: str | None = None


class Payment(msgspec.Struct, frozen=True, omit_defaults=True):
    """The money of one order; its unique row is the effect."""

    order_id: str
    payment_id: str
    user_id: str
    amount_minor: int
    currency: str
    status: PaymentStatus
    at: datetime
    transaction_id: str | None = None
    reason: str | None = None
    code: str | None = None
    refunds: tuple[Refund, ...] = ()


def pending(order_id: str, user_id: str, amount_minor: int, currency: str, at: datetime) -> Payment:
    """Return the intent to charge, as it is recorded before anybody is asked."""
    payment_id = name_based_id(order_id, "payment")
    return Payment(order_id, payment_id, user_id, amount_minor, currency, PaymentStatus.PENDING, at)


def captured(payment: Payment, transaction_id: str, at: datetime) -> Payment:
    """Return the payment with its money captured."""
    return replace(payment, status=PaymentStatus.CAPTURED, transaction_id=transaction_id, at=at, reason=None)


def declined(payment: Payment, code: str, reason: str, at: datetime) -> Payment:
    """Return the payment refused by the provider."""
    return replace(payment, status=PaymentStatus.DECLINED, code=code, reason=reason, at=at)


def in_doubt(payment: Payment, error: str, at: datetime) -> Payment:
    """Return the payment whose outcome the provider did not tell; a captured one stays captured."""
    if payment.status is not PaymentStatus.PENDING:
        return payment
    return replace(payment, status=PaymentStatus.UNKNOWN, reason=error, at=at)


def decided(payment: Payment, by_hand: ByHand, at: datetime) -> Payment:
    """Return the payment that a person took as captured; of one that she skipped, nothing was."""
    amount_minor = 0 if by_hand.verb is Verb.SKIP else payment.amount_minor
    return captured(replace(payment, amount_minor=amount_minor), f"by hand: {_who(by_hand)}", at)


def given_back(payment: Payment, method: RefundMethod, at: datetime, by_hand: ByHand | None = None) -> Payment:
    """Return the payment taken back: refunded if money was captured, else voided; the second time changes nothing."""
    if payment.refunds or payment.status is PaymentStatus.DECLINED:
        return payment
    if payment.status is not PaymentStatus.CAPTURED:
        return replace(payment, status=PaymentStatus.VOIDED, at=at)
    amount_minor = 0 if by_hand is not None and by_hand.verb is Verb.SKIP else payment.amount_minor
    who = _who(by_hand) if by_hand is not None else None
    refund = Refund(name_based_id(payment.order_id, "refund"), amount_minor, method, at, who)
    return replace(payment, status=PaymentStatus.REFUNDED, refunds=(refund,), at=at)


def _who(by_hand: ByHand) -> str:
    return f"{by_hand.verb} by {by_hand.actor}"
