"""Pages over several queries of one table as if they were one list, newest first, and the cursors between them.

A list that is indexed by (phase, time) and asked for every phase is the merge of a page of each. The time of a record
never changes, so whoever follows the cursors sees each record once, however often it changed its phase meanwhile.
"""

import binascii
import heapq
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from sagakit.ports import Query, Reader, Table

R = TypeVar("R", bound=msgspec.Struct)

PAGE_LIMIT = 50
PAGE_LIMIT_MAX = 1000


class InvalidCursorError(Exception):
    """The cursor was not made here. Begin again without one."""


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Some records, and where the next ones begin (None: there are no more)."""

    records: tuple[R, ...]
    next_cursor: str | None


Position = tuple[datetime, str]


def encode_cursor(moment: datetime, key: str) -> str:
    """Return the place behind this record as an opaque word."""
    return urlsafe_b64encode(msgspec.json.encode((moment, key))).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> Position | None:
    """Return the place that a cursor means.

    Raises:
        InvalidCursorError: when it was not made by `encode_cursor`.
    """
    if cursor is None:
        return None
    try:
        raw = urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        moment, key = msgspec.json.decode(raw, type=tuple[datetime, str])
    except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
        raise InvalidCursorError("the cursor was not made here") from error
    if moment.tzinfo is None:
        raise InvalidCursorError("the cursor was not made here")
    return moment, key


async def merged_page(
    reader: Reader,
    table: Table[R],
    wheres: Sequence[Mapping[str, Any]],
    *,
    by: str,
    cursor: str | None = None,
    limit: int = PAGE_LIMIT,
    below: datetime | None = None,
) -> Page[R]:
    """Return one page of all records that are equal in any of `wheres`, the newest in `by` first."""
    after = decode_cursor(cursor)
    lists = [
        await reader.select(
            table, Query(where=where, by=by, descending=True, below=below, after=after, limit=limit + 1)
        )
        for where in wheres
    ]

    def place(record: R) -> tuple[float, str]:
        return -getattr(record, by).timestamp(), getattr(record, table.key)

    merged = list(heapq.merge(*lists, key=place))
    records = tuple(merged[:limit])
    more = len(merged) > limit
    last = records[-1] if more else None
    return Page(records, encode_cursor(getattr(last, by), getattr(last, table.key)) if last is not None else None)
