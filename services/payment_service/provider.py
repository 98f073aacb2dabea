"""The payment provider as a port, and the built-in one: a small bank with a database of its own.

The bank is outside of the service's transactions, as a real one would be: it can capture the money and fail to say so.
Asked again with the same key it gives the same answer.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from sagakit.ports import Clock, Store, StoreUnavailableError, Table, Transaction
from sagakit.runtime.failpoints import failpoint
from shop_contracts.luck import lucky
from shop_contracts.money import DEFAULT_CURRENCY, to_major


class Charge(msgspec.Struct, frozen=True):
    """Take so much from a user. `key` makes it happen once, however often it is asked."""

    key: str
    order_id: str
    user_id: str
    amount_minor: int
    currency: str


class Repayment(msgspec.Struct, frozen=True):
    """Give back what the charge with that key took; `charged`: it is known to have been made, by whomever."""

    key: str
    charge_key: str
    charged: bool = False


class Approved(msgspec.Struct, frozen=True):
    """The money moved."""

    transaction_id: str


class Rejected(msgspec.Struct, frozen=True):
    """The provider refuses, definitely."""

    code: str
    reason: str


class NoAnswer(msgspec.Struct, frozen=True):
    """Whether the money moved is unknown. `asked` is False when the provider was left alone: no attempt was made."""

    error: str
    asked: bool = True


Result = Approved | Rejected | NoAnswer


class PaymentProvider(Protocol):
    """Whoever moves the money."""

    async def charge(self, charges: Sequence[Charge]) -> list[Result]:
        """Take the money, each charge for itself; the results are in the order of the charges."""

    async def repay(self, repayments: Sequence[Repayment]) -> list[Result]:
        """Give the money back; of a charge that never moved money, nothing is given back and that is approved.

        That charge moves none later either: it may have been overtaken.
        """


class Account(msgspec.Struct, frozen=True):
    """A user's account: the most that one payment may take, in minor units of the default currency.

    A payment in another currency is held against the same number of major units: nothing is converted.
    """

    user_id: str
    limit_minor: int


class Operation(msgspec.Struct, frozen=True):
    """What was once answered to a key."""

    key: str
    amount_minor: int
    approved: bool
    code: str = ""
    reason: str = ""


ACCOUNTS = Table("accounts", Account, "user_id")
OPERATIONS = Table("operations", Operation, "key")
BANK_TABLES = (ACCOUNTS, OPERATIONS)


@dataclass(frozen=True, slots=True)
class BankSettings:
    """How the built-in bank behaves."""

    success_rate: float = 1.0
    seed: int = 0
    limit_minor: int = 1_000_000
    latency_seconds: float = 0.0
    unknown_rate: float = 0.0


Work = Callable[[Transaction], Awaitable[dict[str, Operation]]]


class Bank:
    """The built-in provider."""

    def __init__(self, store: Store, settings: BankSettings, clock: Clock) -> None:
        """Keep accounts and operations in `store`, which belongs to the bank alone."""
        self._store = store
        self._settings = settings
        self._clock = clock

    async def charge(self, charges: Sequence[Charge]) -> list[Result]:
        """Take the money of each user whose limit allows it."""

        async def work(transaction: Transaction) -> dict[str, Operation]:
            done = await transaction.load(OPERATIONS, [charge.key for charge in charges])
            new = [charge for charge in charges if charge.key not in done]
            accounts = await transaction.load(ACCOUNTS, {charge.user_id for charge in new})
            operations = [self._decide(charge, accounts) for charge in new]
            await transaction.save(OPERATIONS, operations)
            return done | {operation.key: operation for operation in operations}

        return await self._answer(work, [charge.key for charge in charges])

    async def repay(self, repayments: Sequence[Repayment]) -> list[Result]:
        """Give back what was taken; a charge that is still under way will not be made any more."""

        async def work(transaction: Transaction) -> dict[str, Operation]:
            done = await transaction.load(OPERATIONS, [k for r in repayments for k in (r.key, r.charge_key)])
            new: list[Operation] = []
            for repayment in repayments:
                if repayment.key not in done:
                    new.append(Operation(repayment.key, -_taken(done.get(repayment.charge_key)), approved=True))
                    if repayment.charge_key not in done:
                        new.append(_never(repayment.charge_key))
            await transaction.save(OPERATIONS, new)
            return done | {operation.key: operation for operation in new}

        return await self._answer(work, [repayment.key for repayment in repayments])

    async def close(self) -> None:
        """Nothing is open: the store belongs to whoever opened it."""

    async def limit(self, user_id: str) -> int:
        """Return the most that one payment of this user may take."""
        found = await self._store.view(lambda reader: reader.load(ACCOUNTS, [user_id]))
        return found[user_id].limit_minor if user_id in found else self._settings.limit_minor

    async def set_limit(self, user_id: str, limit_minor: int) -> None:
        """Set the most that one payment of this user may take."""
        failpoint("bank.before_commit")
        await self._store.transact(lambda tx: tx.save(ACCOUNTS, [Account(user_id, limit_minor)]))
        failpoint("bank.after_commit")

    async def _answer(self, work: Work, keys: Iterable[str]) -> list[Result]:
        keys = list(keys)
        if self._settings.latency_seconds:
            await self._clock.sleep(self._settings.latency_seconds)
        failpoint("bank.before_commit")
        try:
            done = await self._store.transact(work)
        except StoreUnavailableError as error:
            return [NoAnswer(str(error)) for _ in keys]
        failpoint("bank.after_commit")
        return [self._say(done[key]) for key in keys]

    def _decide(self, charge: Charge, accounts: dict[str, Account]) -> Operation:
        account = accounts.get(charge.user_id)
        limit = account.limit_minor if account else self._settings.limit_minor
        if to_major(charge.amount_minor, charge.currency) > to_major(limit, DEFAULT_CURRENCY):
            return Operation(charge.key, 0, approved=False, code="LIMIT_EXCEEDED", reason="over the account's limit")
        if not lucky(self._settings.success_rate, self._settings.seed, "payment", charge.order_id):
            return Operation(charge.key, 0, approved=False, code="CARD_DECLINED", reason="the card was declined")
        return Operation(charge.key, charge.amount_minor, approved=True)

    def _say(self, operation: Operation) -> Result:
        """Return the answer, or lose it on the way: the operation stands, only nobody hears of it."""
        if self._settings.unknown_rate and self._clock.chance() < self._settings.unknown_rate:
            return NoAnswer("the provider did not answer")
        if operation.approved:
            return Approved(operation.key)
        return Rejected(operation.code, operation.reason)


def _taken(operation: Operation | None) -> int:
    return operation.amount_minor if operation is not None and operation.approved else 0


def _never(charge_key: str) -> Operation:
    return Operation(charge_key, 0, approved=False, code="VOIDED", reason="it was given back before it was made")
