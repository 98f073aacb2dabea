"""What the payment service answers: what became of the money of an order, and how its provider is."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from payment_service.actions import PAYMENTS
from payment_service.calling import CALLS, RETRIES, SILENCES
from payment_service.circuit import CircuitState
from payment_service.domain import Payment, PaymentStatus
from payment_service.http_provider import HttpProvider
from payment_service.provider import Bank, PaymentProvider
from sagakit.ports import Store
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.http.pages import Page, PageParams, of_order, page
from sagakit.runtime.http.problems import ProblemError, invalid, problem
from sagakit.runtime.http.routes import Call, Id, Input, Nothing, Route, Shape
from shop_contracts.messages import RefundMethod
from shop_contracts.money import DEFAULT_CURRENCY, MoneyError, to_major, to_minor

UserId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+:-]{0,99}$", description="The user.")]

LIMIT_MAX = Decimal("9999999999999.99")
AMOUNT = {
    "minimum": 0,
    "maximum": float(LIMIT_MAX),
    "multipleOf": 0.01,
    "pattern": r"^[0-9]{1,13}(\.[0-9]{1,2}0{0,20})?$",
}


class OrderParams(Input, frozen=True, kw_only=True):
    """Of which order."""

    order_id: Id


class UserParams(Input, frozen=True, kw_only=True):
    """Of which user."""

    user_id: UserId


class RefundShown(Shape, frozen=True, kw_only=True):
    """Money that went back; `byHand` is who decided it, when a person did."""

    refund_id: str
    amount: Decimal
    method: RefundMethod
    at: datetime
    by_hand: str | None


class PaymentShown(Shape, frozen=True, kw_only=True):
    """The money of one order, in major units."""

    order_id: str
    payment_id: str
    user_id: str
    amount: Decimal
    currency: str
    status: PaymentStatus
    at: datetime
    transaction_id: str | None
    code: str | None
    reason: str | None
    refunds: list[RefundShown]


class LimitAsked(Input, frozen=True, kw_only=True):
    """The most that one payment of the user may take, in major units."""

    limit: Annotated[Decimal, Meta(description="At most two decimals.", extra_json_schema=AMOUNT)]


class AccountShown(Shape, frozen=True, kw_only=True):
    """An account at the built-in bank. The limit holds in each currency, in its major units: nothing is converted."""

    user_id: str
    limit: Decimal


class ProviderShown(Shape, frozen=True, kw_only=True):
    """Who moves the money, and how that goes since the process began: requests, those repeated, and no answers.

    An open circuit leaves the provider alone for a while; half-open, the next request tries it.
    """

    external: bool
    circuit: CircuitState
    calls: int
    retries: int
    no_answers: int


def routes(store: Store, provider: PaymentProvider) -> list[Route]:
    """Return the routes over the service's store and its provider."""
    desk = _Desk(store, provider)
    payments, accounts = "Payments", "Accounts"
    return [
        Route(
            method="GET",
            path="/payments/{orderId}",
            handler=desk.payment,
            summary="The payment of an order",
            params=OrderParams,
            returns={200: PaymentShown},
            problems=(404,),
            tag=payments,
        ),
        Route(
            method="GET",
            path="/payments",
            handler=desk.payments,
            summary="All payments, by order id",
            params=PageParams,
            returns={200: Page[PaymentShown]},
            tag=payments,
        ),
        Route(
            method="GET",
            path="/provider",
            handler=desk.shown,
            summary="The payment provider",
            returns={200: ProviderShown},
            tag=payments,
        ),
        Route(
            method="GET",
            path="/accounts/{userId}",
            handler=desk.account,
            summary="The account of a user",
            params=UserParams,
            returns={200: AccountShown},
            problems=(409,),
            tag=accounts,
        ),
        Route(
            method="PUT",
            path="/accounts/{userId}",
            handler=desk.limit,
            summary="Set the limit of a user",
            params=UserParams,
            body=LimitAsked,
            returns={200: AccountShown},
            problems=(409,),
            tag=accounts,
        ),
    ]


class _Desk:
    def __init__(self, store: Store, provider: PaymentProvider) -> None:
        self._store = store
        self._provider = provider

    async def payment(self, call: Call[OrderParams, None]) -> PaymentShown:
        """Pending and unknown are asked again; voided: given up before anything was captured."""
        return _shown(await of_order(self._store, PAYMENTS, call.params.order_id, "payment"))

    async def payments(self, call: Call[PageParams, None]) -> Page[PaymentShown]:
        """For auditors: follow `nextCursor` to see each payment once."""
        return await page(self._store, PAYMENTS, call.params, _shown)

    async def shown(self, call: Call[Nothing, None]) -> ProviderShown:
        """The built-in bank is always there, and its calls are not counted."""
        del call
        if not isinstance(self._provider, HttpProvider):
            return ProviderShown(external=False, circuit=CircuitState.CLOSED, calls=0, retries=0, no_answers=0)
        caller = self._provider.caller
        return ProviderShown(
            external=True,
            circuit=caller.circuit.state,
            calls=caller.counts[CALLS],
            retries=caller.counts[RETRIES],
            no_answers=caller.counts[SILENCES],
        )

    async def account(self, call: Call[UserParams, None]) -> AccountShown:
        """Whoever has no account has the default limit; an external provider shows no accounts."""
        return await self._account(self._bank(), call.params.user_id)

    async def limit(self, call: Call[UserParams, LimitAsked]) -> AccountShown:
        """Holds for charges from now on; an external provider has limits of its own."""
        bank = self._bank()
        try:
            limit_minor = to_minor(call.body.limit, DEFAULT_CURRENCY)
        except MoneyError as error:
            raise invalid("/limit", str(error)) from error
        if not 0 <= call.body.limit <= LIMIT_MAX:
            raise invalid("/limit", f"from 0 to {LIMIT_MAX}, not {call.body.limit}")
        failpoint("http.before_commit")
        await bank.set_limit(call.params.user_id, limit_minor)
        failpoint("http.after_commit")
        return await self._account(bank, call.params.user_id)

    def _bank(self) -> Bank:
        if isinstance(self._provider, Bank):
            return self._provider
        detail = "the payment provider is external: accounts and limits are kept there, not here"
        raise ProblemError(problem(409, "external-provider", detail=detail))

    @staticmethod
    async def _account(bank: Bank, user_id: str) -> AccountShown:
        limit_minor = await bank.limit(user_id)
        return AccountShown(user_id=user_id, limit=to_major(limit_minor, DEFAULT_CURRENCY))


def _shown(payment: Payment) -> PaymentShown:
    refunds = [
        RefundShown(
            refund_id=refund.refund_id,
            amount=to_major(refund.amount_minor, payment.currency),
            method=refund.method,
            at=refund.at,
            by_hand=refund.by_hand,
        )
        for refund in payment.refunds
    ]
    return PaymentShown(
        order_id=payment.order_id,
        payment_id=payment.payment_id,
        user_id=payment.user_id,
        amount=to_major(payment.amount_minor, payment.currency),
        currency=payment.currency,
        status=payment.status,
        at=payment.at,
        transaction_id=payment.transaction_id,
        code=payment.code,
        reason=payment.reason,
        refunds=refunds,
    )
