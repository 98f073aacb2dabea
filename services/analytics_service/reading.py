"""Questions to the views of one version, each answered from one moment. Nothing here knows HTTP."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from analytics_service.bucket_windows import Contents, bins_of_spans, contents, sums_of
from analytics_service.calendar_windows import Span, WindowError, level_of
from analytics_service.metrics import MOMENTS, RECIPES, Metric, Point, points
from analytics_service.orders import JoinedOrder
from analytics_service.series import HOUR, MINUTE, SPANS, chunk_start, milliseconds
from analytics_service.summing import ALL, merged, sums_key
from analytics_service.tables import (
    CHUNKS,
    JOINED,
    LANES,
    LATE,
    PRODUCTS,
    REASONS,
    TOTALS,
    USERS,
    Chunk,
    Lane,
    LateSums,
    Series,
    Sums,
)
from sagakit.ports import Query, Reader, Table

POINTS_MAX = 2500
"""So many single events are read for one answer."""
DURATION_BUCKETS_MAX = 10_000
"""So many buckets of durations: each holds dozens of bins. A week of minutes, or a hundred days of quarters."""
MARGIN_MAX = 2000
"""As many orders are read at once to find sessions; beyond that, each user's neighbours are asked for."""
ROWS_MAX = 100_000
ROWS_AT_ONCE = 2000

R = TypeVar("R", bound=msgspec.Struct)
_decode = msgspec.json.Decoder(list[int]).decode


async def every(reader: Reader, table: Table[R], where: Mapping[str, Any] | None = None) -> list[R]:
    """Return all records of a table, read in pages."""
    found: list[R] = []
    after: tuple[Any, str] | None = None
    while True:
        page = await reader.select(table, Query(where=where or {}, after=after, limit=ROWS_AT_ONCE))
        found += page
        if len(page) < ROWS_AT_ONCE:
            return found
        after = (None, getattr(page[-1], table.key))


async def totals(reader: Reader) -> Series:
    """Return the sum of each series over all time and partitions."""
    return merged(await every(reader, TOTALS)).get(ALL, {})


async def reasons(reader: Reader) -> dict[str, int]:
    """Return how many orders were cancelled, by reason, the most frequent first."""
    counts = {name: series["orders"] for name, series in merged(await every(reader, REASONS)).items()}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


async def lanes(reader: Reader) -> list[Lane]:
    """Return how far event time has come, everywhere."""
    return await every(reader, LANES)


async def user(reader: Reader, user_id: str, partitions: int) -> Series | None:
    """Return the sums of a user; None of whom nothing was heard."""
    keys = [sums_key(user_id, partition) for partition in range(partitions)]
    return merged((await reader.load(USERS, keys)).values()).get(user_id)


async def products(reader: Reader, after: str | None, limit: int) -> list[tuple[str, Series]]:
    """Return the sums of products, in the order of their ids, the first behind `after`."""
    found: dict[str, Series] = {}
    last: tuple[Any, str] | None = None if after is None else (after, "\U0010ffff")
    while len(found) <= limit:
        page: list[Sums] = await reader.select(PRODUCTS, Query(by="name", after=last, limit=ROWS_AT_ONCE))
        for name, series in merged(page).items():
            known = found.get(name)
            found[name] = (
                series if known is None else {key: known.get(key, 0) + series.get(key, 0) for key in {*known, *series}}
            )
        if len(page) < ROWS_AT_ONCE:
            break
        last = (page[-1].name, page[-1].key)
    return sorted(found.items())[:limit]


async def windows(reader: Reader, metric: Metric, currency: str, spans: Sequence[Span], size: int) -> list[Contents]:
    """Return what the windows contain, in their order.

    Raises:
        WindowError: when too much would have to be read.
    """
    if not spans:
        return []
    recipe, level = RECIPES[metric], level_of([*spans], size)
    if recipe.of_durations and level < MINUTE:
        raise WindowError("size", "must be whole minutes for durations, which are not kept by the second")
    buckets = (max(span.end for span in spans) - min(span.start for span in spans)) // level
    if recipe.of_durations and buckets > DURATION_BUCKETS_MAX:
        rule = f"needs {buckets:,} buckets of {level} s, and of durations at most {DURATION_BUCKETS_MAX:,} are read"
        raise WindowError("size", f"{rule}: take whole quarters of an hour, or a shorter range")
    first, end = min(span.start for span in spans), max(span.end for span in spans)
    chunks: list[Chunk] = await _between(reader, CHUNKS, level, "start", chunk_start(level, first), end)
    if recipe.of_durations:
        now = bins_of_spans(spans, level, chunks)
    else:
        now = sums_of(spans, level, recipe.names(currency), chunks)
    late: list[LateSums] = await _between(reader, LATE, level, "bucket", first, end)
    return contents(spans, now, recipe, currency, late)


async def _between(reader: Reader, table: Table[R], level: int, by: str, first: int, end: int) -> list[R]:
    rows = await reader.select(
        table, Query(where={"level": level}, by=by, at_least=first, below=end, limit=ROWS_MAX + 1)
    )
    if len(rows) > ROWS_MAX:
        raise WindowError("from", f"would read more than {ROWS_MAX:,} rows of {table.name}: ask for a shorter range")
    return rows


