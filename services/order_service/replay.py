"""Rebuilding an order from its facts, and comparing that with what is stored: the facts are the truth.

Nothing is changed: a difference is for a person to judge, since it means that somebody wrote past the log.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from order_service.desk import ORDERS, apply_end
from order_service.domain import OrderView, status_of
from order_service.order_queries import saga_of
from sagakit.core.deadlines import due_at
from sagakit.core.definition import Saga
from sagakit.core.facts import AnyFact, SagaStarted
from sagakit.core.state import SagaState, fold
from sagakit.ports import Reader
from sagakit.runtime.http.routes import Shape
from sagakit.runtime.sagas import facts_of
from sagakit.runtime.tracker import SAGAS
from shop_contracts.messages import OrderCreated
from shop_contracts.money import to_minor


class Difference(Shape, frozen=True, kw_only=True):
    """One field of which the facts and the store say different things."""

    record: str
    field: str
    rebuilt: Any
    stored: Any


class Replay(Shape, frozen=True, kw_only=True):
    """Whether what is stored of an order is what its facts amount to."""

    order_id: str
    facts: int
    equal: bool
    differences: list[Difference]
    as_of: datetime


async def replay(reader: Reader, sagas: Mapping[str, Saga], order_id: str, as_of: datetime) -> Replay | None:
    """Return how the order's state and row compare with its facts; None when nothing at all is known of it.

    Raises:
        UnknownDefinitionError: when its definition is not known here, or not yet.
    """
    facts = await facts_of(reader, order_id)
    state = (await reader.load(SAGAS, [order_id])).get(order_id)
    row = (await reader.load(ORDERS, [order_id])).get(order_id)
    if not facts and state is None and row is None:
        return None
    rebuilt_state = rebuild_state(saga_of(sagas, facts), order_id, facts) if facts else None
    rebuilt_row = rebuild_row(facts, rebuilt_state) if rebuilt_state is not None else None
    differences = [*_compare("saga", rebuilt_state, state), *_compare("order", rebuilt_row, row)]
    return Replay(order_id=order_id, facts=len(facts), equal=not differences, differences=differences, as_of=as_of)


def rebuild_state(saga: Saga, saga_id: str, facts: Sequence[AnyFact]) -> SagaState:
    """Return the state that the facts amount to, as it is stored."""
    state = fold(saga, saga_id, list(facts))
    return msgspec.structs.replace(state, due_at=due_at(saga, state))


def rebuild_row(facts: Sequence[AnyFact], state: SagaState) -> OrderView:
    """Return the row that the facts amount to. Its fingerprint is of the request, which no fact repeats."""
    first = facts[0]
    assert isinstance(first, SagaStarted), "the first fact of a saga is its start"
    order = msgspec.json.decode(first.input, type=OrderCreated)
    row = OrderView(
        order_id=state.saga_id,
        user_id=order.user_id,
        status=status_of(state.phase),
        total_minor=to_minor(order.total, order.currency),
        currency=order.currency,
        created_at=first.at,
        mode=state.mode,
        correlation_id=state.correlation_id,
        fingerprint="",
        version=1,
    )
    return apply_end(row, state) if state.phase.terminal else row


def _compare(record: str, rebuilt: msgspec.Struct | None, stored: msgspec.Struct | None) -> list[Difference]:
    if rebuilt is None or stored is None:
        if rebuilt is stored:
            return []
        return [Difference(record=record, field="", rebuilt=rebuilt is not None, stored=stored is not None)]
    ours, theirs = _plain(rebuilt), _plain(stored)
    names = [name for name in {**ours, **theirs} if name != "fingerprint" and ours.get(name) != theirs.get(name)]
    return [Difference(record=record, field=name, rebuilt=ours.get(name), stored=theirs.get(name)) for name in names]


def _plain(record: msgspec.Struct) -> Mapping[str, object]:
    found: Mapping[str, object] = msgspec.json.decode(msgspec.json.encode(record))
    return found
