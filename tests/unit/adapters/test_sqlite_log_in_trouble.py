"""What happens to a SQLite log that several processes share, or whose disk fails."""

import asyncio
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sagakit.adapters.sqlite import SqliteLog
from sagakit.ports import Draft, LogUnavailableError
from sagakit.testing.contracts.things import draft
from sagakit.testing.contracts.world import LONG_SECONDS, beginnings, everything, texts

PUBLISHES = """
import asyncio, sys
from sagakit.adapters.sqlite import SqliteLog
from sagakit.testing.contracts.things import draft

async def main():
    log, name = SqliteLog(sys.argv[1]), sys.argv[2]
    for number in range(int(sys.argv[3])):
        await log.publish([draft("t", f"{name}-{key}", f"{name} {number}") for key in range(10)])
        print(number, flush=True)
    await log.close()

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
async def log(path: Path) -> AsyncIterator[SqliteLog]:
    opened = SqliteLog(path, busy_seconds=0.05)
    yield opened
    await opened.close()


def publisher(path: Path, name: str, times: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PUBLISHES, path, name, str(times)], stdout=subprocess.PIPE, text=True
    )


async def test_two_processes_publish_in_order_per_key_and_without_a_gap(path: Path) -> None:
    with publisher(path, "a", 150) as first, publisher(path, "b", 150) as second:
        assert first.wait() == second.wait() == 0
        for child in (first, second):
            assert child.stdout is not None
            child.stdout.read()
    log = SqliteLog(path)
    records = await everything(log, "t")
    assert len(records) == 3000
    for name in ("a", "b"):
        for key in range(10):
            mine = [record for record in records if record.key == f"{name}-{key}"]
            assert texts(mine) == [f"{name} {number}" for number in range(150)]
    for partition in range(log.partitions):
        offsets = [record.offset for record in records if record.partition == partition]
        assert offsets == [*range(len(offsets))]
    await log.close()


async def test_a_publisher_killed_amid_commits_loses_nothing_it_acknowledged(path: Path) -> None:
    with publisher(path, "a", 100_000) as child:
        assert child.stdout is not None
        for _ in range(100):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        acknowledged = 100 + sum(line.endswith("\n") for line in child.stdout)
    log = SqliteLog(path)
    for key in range(10):
        mine = texts(record for record in await everything(log, "t") if record.key == f"a-{key}")
        assert mine == [f"a {number}" for number in range(len(mine))]
        assert acknowledged <= len(mine) <= acknowledged + 1
    await log.close()


async def test_a_waiter_is_woken_by_another_process(log: SqliteLog, path: Path) -> None:
    waiting = asyncio.create_task(log.wait(LONG_SECONDS))
    with publisher(path, "a", 1) as child:
        await asyncio.wait_for(waiting, LONG_SECONDS / 2)
        assert child.wait() == 0
        assert child.stdout is not None
        child.stdout.read()
    assert len(await everything(log, "t")) == 10


async def test_what_was_published_between_the_fetch_and_the_wait_wakes_the_waiter(log: SqliteLog, path: Path) -> None:
    elsewhere = SqliteLog(path)
    assert await log.fetch(beginnings(log, "t"), 10) == []
    await elsewhere.publish([draft("t", "k")])
    await asyncio.wait_for(log.wait(LONG_SECONDS), LONG_SECONDS / 2)
    await elsewhere.close()


async def test_a_waiter_who_never_fetches_does_not_spin(log: SqliteLog) -> None:
    await log.publish([draft("t", "k")])
    await log.wait(LONG_SECONDS)
    waiting = asyncio.create_task(log.wait(LONG_SECONDS))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


async def test_a_lock_held_by_another_process_is_said_and_got_over(log: SqliteLog, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LogUnavailableError, match="another process holds the lock"):
        await log.publish([draft("t", "k", "1")])
    assert await log.fetch(beginnings(log, "t"), 10) == []
    other.execute("ROLLBACK")
    other.close()
    await log.publish([draft("t", "k", "2")])
    assert texts(await everything(log, "t")) == ["2"]


async def test_a_failing_disk_is_said_and_got_over(log: SqliteLog, path: Path) -> None:
    await log.publish([draft("t", "k", "before")])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    with pytest.raises(LogUnavailableError, match=f"{path}: disk I/O error"):
        await log.publish([Draft("t", "k", b"{}", b"x" * 1000) for _ in range(1000)])
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    await log.publish([draft("t", "k", "after")])
    assert texts(await everything(log, "t")) == ["before", "after"]


async def test_offsets_stay_whole_when_publications_fail_in_between(log: SqliteLog, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    for number in range(6):
        if number % 2:
            other.execute("BEGIN IMMEDIATE")
        outcome = await asyncio.gather(log.publish([draft("t", "k", str(number))]), return_exceptions=True)
        if number % 2:
            other.execute("ROLLBACK")
            assert isinstance(outcome[0], LogUnavailableError)
    other.close()
    records = await everything(log, "t")
    assert texts(records) == ["0", "2", "4"]
    assert [record.offset for record in records] == [0, 1, 2]
