"""Questions about orders, asked of any reader."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from order_service.desk import ORDERS
from order_service.domain import STATUSES, OrderView, Status
from order_service.order_shapes import OrderDetail, detail_of
from sagakit.core.facts import AnyFact
from sagakit.core.state import fold
from sagakit.ports import Reader
from sagakit.runtime.paging import Page, merged_page
from sagakit.runtime.sagas import facts_of
from shop_contracts.messages import Item
from shop_contracts.order_saga import ORDER_SAGA


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


async def order_detail(reader: Reader, order_id: str, as_of: datetime) -> OrderDetail | None:
    """Return the whole order, as its facts have it at this moment."""
    facts = await order_facts(reader, order_id)
    return detail_of(fold(ORDER_SAGA, order_id, list(facts)), facts, as_of) if facts else None


class _Input(msgspec.Struct):
    items: list[Item]


class _Beginning(msgspec.Struct):
    """What a list needs of the fact that an order began with."""

    input: _Input


def _items(started: msgspec.Raw) -> list[Item]:
    return _decode_beginning(started).input.items


_decode_beginning = msgspec.json.Decoder(_Beginning).decode
