"""A Stripe-compatible provider over HTTP.

A charge is made in three steps: an intent is created, which moves nothing; its id goes on record, in a store of our
own; the intent on record is confirmed, which moves the money. So there is one intent for each key, ever, and only that
one is confirmed:

- The provider forgets a key after a day. The record does not, and whoever asks again looks at the intent itself.
- A repayment of a charge without a record puts on record that there will be none: a late charge finds that, and is not
  made. A charge with a record is taken back at the provider, which lets either the confirmation or the cancellation of
  an intent win; the loser is refused, and looks again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from payment_service.calling import SILENCES, Caller, CallSettings, RefusalError, SilenceError
from payment_service.dialect import (
    AMOUNT_CODES,
    CANCELLABLE,
    CANCELLED,
    TO_AUTHENTICATE,
    TO_CONFIRM,
    UNAUTHENTICATED,
    VOIDED,
    Intent,
    RefundMade,
    amount_asked,
    cancellation,
    charged,
    confirmation,
    creation,
    declines,
    look,
    refund,
    refund_look,
    refused,
)
from payment_service.provider import Approved, Charge, NoAnswer, Rejected, Repayment, Result
from sagakit.ports import Clock, Store, StoreUnavailableError, Table, Transaction
from sagakit.runtime.failpoints import failpoint

A = TypeVar("A")

NOTHING_MOVED = "nothing"
"""Instead of a transaction's id, where no money moved and that is approved."""


class IntentRecord(msgspec.Struct, frozen=True):
    """The one intent that may be confirmed for a charge; without an id there is none, and will be none."""

    charge_key: str
    intent_id: str


INTENTS = Table("intents", IntentRecord, "charge_key")


