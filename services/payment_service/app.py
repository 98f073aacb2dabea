"""What the payment service answers: what became of the money of an order, and the accounts of its built-in bank."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from payment_service.actions import PAYMENTS
from payment_service.domain import Payment, PaymentStatus
from payment_service.provider import Bank
from sagakit.ports import Store
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.http.pages import Page, PageParams, page
from sagakit.runtime.http.problems import invalid, not_found
from sagakit.runtime.http.routes import Call, Id, Input, Route, Shape
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


def routes(store: Store, bank: Bank) -> list[Route]:
    """Return the routes over the service's store and its bank."""
    desk = _Desk(store, bank)
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
            path="/accounts/{userId}",
            handler=desk.account,
            summary="The account of a user",
            params=UserParams,
            returns={200: AccountShown},
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
            tag=accounts,
        ),
    ]


class _Desk:
    def __init__(self, store: Store, bank: Bank) -> None:
        self._store = store
        self._bank = bank

    async def payment(self, call: Call[OrderParams, None]) -> PaymentShown:
        """Pending and unknown are asked again; voided: given up before anything was captured."""
        order_id = call.params.order_id
        found = await self._store.view(lambda reader: reader.load(PAYMENTS, [order_id]))
        if order_id not in found:
            raise not_found("orderId", f"no payment of order {order_id} is known")
        return _shown(found[order_id])

    async def payments(self, call: Call[PageParams, None]) -> Page[PaymentShown]:
        """For auditors: follow `nextCursor` to see each payment once."""
        return await page(self._store, PAYMENTS, call.params, _shown)

    async def account(self, call: Call[UserParams, None]) -> AccountShown:
        """Whoever has no account has the default limit."""
        return await self._account(call.params.user_id)

    async def limit(self, call: Call[UserParams, LimitAsked]) -> AccountShown:
        """Holds for charges from now on."""
        try:
            limit_minor = to_minor(call.body.limit, DEFAULT_CURRENCY)
        except MoneyError as error:
            raise invalid("/limit", str(error)) from error
        if not 0 <= call.body.limit <= LIMIT_MAX:
            raise invalid("/limit", f"from 0 to {LIMIT_MAX}, not {call.body.limit}")
        failpoint("http.before_commit")
        await self._bank.set_limit(call.params.user_id, limit_minor)
        failpoint("http.after_commit")
        return await self._account(call.params.user_id)

    async def _account(self, user_id: str) -> AccountShown:
        limit_minor = await self._bank.limit(user_id)
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
