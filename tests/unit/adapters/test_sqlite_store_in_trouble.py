"""What happens to a SQLite store when the process, the disk or a neighbour misbehaves."""

import asyncio
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from sagakit.adapters.sqlite import SqliteStore
from sagakit.ports import Query, StoreUnavailableError, Transaction
from sagakit.testing.contracts import TABLES
from sagakit.testing.contracts.things import NOON, THINGS, Thing, bodies, draft, fact, keys, save, stored

BULKY = msgspec.Raw(b'"' + b"x" * 2000 + b'"')

SAVES_UNTIL_KILLED = """
import asyncio, sys
from sagakit.adapters.sqlite import SqliteStore
from sagakit.testing.contracts import TABLES
from sagakit.testing.contracts.things import NOON, THINGS, Thing, draft, fact

async def saves(store, caller):
    for number in range(100_000):
        key = f"{caller}-{number}"
        async def work(transaction):
            await transaction.save(THINGS, [Thing(key)])
            await transaction.append(str(caller), [fact(key)], number, NOON)
            await transaction.send([draft("t", key, key)])
        await store.transact(work)
        print(key, flush=True)

async def main():
    store = SqliteStore(sys.argv[1], TABLES)
    await asyncio.gather(*(saves(store, caller) for caller in range(5)))

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(path, TABLES, busy_seconds=0.05)
    yield opened
    await opened.close()


async def test_a_process_killed_amid_commits_loses_nothing_it_acknowledged(path: Path) -> None:
    acknowledged = saved_until_killed(path)
    store = SqliteStore(path, TABLES)
    found = set(await keys(store, Query(limit=1_000_000)))
    assert acknowledged <= found
    streams = [await store.view(lambda reader, c=c: bodies(reader, str(c))) for c in range(5)]  # type: ignore[misc]
    assert {text for stream in streams for _, text in stream} == found
    sent = [entry.draft.key for entry in await store.outbox(1_000_000)]
    assert len(sent) == len(found)
    assert set(sent) == found
    await store.close()


async def test_a_full_disk_is_said_and_got_over(store: SqliteStore, path: Path) -> None:
    await save(store, Thing("before"))
    with no_more_pages(store), pytest.raises(StoreUnavailableError, match="full; make room") as caught:
        await save(store, *(Thing(str(number), raw=BULKY) for number in range(50)))
    assert str(path) in str(caught.value)
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    await save(store, Thing("after"))
    assert await keys(store, Query()) == ["after", "before"]


async def test_a_write_that_fails_at_the_commit_takes_everything_back(store: SqliteStore) -> None:
    await store.transact(lambda transaction: transaction.append("s", [fact("before")], 0, NOON))

    async def work(transaction: Transaction) -> None:
        await transaction.save(THINGS, [Thing(str(number), raw=BULKY) for number in range(100)])
        await transaction.append("s", [fact("lost")], 1, NOON)
        await transaction.send([draft("t", "k", "lost")])

    with files_no_longer_than(100_000):
        works = await asyncio.gather(store.transact(work), save(store, Thing("too")), return_exceptions=True)
    assert [type(error) for error in works] == [StoreUnavailableError] * 2
    assert "disk I/O error" in str(works[0])
    assert await keys(store, Query()) == []
    assert await store.outbox_depth() == 0
    await store.transact(lambda transaction: transaction.append("s", [fact("after")], 1, NOON))
    assert await store.view(lambda reader: bodies(reader, "s")) == [(1, "before"), (2, "after")]


async def test_a_lock_held_by_another_process_is_said_and_got_over(store: SqliteStore, path: Path) -> None:
    with locked(path):
        with pytest.raises(StoreUnavailableError, match="database is locked; another process holds the lock"):
            await save(store, Thing("a"))
        assert await stored(store, "a") == {}
    await save(store, Thing("b"))
    assert await keys(store, Query()) == ["b"]


async def test_the_event_loop_goes_on_while_a_lock_is_waited_for(path: Path) -> None:
    store = SqliteStore(path, TABLES, busy_seconds=30)
    with locked(path):
        waiting = asyncio.create_task(save(store, Thing("a")))
        for _ in range(100):
            assert await stored(store, "a") == {}
            await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 30)
    assert list(await stored(store, "a")) == ["a"]
    await store.close()


async def test_what_another_process_appended_is_seen(store: SqliteStore, path: Path) -> None:
    other = SqliteStore(path, TABLES)
    for version, one in enumerate((store, other, store, store, other)):
        await one.transact(lambda transaction, v=version: transaction.append("s", [fact("x")], v, NOON))  # type: ignore[misc]
    await other.close()


async def test_what_another_process_sent_is_relayed(store: SqliteStore, path: Path) -> None:
    other = SqliteStore(path, TABLES)
    for number, one in enumerate((store, other, store, other)):
        await one.transact(lambda transaction, n=number: transaction.send([draft("t", "k", str(n))]))  # type: ignore[misc]
    entries = await store.outbox(10)
    assert [msgspec.json.decode(entry.draft.value)["text"] for entry in entries] == ["0", "1", "2", "3"]
    await other.close()


async def test_a_work_that_waits_for_something_else_is_refused(store: SqliteStore) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.save(THINGS, [Thing("a")])
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="something other than its transaction"):
        await store.transact(work)
    assert await keys(store, Query()) == []


async def test_a_caller_that_goes_away_takes_nothing_of_the_others_with_it(store: SqliteStore) -> None:
    works = [asyncio.create_task(save(store, Thing(str(number)))) for number in range(10)]
    await asyncio.sleep(0)
    works[3].cancel()
    await asyncio.gather(*works, return_exceptions=True)
    assert {str(number) for number in range(10) if number != 3} <= set(await keys(store, Query()))


def saved_until_killed(path: Path) -> set[str]:
    """Run a process that saves and tells what it saved; kill it in the midst of it, and return what it told."""
    with subprocess.Popen([sys.executable, "-c", SAVES_UNTIL_KILLED, path], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told = {child.stdout.readline().strip() for _ in range(300)}
        child.send_signal(signal.SIGKILL)
        return told | {line.strip() for line in child.stdout if line.endswith("\n")}


@contextmanager
def no_more_pages(store: SqliteStore) -> Iterator[None]:
    """Let the file grow no more: to SQLite this is what a full disk is, without filling one."""
    connection = store._writer._connection
    assert connection is not None
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")
    yield
    connection.execute("PRAGMA max_page_count=1000000")


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """Let the kernel refuse to write behind this place of any file, as a broken disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock, as another process in a long transaction does."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()
