"""Lists page by page, in the order of the keys: that needs no index, and the cursors lead past each record once."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta

from sagakit.ports import Query, Store, Table
from sagakit.runtime.http.problems import not_found
from sagakit.runtime.http.routes import Input, Shape

PAGE_LIMIT = 50
PAGE_LIMIT_MAX = 1000

R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T")

Cursor = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,600}$", description="`nextCursor` of the page before.")]
"""A key of 100 characters has up to 400 bytes, which are 534 characters of a cursor."""
Limit = Annotated[int, Meta(ge=1, le=PAGE_LIMIT_MAX, description="How many at most.")]


class PageParams(Input, frozen=True, kw_only=True):
    """Which page of a list."""

    limit: Limit = PAGE_LIMIT
    cursor: Cursor | None = None


class Page(Shape, Generic[T], frozen=True, kw_only=True):
    """Some of a list; without a next cursor it is the end of it."""

    items: list[T]
    next_cursor: str | None


async def page(store: Store, table: Table[R], params: PageParams, shape: Callable[[R], T]) -> Page[T]:
    """Return one page of a table, each record in the shape that is shown."""
    after = None if params.cursor is None else (None, text_of(params.cursor))
    query = Query(after=after, limit=params.limit + 1)
    records = await store.view(lambda reader: reader.select(table, query))
    shown = records[: params.limit]
    more = len(records) > params.limit
    return Page(
        items=[shape(record) for record in shown],
        next_cursor=cursor_of(getattr(shown[-1], table.key)) if more else None,
    )


async def of_order(store: Store, table: Table[R], order_id: str, what: str) -> R:
    """Return the record of an order.

    Raises:
        ProblemError: 404, when there is none.
    """
    found = await store.view(lambda reader: reader.load(table, [order_id]))
    if order_id not in found:
        raise not_found("orderId", f"no {what} of order {order_id} is known")
    return found[order_id]


def cursor_of(text: str) -> str:
    """Return a text as a cursor, which goes into an address as it is."""
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def text_of(cursor: str) -> str:
    """Return the text of a cursor. Any cursor means some place: there is no wrong one."""
    whole = cursor[:-1] if len(cursor) % 4 == 1 else cursor
    return urlsafe_b64decode(whole + "=" * (-len(whole) % 4)).decode(errors="replace").replace("\0", "")
