"""The books of a provider as Stripe keeps them: intents, refunds, and what was once answered to a key."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
SECRET = "sk_test_of_nobody"
FINAL = ("succeeded", "canceled", "processing")
MEANS = {
    "pm_card_broke": ("card_declined", "insufficient_funds", "Your card has insufficient funds."),
    "pm_card_stolen": ("card_declined", "stolen_card", "Your card was declined."),
}


class RefusedError(Exception):
    """The request is answered with an error; what was done by then stays done."""

    def __init__(self, status: int, kind: str, code: str, message: str = "", **more: str) -> None:
        super().__init__(code)
        self.status = status
        self.body = {"error": {"type": kind, "code": code, "message": message, **more}}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the provider hears it."""

    method: str
    path: str
    key: str
    form: Json
    authorization: str = f"Bearer {SECRET}"


@dataclass
class Kept:
    """An intent with its money."""

    id: str
    amount: int
    currency: str
    method: str
    metadata: Json
    status: str = "requires_confirmation"
    failure: Json | None = None
    captures: list[int] = field(default_factory=list)
    refunds: list[int] = field(default_factory=list)

    def shown(self) -> Json:
        return {
            "id": self.id,
            "object": "payment_intent",
            "amount": self.amount,
            "currency": self.currency,
            "status": self.status,
            "metadata": self.metadata,
            "last_payment_error": self.failure,
        }


class Books:
    """Every request is heard whole, one after the other."""

    def __init__(self) -> None:
        self.intents: dict[str, Kept] = {}
        self.refunds: dict[str, Json] = {}
        self.refund_status = "succeeded"
        self.answers: dict[str, tuple[Asked, int, Json]] = {}
        self.heard: list[Asked] = []
        self._numbers = itertools.count(1)

    def hear(self, asked: Asked) -> tuple[int, Json]:
        """Return status and body; the same key is answered with the same words, good or bad."""
        self.heard.append(asked)
        if asked.authorization != f"Bearer {SECRET}":
            return 401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided"}}
        if asked.key in self.answers:
            first, status, body = self.answers[asked.key]
            if first != asked:
                return 400, {"error": {"type": "idempotency_error", "message": "Keys are for one request only"}}
            return status, body
        try:
            status, body = 200, self._do(asked)
        except RefusedError as error:
            status, body = error.status, error.body
        if asked.key:
            self.answers[asked.key] = (asked, status, json.loads(json.dumps(body)))
        return status, body

    def fail_for_good(self, asked: Asked) -> tuple[int, Json]:
        """Fail without having done anything, and say so to this key ever after."""
        body = {"error": {"type": "api_error", "message": "Something went wrong on our side"}}
        self.heard.append(asked)
        if asked.key:
            self.answers.setdefault(asked.key, (asked, 500, body))
        return 500, body

    def forget_keys(self) -> None:
        """Let a day pass."""
        self.answers.clear()

    def of_charge(self, charge_key: str) -> list[Kept]:
        return [intent for intent in self.intents.values() if intent.metadata["charge_key"] == charge_key]

    def captured(self, charge_key: str) -> int:
        return sum(sum(intent.captures) for intent in self.of_charge(charge_key))

    def refunded(self, charge_key: str) -> int:
        return sum(sum(intent.refunds) for intent in self.of_charge(charge_key))

    def held(self, charge_key: str) -> int:
        """Return the money that the shop has of this charge."""
        return self.captured(charge_key) - self.refunded(charge_key)

    def keys_heard(self, what: str) -> set[str]:
        """Return the keys of all requests whose path ends so."""
        return {asked.key for asked in self.heard if asked.path.endswith(what)}

    def _do(self, asked: Asked) -> Json:
        parts = asked.path.split("/")[2:]
        match asked.method, parts:
            case "POST", ["payment_intents"]:
                return self._create(asked.form)
            case "GET", ["payment_intents", name]:
                return self._intent(name).shown()
            case "POST", ["payment_intents", name, ("confirm" | "cancel") as verb]:
                verbs: dict[str, Callable[[Kept], None]] = {"confirm": self._confirm, "cancel": self._cancel}
                verbs[verb](self._intent(name))
                return self._intent(name).shown()
            case "POST", ["refunds"]:
                return self._refund(self._intent(asked.form["payment_intent"]))
            case "GET", ["refunds", name]:
                return self.refunds[name]
            case _:
                raise RefusedError(404, "invalid_request_error", "resource_missing", f"Unrecognized {asked.path}")

    def _create(self, form: Json) -> Json:
        amount = int(form["amount"])
        if amount < 50:
            raise RefusedError(400, "invalid_request_error", "amount_too_small", "Amount must be at least 50")
        metadata = {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}
        name = f"pi_{next(self._numbers)}"
        self.intents[name] = Kept(name, amount, form["currency"], form["payment_method"], metadata)
        return self.intents[name].shown()

    def _intent(self, name: str) -> Kept:
        if name not in self.intents:
            raise RefusedError(404, "invalid_request_error", "resource_missing", f"No such payment_intent: {name}")
        return self.intents[name]

    def _confirm(self, intent: Kept) -> None:
        if intent.status != "requires_confirmation":
            raise unexpected(intent)
        if intent.method == "pm_card_asks":
            intent.status = "requires_action"
        elif intent.method == "pm_card_slow":
            intent.status = "processing"
        elif intent.method in MEANS:
            code, decline, message = MEANS[intent.method]
            intent.status, intent.failure = "requires_payment_method", {"type": "card_error", "code": code}
            intent.failure |= {"decline_code": decline, "message": message}
            raise RefusedError(402, "card_error", code, message, decline_code=decline)
        else:
            intent.status = "succeeded"
            intent.captures.append(intent.amount)

    def _cancel(self, intent: Kept) -> None:
        if intent.status in FINAL:
            raise unexpected(intent)
        intent.status = "canceled"

    def _refund(self, intent: Kept) -> Json:
        if intent.status != "succeeded":
            raise unexpected(intent)
        left = sum(intent.captures) - sum(intent.refunds)
        if not left:
            raise RefusedError(400, "invalid_request_error", "charge_already_refunded", "It has been refunded")
        intent.refunds.append(left)
        name = f"re_{next(self._numbers)}"
        self.refunds[name] = {
            "id": name,
            "object": "refund",
            "payment_intent": intent.id,
            "amount": left,
            "status": self.refund_status,
        }
        return dict(self.refunds[name])


def unexpected(intent: Kept) -> RefusedError:
    code = "payment_intent_unexpected_state"
    return RefusedError(400, "invalid_request_error", code, f"This PaymentIntent has the status {intent.status}")
