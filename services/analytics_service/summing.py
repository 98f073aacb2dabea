"""How a tally becomes rows: what is stored is read, added to, and written back, all in the caller's transaction."""

import enum
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

import msgspec

from analytics_service.series import LEVELS, MINUTE, SECOND, SPANS, open_end
from analytics_service.tables import (
    CHUNKS,
    LATE,
    PRODUCTS,
    REASONS,
    TOTALS,
    USERS,
    Chunk,
    LateSums,
    Series,
    Sums,
)
from analytics_service.tally import Tally
from sagakit.ports import Table, Transaction

ALL = "all"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[int]).decode


class Part(enum.StrEnum):
    """What is kept beside the joined orders; the bench measures each by itself."""

    TOTALS = "totals"
    PRODUCTS = "products"
    USERS = "users"
    WINDOWS = "windows"


EVERY_PART = frozenset(Part)


async def write(transaction: Transaction, partition: int, tally: Tally, parts: AbstractSet[Part] = EVERY_PART) -> None:
    """Add a tally to the rows of its partition."""
    if Part.TOTALS in parts:
        await _write_sums(transaction, TOTALS, partition, {ALL: tally.ever} if tally.ever else {})
        await _write_sums(transaction, REASONS, partition, {name: {"orders": n} for name, n in tally.reasons.items()})
    if Part.PRODUCTS in parts:
        await _write_sums(transaction, PRODUCTS, partition, tally.products)
    if Part.USERS in parts:
        await _write_sums(transaction, USERS, partition, tally.users)
    if Part.WINDOWS in parts:
        await _write_windows(transaction, partition, tally)


async def _write_windows(transaction: Transaction, partition: int, tally: Tally) -> None:
    on: Mapping[tuple[int, str], int] = tally.on
    for level in LEVELS:
        on = on if level == SECOND else _coarser(on, level)
        if level == MINUTE:
            on = {**on, **tally.durations}
        await _write_chunks(transaction, level, partition, on)
        await _write_late(transaction, level, partition, tally)


def chunk_key(level: int, partition: int, start: int) -> str:
    """Return the key of a row that begins at this second."""
    return f"{level}/{partition}/{start}"


def _coarser(on: Mapping[tuple[int, str], int], level: int) -> Counter[tuple[int, str]]:
    sums: Counter[tuple[int, str]] = Counter()
    for (bucket, series), amount in on.items():
        sums[bucket // level * level, series] += amount
    return sums


async def _write_chunks(
    transaction: Transaction, level: int, partition: int, on: Mapping[tuple[int, str], int]
) -> None:
    span = SPANS[level]
    by_start: defaultdict[int, defaultdict[str, list[tuple[int, int]]]] = defaultdict(_additions)
    for (bucket, name), amount in on.items():
        place = bucket % span
        by_start[bucket - place][name].append((place // level, amount))
    keys = {start: chunk_key(level, partition, start) for start in by_start}
    known = await transaction.load(CHUNKS, keys.values())
    changed: list[Chunk] = []
    for start, additions in by_start.items():
        key = keys[start]
        chunk = known.get(key)
        series = dict(chunk.series) if chunk else {}
        for name, added in additions.items():
            numbers = _decode(series[name]) if name in series else []
            series[name] = msgspec.Raw(_encode(with_additions(numbers, added)))
        changed.append(Chunk(key=key, level=level, partition=partition, start=start, series=series))
    await transaction.save(CHUNKS, changed)


def _additions() -> defaultdict[str, list[tuple[int, int]]]:
    return defaultdict(list)


def with_additions(numbers: list[int], additions: Iterable[tuple[int, int]]) -> list[int]:
    """Return places and numbers (as `Chunk` has them) after adding to some places; time mostly goes forward."""
    for place, amount in additions:
        if not numbers or numbers[-2] < place:
            numbers += (place, amount)
        elif numbers[-2] == place:
            numbers[-1] += amount
        else:
            at = bisect_left(range(0, len(numbers), 2), place, key=numbers.__getitem__) * 2
            if numbers[at] == place:
                numbers[at + 1] += amount
            else:
                numbers[at:at] = (place, amount)
    return numbers


async def _write_late(transaction: Transaction, level: int, partition: int, tally: Tally) -> None:
    """Keep apart what came late for this level: what came before its bucket closed is late for finer ones only."""
    by_key: dict[str, tuple[int, int, Counter[str]]] = {}
    for (second, closed), sums in tally.late.items():
        bucket, end = second // level * level, open_end(level, closed)
        if end > bucket + level:
            key = f"{chunk_key(level, partition, bucket)}/{end}"
            by_key.setdefault(key, (bucket, end, Counter()))[2].update(sums)
    known = await transaction.load(LATE, by_key)
    await transaction.save(
        LATE,
        [
            LateSums(
                key=key,
                level=level,
                partition=partition,
                bucket=bucket,
                open_end=end,
                series=added(known[key].series if key in known else {}, sums),
            )
            for key, (bucket, end, sums) in by_key.items()
        ],
    )


async def _write_sums(
    transaction: Transaction, table: Table[Sums], partition: int, sums: Mapping[str, Mapping[str, int]]
) -> None:
    known = await transaction.load(table, [sums_key(name, partition) for name in sums])
    changed: list[Sums] = []
    for name, new in sums.items():
        key = sums_key(name, partition)
        series = added(known[key].series if key in known else {}, new)
        changed.append(Sums(key=key, partition=partition, name=name, series=series))
    await transaction.save(table, changed)


def sums_key(name: str, partition: int) -> str:
    """Return the key of the sums of something in one partition."""
    return f"{partition}/{name}"


def added(old: Mapping[str, int], new: Mapping[str, int]) -> Series:
    """Return the sums of both."""
    sums = dict(old)
    for name, amount in new.items():
        sums[name] = sums.get(name, 0) + amount
    return sums


def merged(rows: Iterable[Sums]) -> dict[str, Series]:
    """Return the sums of all partitions, by name."""
    found: dict[str, Series] = {}
    for row in rows:
        found[row.name] = added(found.get(row.name, {}), row.series)
    return found
