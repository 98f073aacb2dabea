"""What is stored, as lines of JSON: every number of the views by its name, and the rows that have more than a number.

All of it is read in one look, so it stands at one offset vector. Numbers are written as text, however long they are.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from analytics_service.desk import HIGH_VALUES
from analytics_service.tables import CHUNKS, JOINED, LANES, PRODUCTS, REASONS, TOTALS, USERS, Chunk, Sums
from onebox.recount.raw import Vector
from sagakit.ports import Query, Reader, Table

ROWS_AT_ONCE = 2_000
LEVEL_NAMES = {1: "seconds", 60: "minutes", 900: "quarters", 3600: "hours", 86_400: "days"}

R = TypeVar("R", bound=msgspec.Struct)
_encoder = msgspec.json.Encoder()


class Number(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One stored number: in which part of the views, of what, which one. `amount` is a whole number."""

    part: str
    name: str
    series: str
    amount: str


@dataclass(frozen=True, slots=True)
class Files:
    """Where the lines are written."""

    numbers: Path
    joined: Path
    high_values: Path


async def write_views(reader: Reader, group: str, files: Files) -> Vector:
    """Write what the views hold at this moment, and return the offsets that they hold it at."""
    with files.joined.open("wb") as joined:
        async for rows in _pages(reader, JOINED):
            joined.write(_encoder.encode_lines(rows))
    with files.numbers.open("wb") as numbers:
        for part, table in (("totals", TOTALS), ("reasons", REASONS), ("products", PRODUCTS), ("users", USERS)):
            async for sums in _pages(reader, table):
                _write(numbers, _of_sums(part, sums))
        async for chunks in _pages(reader, CHUNKS):
            _write(numbers, _of_chunks(chunks))
        async for lanes in _pages(reader, LANES):
            _write(numbers, (_number("lanes", lane.lane, "events", lane.events) for lane in lanes))
            _write(numbers, (_number("lanes", lane.lane, "duplicates", lane.duplicates) for lane in lanes))
        async for waiting in _pages(reader, JOINED, "waiting_since_ms"):
            _write(numbers, (_number("unmatched", r.order_id, "since", r.waiting_since_ms or 0) for r in waiting))
    return await reader.progress(group)


async def write_high_values(reader: Reader, group: str, files: Files) -> Vector:
    """Write which orders are of high value at this moment, and return the offsets that they are known at."""
    with files.high_values.open("wb") as lines:
        async for rows in _pages(reader, HIGH_VALUES):
            lines.write(_encoder.encode_lines(rows))
    return await reader.progress(group)


async def _pages(reader: Reader, table: Table[R], by: str | None = None) -> AsyncIterator[list[R]]:
    """Yield all records that have a value in `by`, or simply all."""
    after: tuple[Any, str] | None = None
    while rows := await reader.select(table, Query(by=by, after=after, limit=ROWS_AT_ONCE)):
        yield rows
        after = (getattr(rows[-1], by) if by else None, getattr(rows[-1], table.key))


def _of_sums(part: str, rows: Sequence[Sums]) -> Iterator[Number]:
    for row in rows:
        yield _number(part, row.name, "", 0)
        for series, amount in row.series.items():
            yield _number(part, row.name, series, amount)


def _of_chunks(rows: Sequence[Chunk]) -> Iterator[Number]:
    for row in rows:
        part = LEVEL_NAMES.get(row.level, f"level {row.level}")
        for series, raw in row.series.items():
            numbers: list[int] = msgspec.json.decode(raw, type=list[int])
            for place, amount in zip(numbers[::2], numbers[1::2], strict=True):
                yield _number(part, str(row.start + place * row.level), series, amount)


def _number(part: str, name: str, series: str, amount: int) -> Number:
    return Number(part=part, name=name, series=series, amount=str(amount))


def _write(file: BinaryIO, numbers: Iterator[Number]) -> None:
    file.write(_encoder.encode_lines([*numbers]))
