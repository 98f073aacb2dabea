"""What stays in memory of what was written and read: a bounded part, however much it was."""

import _sqlite3
import asyncio
import ctypes
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from sagakit.adapters.sqlite import SqliteStore
from sagakit.adapters.sqlite.batches import RECORDS_PER_BATCH_MAX, RECORDS_REMEMBERED, RecentBatches
from sagakit.adapters.sqlite.memory import RECORDS_REMEMBERED_MAX, Memory
from sagakit.ports import Record, Table, Transaction
from sagakit.testing.contracts.things import NOON, Other

MIB = 2**20
BARE = Table("others", Other, "name", (("size",),))
CACHE_KIBIBYTES = 256
RECORDS = 20_000
CHANGED = 3_000
PEAK_BYTES_MAX = 2 * MIB
"""The cache, the statements with their values, and little more; the pages that such a work changes are 20 MiB."""


class Counted(NamedTuple):
    """What SQLite says of its memory, of the whole process."""

    now: Callable[[], int]
    peak: Callable[[int], int]


@pytest.fixture
def counted() -> Counted:
    library = ctypes.CDLL(_sqlite3.__file__)
    try:
        now, peak = library.sqlite3_memory_used, library.sqlite3_memory_highwater
    except AttributeError:
        pytest.skip("this SQLite does not let itself be asked")
    now.restype = peak.restype = ctypes.c_int64
    return Counted(now, peak)


async def test_works_that_share_a_commit_keep_no_copies_of_the_pages_they_change(
    tmp_path: Path, counted: Counted
) -> None:
    store = SqliteStore(tmp_path / "some.db", [BARE], "OFF", cache_kibibytes=CACHE_KIBIBYTES)
    chance = Random(1)
    names = [f"{chance.getrandbits(128):032x}" for _ in range(RECORDS)]
    for first in range(0, RECORDS, 1000):
        await store.transact(saving(names[first : first + 1000], 0))
    before = counted.now()
    if before == 0:
        pytest.skip("this SQLite does not count its memory")
    counted.peak(1)
    await asyncio.gather(*(store.transact(saving(chance.sample(names, CHANGED), size)) for size in (1, 2)))
    peak = counted.peak(0) - before
    await store.close()
    assert peak < PEAK_BYTES_MAX, f"{peak / MIB:.1f} MiB more than before while they wrote"


def saving(names: list[str], size: int) -> Callable[[Transaction], Awaitable[None]]:
    return lambda transaction: transaction.save(BARE, [Other(name, size) for name in names])


def test_of_the_records_written_only_the_last_are_remembered() -> None:
    memory = Memory()
    for first in range(0, 4 * RECORDS_REMEMBERED_MAX, 500):
        written = [Other(f"{number}") for number in range(first, first + 500)]
        memory.learn({}, {BARE.name: {other.name: other for other in written}})
        assert len(memory.records[BARE.name]) <= 2 * RECORDS_REMEMBERED_MAX
        assert memory.records[BARE.name].keys() >= {other.name for other in written}


def test_of_the_batches_read_only_the_last_are_remembered() -> None:
    place, recent = ("orders.events", 0), RecentBatches()
    offsets = range(0, 3 * RECORDS_REMEMBERED, RECORDS_PER_BATCH_MAX)
    for first in offsets:
        size = range(first, first + RECORDS_PER_BATCH_MAX)
        recent.keep(place, [Record(*place, offset, "order-1", b"", b"", NOON) for offset in size])
    known = [first for first in offsets if recent.find(place, first)]
    assert known == [*offsets][-RECORDS_REMEMBERED // RECORDS_PER_BATCH_MAX :]
