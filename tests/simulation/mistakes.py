"""Mistakes that somebody could make, put into the product for the length of a test.

`python -m tests.simulation.mistakes` prints which rule catches each, and at which seed.
"""
# ruff: noqa: ANN401 - a mistake stands where functions of any type stood

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from inventory_service import actions as inventory_actions
from inventory_service.domain import ReservationStatus
from onebox.simulation import Report, simulate
from payment_service import actions as payment_actions
from payment_service.provider import Approved, NoAnswer
from sagakit.adapters.memory.transaction import MemoryTransaction
from sagakit.core import decide, part
from sagakit.core.definition import Saga
from sagakit.core.facts import StepAsked, StepStatus
from sagakit.core.messages import Message, Mode, name_based_id
from sagakit.core.reactions import Rule, Share
from sagakit.core.state import SagaState
from sagakit.ports import Record, Transaction
from sagakit.runtime.actions import Ask, Refused, Reply, Unknown
from sagakit.runtime.consumer import Consumer
from sagakit.runtime.participant import Participant
from sagakit.runtime.relay import Relay
from shop_contracts.messages import PaymentFailed

SEEDS_MAX = 100
Mistake = Callable[[], AbstractContextManager[object]]

REAL_HEAR = part.hear
REAL_MUST_UNDO = part._must_undo
REAL_WORK = decide.work
REAL_ANSWERED = part.answered
REAL_CHARGE_REPLY = payment_actions._charge_reply


def no_dedupe() -> AbstractContextManager[object]:
    """What was heard before is taken for news."""

    def hear(share: Share, known: part.Part, message: Message, now: datetime) -> tuple[part.Part, list[part.Todo]]:
        if message.type in known.heard:
            begun = {rule.step.name for rule in share.rules if message.type in (*rule.begins_on, rule.step.command)}
            heard = {kind: by for kind, by in known.heard.items() if kind != message.type}
            steps = {name: step for name, step in known.steps.items() if name not in begun}
            known = replace(known, heard=heard, steps=steps)
        return REAL_HEAR(share, known, message, now)

    return patch("sagakit.runtime.participant.hear", hear)


def no_fence() -> AbstractContextManager[object]:
    """Whoever was paused goes on as if nobody had taken over."""

    async def advance(
        self: MemoryTransaction, group: str, topic: str, partition: int, _expected: int, next_offset: int
    ) -> None:
        self._set(self._state.progress, (group, topic, partition), next_offset)

    return patch.object(MemoryTransaction, "advance", advance)


def offsets_before_handling() -> AbstractContextManager[object]:
    """Messages are acknowledged in one transaction and handled in the next."""

    async def handle(self: Consumer, records: Sequence[Record]) -> None:
        now = self._clock.now()
        messages, sources, _ = self._read(records)
        ends = {(record.topic, record.partition): record.offset + 1 for record in records}

        async def acknowledge(transaction: Transaction) -> None:
            for (topic, partition), end in ends.items():
                await transaction.advance(self._group, topic, partition, self._positions[topic, partition], end)

        await self._store.transact(acknowledge)
        self._positions.update(ends)
        await self._store.transact(lambda transaction: self._hand_over(transaction, messages, sources, now))
        self._handler.committed()

    return patch.object(Consumer, "_handle", handle)


def no_bar() -> AbstractContextManager[object]:
    """A request to abort is heard, and the step that has not begun neither acts nor bars itself."""
    return patch("sagakit.core.part._bar", lambda known, *_: (known, []))


def abort_compensates() -> AbstractContextManager[object]:
    """A request to abort takes back at once what was done, without waiting for what comes after it."""

    def must_undo(known: part.Part, rule: Rule) -> str | None:
        return REAL_MUST_UNDO(known, rule) or known.heard.get(part.ABORT)

    return patch("sagakit.core.part._must_undo", must_undo)