async def events(reader: Reader, metric: Metric, currency: str, first_ms: int, end_ms: int) -> list[Point]:
    """Return the events of a metric in `[first_ms, end_ms)`.

    Raises:
        WindowError: when there are more than are answered.
    """
    found: dict[str, JoinedOrder] = {}
    for name in MOMENTS[metric]:
        found |= {row.order_id: row for row in await _joined_by(reader, {}, name, first_ms, end_ms)}
    return [
        point for row in found.values() for point in points(row, metric, currency) if first_ms <= point.at_ms < end_ms
    ]


async def placed(
    reader: Reader, first_ms: int, end_ms: int, gap_ms: int, user_id: str | None
) -> tuple[list[JoinedOrder], int]:
    """Return the orders placed in `[first_ms, end_ms)`, of one user or of all, and how far beyond it was read.

    That is a gap before and behind the range, so that few neighbours remain to be looked for; where this is too much,
    nothing.

    Raises:
        WindowError: when there are more than are answered.
    """
    where = {} if user_id is None else {"user_id": user_id}
    query = Query(where=where, by="created_ms", at_least=first_ms - gap_ms, below=end_ms + gap_ms, limit=MARGIN_MAX + 1)
    rows = await reader.select(JOINED, query)
    if len(rows) <= MARGIN_MAX:
        return rows, gap_ms
    return await _joined_by(reader, where, "created_ms", first_ms, end_ms), 0


async def _joined_by(
    reader: Reader, where: Mapping[str, str], by: str, first_ms: int, end_ms: int
) -> list[JoinedOrder]:
    query = Query(where=where, by=by, at_least=first_ms, below=end_ms, limit=POINTS_MAX + 1)
    rows = await reader.select(JOINED, query)
    if len(rows) > POINTS_MAX:
        raise WindowError("to", f"there are more than {POINTS_MAX:,} events in reach: ask for a shorter range or size")
    return rows


async def activity(
    reader: Reader, user_id: str, inside: Sequence[JoinedOrder], read_from_ms: int, read_to_ms: int, gap_ms: int
) -> list[JoinedOrder]:
    """Return the orders of a user, and all before and after them without a longer silence between them.

    `inside` are those of the range that was read; neighbours are looked for only where they could be beyond it.

    Raises:
        WindowError: when there are more than are answered.
    """
    times = [row.created_ms for row in inside if row.created_ms is not None]
    first_ms, last_ms = min(times), max(times)
    before: list[JoinedOrder] = []
    after: list[JoinedOrder] = []
    if first_ms - gap_ms < read_from_ms:
        before = await _unbroken(reader, user_id, first_ms, gap_ms, forward=False)
    if last_ms + gap_ms >= read_to_ms:
        after = await _unbroken(reader, user_id, last_ms, gap_ms, forward=True)
    return [*before, *inside, *after]


async def _unbroken(reader: Reader, user_id: str, from_ms: int, gap_ms: int, *, forward: bool) -> list[JoinedOrder]:
    """Return the orders that follow one another (back or forth) from a moment on, until a longer silence."""
    found: list[JoinedOrder] = []
    last_ms, after = from_ms, None
    while True:
        if forward:
            query = Query(by="created_ms", at_least=from_ms + 1, after=after, limit=ROWS_AT_ONCE)
        else:
            query = Query(by="created_ms", below=from_ms, after=after, descending=True, limit=ROWS_AT_ONCE)
        page = await _orders_of(reader, user_id, query)
        for row in page:
            assert row.created_ms is not None, "it was found by that"
            if abs(row.created_ms - last_ms) > gap_ms:
                return found
            last_ms = row.created_ms
            found.append(row)
        if len(found) > POINTS_MAX:
            raise WindowError("gap", f"a session has more than {POINTS_MAX:,} events: choose a shorter one")
        if len(page) < ROWS_AT_ONCE:
            return found
        after = (page[-1].created_ms, page[-1].order_id)


async def _orders_of(reader: Reader, user_id: str, query: Query) -> list[JoinedOrder]:
    return await reader.select(JOINED, replace(query, where={"user_id": user_id}))


async def unmatched(reader: Reader, before: datetime, after: tuple[int, str] | None, limit: int) -> list[JoinedOrder]:
    """Return the orders of which something is missing and the first event is not younger, the oldest first."""
    query = Query(by="waiting_since_ms", below=milliseconds(before) + 1, after=after, limit=limit)
    return await reader.select(JOINED, query)


async def digest(reader: Reader) -> dict[str, int]:
    """Return what a version says, in numbers with names: all sums over all time, and every hour's of every series."""
    found: dict[str, int] = {f"total {name}": amount for name, amount in (await totals(reader)).items()}
    found |= {f"cancelled {name}": count for name, count in (await reasons(reader)).items()}
    for name, series in await products(reader, None, ROWS_MAX):
        found |= {f"product {name} {key}": amount for key, amount in series.items()}
    found["joined orders"] = await reader.count(JOINED, {})
    hours: Counter[str] = Counter()
    for chunk in await reader.select(CHUNKS, Query(where={"level": HOUR}, by="start", limit=ROWS_MAX)):
        for name, raw in chunk.series.items():
            numbers = _decode(raw)
            for place, amount in zip(numbers[::2], numbers[1::2], strict=True):
                hours[f"hour {chunk.start + place * HOUR} {name}"] += amount
    return {name: amount for name, amount in {**found, **hours}.items() if amount}


assert SPANS[MINUTE] % HOUR == 0, "an hour's windows never break a record of minutes apart"
