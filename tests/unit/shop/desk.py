"""Asks put to a service's actions directly, within a transaction over memory."""

from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from sagakit.core.facts import ByHand, Verb
from sagakit.runtime.actions import Ask

C = TypeVar("C", bound=msgspec.Struct)

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def ask(data: C, step: str, *, order_id: str = "order-1", happened: bool = True, hand: Verb | None = None) -> Ask[C]:
    """Return what a participant asks of its action."""
    by_hand = ByHand(verb=hand, actor="ann", reason="the bank called") if hand else None
    return Ask(
        saga_id=order_id,
        step=step,
        command=type(data).__name__,
        data=data,
        now=NOON,
        happened=happened,
        by_hand=by_hand,
    )
