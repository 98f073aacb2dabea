"""What is said to a Stripe-compatible provider, and what its answers mean. No IO."""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from payment_service.provider import Approved, Charge, NoAnswer, Rejected, Result
from shop_contracts.money import exponent

MINOR_UNIT_EXPONENTS = {"ISK": 2, "UGX": 2, "MGA": 0}
"""Where the provider counts in other minor units than ISO 4217 does."""
UNITS = (1, 10, 100, 1000, 10_000)
"""How many minor units make a major one, by the number of decimals."""
THREE_DECIMALS = 3
AMOUNT_CODES = frozenset({"amount_too_small", "amount_too_large"})
"""The provider takes no such amount: no mistake of ours, and asked again it is still so."""
VOIDED = Rejected("VOIDED", "it was given back before it was made")
UNAUTHENTICATED = Rejected("AUTHENTICATION_REQUIRED", "the customer would have to authenticate the payment")

TO_CONFIRM, TO_AUTHENTICATE, CANCELLED = "requires_confirmation", "requires_action", "canceled"
CANCELLABLE = frozenset({TO_CONFIRM, TO_AUTHENTICATE, "requires_payment_method", "requires_capture"})

ObjectId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]{1,255}$")]


class Failure(msgspec.Struct, frozen=True):
    """Why something was refused, in the provider's words."""

    type: str | None = None
    code: str | None = None
    decline_code: str | None = None
    message: str | None = None


class FailureAnswer(msgspec.Struct, frozen=True):
    """The body of every refusal."""

    error: Failure


class Intent(msgspec.Struct, frozen=True):
    """A payment as the provider sees it now. It is created, and moves money only when it is confirmed."""

    id: ObjectId
    object: Literal["payment_intent"]
    status: str
    metadata: dict[str, str] = {}
    last_payment_error: Failure | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """What this is about: itself, and the charge it was created for."""
        return self.id, self.metadata.get("charge_key", "")


class RefundMade(msgspec.Struct, frozen=True):
    """Money on its way back."""

    id: ObjectId
    object: Literal["refund"]
    payment_intent: str = ""
    status: str | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """What this is about: itself, and the intent whose money it gives back."""
        return self.id, self.payment_intent


@dataclass(frozen=True, slots=True)
class Request:
    """One request; with a key it takes effect once, however often it is sent. Its answer must be about the subject."""

    method: str
    path: str
    subject: str
    key: str = ""
    form: dict[str, str] = field(default_factory=dict)


def creation(charge: Charge, amount: int, payment_method: str) -> Request:
    """Create the intent of a charge; it is a function of the charge, for a repeated request must be the same."""
    form = {
        "amount": str(amount),
        "currency": charge.currency.lower(),
        "payment_method": payment_method.replace("{user_id}", charge.user_id),
        "payment_method_types[0]": "card",
        "capture_method": "automatic",
        "metadata[order_id]": charge.order_id,
        "metadata[user_id]": charge.user_id,
        "metadata[charge_key]": charge.key,
    }
    return Request("POST", "/v1/payment_intents", charge.key, charge.key, form)


def look(intent_id: str) -> Request:
    """Read the intent as it is now."""
    return Request("GET", f"/v1/payment_intents/{intent_id}", intent_id)


def confirmation(intent_id: str, charge_key: str) -> Request:
    """Let the money move. The key is not the creation's: a provider knows one request by one key."""
    return Request("POST", f"/v1/payment_intents/{intent_id}/confirm", intent_id, f"{charge_key}-confirm")


def cancellation(intent_id: str) -> Request:
    """Let no money move any more. Without a key: repeated it does no harm, and a stored refusal would be repeated."""
    return Request("POST", f"/v1/payment_intents/{intent_id}/cancel", intent_id)


def refund(intent_id: str, repayment_key: str) -> Request:
    """Give back all that the intent still holds."""
    return Request("POST", "/v1/refunds", intent_id, repayment_key, {"payment_intent": intent_id})


def refund_look(refund_id: str) -> Request:
    """Read the refund as it is now."""
    return Request("GET", f"/v1/refunds/{refund_id}", refund_id)


def amount_asked(charge: Charge) -> int | None:
    """Return the amount in the provider's minor units; None when it cannot be said in them."""
    ours = exponent(charge.currency)
    theirs = MINOR_UNIT_EXPONENTS.get(charge.currency, ours)
    amount, rest = divmod(charge.amount_minor * UNITS[theirs], UNITS[ours])
    if rest or (theirs == THREE_DECIMALS and amount % 10):
        return None
    return amount


def refused(failure: Failure) -> Rejected:
    """Return a definite refusal as the shop tells it."""
    code = failure.code or failure.type or "refused"
    words = failure.message or "the provider refused the payment"
    return Rejected(code.upper(), f"{words} ({failure.decline_code})" if failure.decline_code else words)


def declines(status: int, failure: Failure) -> bool:
    """Tell whether a refusal is about the customer's means of payment, and not about how we ask."""
    return status == HTTPStatus.PAYMENT_REQUIRED and failure.type == "card_error"


def charged(intent: Intent) -> Result:
    """Return what the charge became, by an intent that was to be confirmed."""
    match intent.status, intent.last_payment_error:
        case "succeeded", _:
            return Approved(intent.id)
        case (("requires_payment_method" | "canceled"), Failure() as failure):
            return refused(failure)
        case "canceled", None:
            return VOIDED
        case status, _:
            return NoAnswer(f"the provider has {intent.id} as {status}")
