"""Questions about orders, asked of any reader."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from order_service.desk import ORDERS
from order_service.domain import STATUSES, OrderView, Status, UnknownDefinitionError
from order_service.order_shapes import OrderDetail, detail_of
from sagakit.core.definition import Saga
from sagakit.core.facts import AnyFact, SagaStarted
from sagakit.core.state import fold
from sagakit.ports import Reader
from sagakit.runtime.paging import Page, merged_page
from sagakit.runtime.sagas import facts_of
from shop_contracts.messages import Item


async def page_of_orders(
    reader: Reader, status: Status | None, user_id: str | None, cursor: str | None, limit: int
) -> Page[OrderView]:
    """Return one page of the read model, the newest order first."""
    user = {} if user_id is None else {"user_id": user_id}
    wheres = [{**user, "status": each} for each in ((status,) if status is not None else STATUSES)]
    return await merged_page(reader, ORDERS, wheres, by="created_at", cursor=cursor, limit=limit)


async def ordered_items(reader: Reader, orders: Sequence[OrderView]) -> list[list[Item]]:
    """Return what was ordered in each of these orders, from the fact that each began with."""
    return [_items((await reader.read(order.order_id))[0].body) for order in orders]


async def order_facts(reader: Reader, order_id: str) -> Sequence[AnyFact]:
    """Return the facts of an order; none when there is no such order."""
    return await facts_of(reader, order_id) if order_id in await reader.load(ORDERS, [order_id]) else ()


def saga_of(sagas: Mapping[str, Saga], facts: Sequence[AnyFact]) -> Saga:
    """Return the definition that a saga with these facts follows.

    Raises:
        UnknownDefinitionError: when it is not known here, or not yet.
    """
    first = facts[0]
    assert isinstance(first, SagaStarted), "the first fact of a saga is its start"
    saga = sagas.get(first.definition)
    if saga is None:
        raise UnknownDefinitionError(first.definition, sagas)
    return saga


async def order_detail(reader: Reader, sagas: Mapping[str, Saga], order_id: str, as_of: datetime) -> OrderDetail | None:
    """Return the whole order, as its facts have it at this moment.

    Raises:
        UnknownDefinitionError: when its definition is not known here, or not yet.
    """
    facts = await order_facts(reader, order_id)
    if not facts:
        return None
    saga = saga_of(sagas, facts)
    return detail_of(saga, fold(saga, order_id, list(facts)), facts, as_of)


class _Input(msgspec.Struct):
    items: list[Item]


class _Beginning(msgspec.Struct):
    """What a list needs of the fact that an order began with."""

    input: _Input


def _items(started: msgspec.Raw) -> list[Item]:
    return _decode_beginning(started).input.items


_decode_beginning = msgspec.json.Decoder(_Beginning).decode