class HttpProvider:
    """The external provider. What it does not answer in time is `NoAnswer`; so is what it refuses by a fault of ours.

    `total_seconds` bounds one call, whatever the size of its batch: for whom there was no time is asked again later.
    """

    def __init__(
        self, store: Store, settings: CallSettings, clock: Clock, *, payment_method: str, total_seconds: float
    ) -> None:
        """Keep the record of intents in `store`, with the table `INTENTS`."""
        self.caller = Caller(settings, clock)
        self._store = store
        self._payment_method = payment_method
        self._total_seconds = total_seconds
        self._slots = asyncio.Semaphore(settings.concurrency)

    async def close(self) -> None:
        """Close the connections."""
        await self.caller.close()

    async def charge(self, charges: Sequence[Charge]) -> list[Result]:
        """Take the money; `Rejected` only when the provider said so of the customer's means of payment."""
        deadline = self._deadline()

        async def answer(charge: Charge) -> Result:
            return await self._charge(charge, deadline)

        return await self._each(answer, charges)

    async def repay(self, repayments: Sequence[Repayment]) -> list[Result]:
        """Give the money back, or see to it that none will be taken."""
        deadline = self._deadline()

        async def answer(repayment: Repayment) -> Result:
            return await self._repay(repayment, deadline)

        return await self._each(answer, repayments)

    async def _charge(self, charge: Charge, deadline: float) -> Result:
        if charge.amount_minor == 0:
            await self._record(IntentRecord(charge.key, ""))
            return Approved(NOTHING_MOVED)
        record = await self._recorded(charge.key)
        if record is None:
            amount = amount_asked(charge)
            if amount is None:
                return Rejected("AMOUNT_NOT_PAYABLE", f"the provider has no such amount of {charge.currency}")
            try:
                intent = await self.caller.send(creation(charge, amount, self._payment_method), Intent, deadline)
            except RefusalError as error:
                if error.failure.code in AMOUNT_CODES:
                    return refused(error.failure)
                raise
            record = await self._record(IntentRecord(charge.key, intent.id))
            if record.intent_id == intent.id:
                return await self._confirm(record, deadline)
        if not record.intent_id:
            return VOIDED
        intent = await self._look(record, deadline)
        if intent.status == TO_CONFIRM:
            return await self._confirm(record, deadline)
        return await self._outcome(record, intent, deadline)

    async def _confirm(self, record: IntentRecord, deadline: float) -> Result:
        """Let the money move; what the provider refuses otherwise than by a decline, the intent itself tells."""
        try:
            intent = await self.caller.send(confirmation(record.intent_id, record.charge_key), Intent, deadline)
        except RefusalError as error:
            if declines(error.status, error.failure):
                return refused(error.failure)
            intent = await self._look(record, deadline)
            if intent.status == TO_CONFIRM:
                return NoAnswer(str(error))
        return await self._outcome(record, intent, deadline)

    async def _outcome(self, record: IntentRecord, intent: Intent, deadline: float) -> Result:
        """Return what the intent became; one that waits for the customer is cancelled, for nobody here can ask her."""
        if intent.status == TO_AUTHENTICATE:
            intent = await self._cancel(record, deadline)
            if intent.status == CANCELLED:
                return UNAUTHENTICATED
        return charged(intent)

    async def _repay(self, repayment: Repayment, deadline: float) -> Result:
        record = await self._recorded(repayment.charge_key)
        if record is None:
            if repayment.charged:
                return NoAnswer(f"no intent of the charge {repayment.charge_key} is on record: it was made elsewhere")
            record = await self._record(IntentRecord(repayment.charge_key, ""))
        if not record.intent_id:
            return Approved(NOTHING_MOVED)
        intent = await self._look(record, deadline)
        if intent.status in CANCELLABLE:
            intent = await self._cancel(record, deadline)
        match intent.status:
            case "canceled":
                return Approved(NOTHING_MOVED)
            case "succeeded":
                return await self._refund(record, repayment, deadline)
            case status:
                return NoAnswer(f"the provider has {intent.id} as {status}")

    async def _refund(self, record: IntentRecord, repayment: Repayment, deadline: float) -> Result:
        try:
            made = await self.caller.send(refund(record.intent_id, repayment.key), RefundMade, deadline)
        except RefusalError as error:
            if error.failure.code == "charge_already_refunded":
                return Approved(record.intent_id)
            raise
        if made.status == "pending":  # so it was when it was made: a repeated request is answered with the same words
            made = await self.caller.send(refund_look(made.id), RefundMade, deadline)
        if made.status == "succeeded":
            return Approved(made.id)
        return NoAnswer(f"the provider has the refund {made.id} as {made.status}")

    async def _look(self, record: IntentRecord, deadline: float) -> Intent:
        return await self.caller.send(look(record.intent_id), Intent, deadline)

    async def _cancel(self, record: IntentRecord, deadline: float) -> Intent:
        """Return the intent cancelled, or as it is when that comes too late."""
        try:
            return await self.caller.send(cancellation(record.intent_id), Intent, deadline)
        except RefusalError:
            return await self._look(record, deadline)

    async def _recorded(self, charge_key: str) -> IntentRecord | None:
        found = await self._store.view(lambda reader: reader.load(INTENTS, [charge_key]))
        return found.get(charge_key)

    async def _record(self, record: IntentRecord) -> IntentRecord:
        """Put this on record, and return what is on record: the first one stays."""

        async def work(transaction: Transaction) -> IntentRecord:
            found = await transaction.load(INTENTS, [record.charge_key])
            if record.charge_key in found:
                return found[record.charge_key]
            await transaction.save(INTENTS, [record])
            return record

        failpoint("bank.before_commit")
        kept = await self._store.transact(work)
        failpoint("bank.after_commit")
        return kept

    async def _each(self, answer: Callable[[A], Awaitable[Result]], asked: Sequence[A]) -> list[Result]:
        """Return the answers in the order of what is asked, so many at a time as there are slots."""

        async def one(item: A) -> Result:
            async with self._slots:
                try:
                    result = await answer(item)
                except SilenceError as error:
                    result = NoAnswer(str(error), asked=error.asked)
                except (RefusalError, StoreUnavailableError) as error:
                    result = NoAnswer(str(error))
            self.caller.counts[SILENCES] += isinstance(result, NoAnswer)
            return result

        return await asyncio.gather(*(one(item) for item in asked))

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._total_seconds