def compensates_again() -> AbstractContextManager[object]:
    """A compensation leaves no trace, so that the next word brings it about again."""

    def answered(share: Share, known: part.Part, step: str, *rest: Any) -> tuple[part.Part, list[part.Todo]]:
        after, todo = REAL_ANSWERED(share, known, step, *rest)
        if after.step(step).status is StepStatus.COMPENSATED and step == "inventory":
            steps = {**after.steps, step: replace(after.step(step), status=StepStatus.SUCCEEDED)}
            after = replace(after, steps=steps)
        return after, todo

    async def look_up_reserved(self: inventory_actions._Book) -> None:
        found = self.reservations
        self.reservations = {name: replace(one, status=ReservationStatus.RESERVED) for name, one in found.items()}
        await self.look_up(line.product_id for one in found.values() for line in one.items)

    return both(
        patch("sagakit.runtime.participant.answered", answered),
        patch.object(inventory_actions._Book, "look_up_reserved", look_up_reserved),
    )


def marked_before_published() -> AbstractContextManager[object]:
    """The outbox forgets what it is about to publish."""

    async def step(self: Relay) -> bool:
        entries = await self._store.outbox(1000)
        if entries:
            await self._store.published([entry.position for entry in entries])
            await self._log.publish([entry.draft for entry in entries])
        return bool(entries)

    return patch.object(Relay, "step", step)


def published_before_commit() -> AbstractContextManager[object]:
    """What a transaction said is out, also when the transaction is taken back."""
    real = MemoryTransaction.take_back

    def take_back(self: MemoryTransaction) -> None:
        self._undo = [entry for entry in self._undo if entry[0] is not self._state.outbox]
        real(self)

    return patch.object(MemoryTransaction, "take_back", take_back)


def unknown_is_refusal() -> AbstractContextManager[object]:
    """A bank that does not answer is taken to have refused."""

    def reply(ask: Any, result: Any) -> Reply:
        found = REAL_CHARGE_REPLY(ask, result)
        if isinstance(found, Unknown):
            return Refused(PaymentFailed(order_id=ask.saga_id, reason=found.error, error_code="SILENT"))
        return found

    return patch("payment_service.actions._charge_reply", reply)


def unknown_is_success() -> AbstractContextManager[object]:
    """The charge is said to have succeeded before the bank has said so."""
    return patch(
        "payment_service.actions._charge_reply",
        lambda ask, result: REAL_CHARGE_REPLY(ask, Approved("hoped for") if isinstance(result, NoAnswer) else result),
    )


def new_key_per_retry() -> AbstractContextManager[object]:
    """Each attempt is a new one to the bank."""
    key = property(lambda self: name_based_id(self.saga_id, self.step, self.command, *["again"] * self.tries))
    return patch.object(Ask, "idempotency_key", key)


def late_success_dropped() -> AbstractContextManager[object]:
    """A request to abort bars also the step that has begun; its late success is of no interest."""

    def hear(share: Share, known: part.Part, message: Message, now: datetime) -> tuple[part.Part, list[part.Todo]]:
        after, todo = REAL_HEAR(share, known, message, now)
        for rule in share.rules:
            if message.type == part.ABORT and after.step(rule.step.name).status is StepStatus.BEGUN and after.abort:
                after, more = part._bar(after, rule, message.id, after.abort)
                todo += more
        return after, todo

    return patch("sagakit.runtime.participant.hear", hear)


def pivot_ignored() -> AbstractContextManager[object]:
    """The orchestrator takes everything back as soon as somebody cancels, whether the parcel is gone or not."""

    def work(saga: Saga, state: SagaState, at: datetime) -> list[StepAsked]:
        if state.abort is None or state.mode is not Mode.ORCHESTRATION:
            return REAL_WORK(saga, state, at)
        done = [s for s in saga.steps if s.compensation and state.step(s.name).status is StepStatus.SUCCEEDED]
        return [StepAsked(at=at, step=step.name, compensating=True) for step in done]

    return patch("sagakit.core.decide.work", work)


def parking_lost() -> AbstractContextManager[object]:
    """What was parked is never taken up again."""

    async def nothing(*_: Any) -> list[Message]:
        return []

    return patch("sagakit.runtime.participant.release_started", nothing)


def oldest_first() -> AbstractContextManager[object]:
    """The orchestrator takes back everything at once."""
    return patch("sagakit.core.decide.undo_is_owed", lambda *_: True)


def oversold() -> AbstractContextManager[object]:
    """Nobody looks whether there is enough."""

    def moved(stock: Any, lines: Any, *, on_hand: int, reserved: int) -> dict[str, Any]:
        return {
            line.product_id: replace(
                stock[line.product_id],
                on_hand=stock[line.product_id].on_hand + on_hand * line.quantity,
                reserved=stock[line.product_id].reserved + reserved * line.quantity,
            )
            for line in lines
        }

    return both(
        patch("inventory_service.actions.short", lambda *_: []), patch("inventory_service.actions.moved", moved)
    )


def never_retried() -> AbstractContextManager[object]:
    """What was intended before a crash, or had no answer, is not tried again."""

    async def nothing(_: Participant) -> list[Any]:
        return []

    return patch.object(Participant, "_due", nothing)


def any_answer_will_do() -> AbstractContextManager[object]:
    """A late answer to the action is taken for the answer to the compensation that is under way."""

    def awaits(self: Any, ask: Ask[Any], _: Reply) -> bool:
        return bool(self._parts[ask.saga_id].step(ask.step).pending)

    return patch("sagakit.runtime.participant._Turn._awaits", awaits)


def view_forgotten() -> AbstractContextManager[object]:
    """The read model is not kept in step with the facts."""

    async def nothing(*_: Any) -> None:
        return None

    return patch("order_service.desk.project", nothing)


def poison_swallowed() -> AbstractContextManager[object]:
    """What cannot be handled is skipped, and nobody hears of it."""

    async def bury(self: Consumer, record: Record, _: Exception) -> None:
        at = (record.topic, record.partition)
        await self._store.transact(lambda tx: tx.advance(self._group, *at, self._positions[at], record.offset + 1))
        self._positions[at] = record.offset + 1

    return patch.object(Consumer, "_bury", bury)


def half_a_transaction() -> AbstractContextManager[object]:
    """A transaction that fails leaves behind what it had written to the service's own rows."""
    real = MemoryTransaction.take_back

    def take_back(self: MemoryTransaction) -> None:
        rows = [id(rows) for rows in self._state.rows.values()]
        self._undo = [entry for entry in self._undo if id(entry[0]) not in rows]
        real(self)

    return patch.object(MemoryTransaction, "take_back", take_back)


@contextmanager
def both(*patches: Any) -> Iterator[None]:
    """Make several changes that are one mistake."""
    with patches[0], patches[1]:
        yield


MISTAKES: tuple[Mistake, ...] = (
    no_dedupe,
    no_fence,
    offsets_before_handling,
    no_bar,
    abort_compensates,
    compensates_again,
    marked_before_published,
    published_before_commit,
    unknown_is_refusal,
    unknown_is_success,
    new_key_per_retry,
    late_success_dropped,
    pivot_ignored,
    parking_lost,
    oldest_first,
    oversold,
    never_retried,
    any_answer_will_do,
    view_forgotten,
    poison_swallowed,
    half_a_transaction,
)


def caught(mistake: Mistake, seeds: int = SEEDS_MAX) -> Report | None:
    """Return the first world in which the mistake breaks a rule, if there is one among so many."""
    with mistake():
        return next((report for seed in range(seeds) if (report := simulate(seed)).violation), None)


def told(mistake: Mistake, report: Report | None) -> str:
    """Return a line of the table: the mistake, which rule catches it, and where."""
    rule = f"{report.violation.check} at seed {report.seed}" if report and report.violation else "NOT CAUGHT"
    return f"{mistake.__name__:26} {rule:28} {mistake.__doc__}"


def main() -> None:
    """Print the table."""
    logging.getLogger("sagakit").setLevel(logging.CRITICAL + 1)
    for mistake in MISTAKES:
        sys.stdout.write(f"{told(mistake, caught(mistake))}\n")


if __name__ == "__main__":
    main()
