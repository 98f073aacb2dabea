"""Real processes that count a log, ended by SIGKILL or held up anywhere: every number is as if nothing had been."""

import asyncio
import multiprocessing
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, closing
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.analytics.kill.driver import NEXT_VERSION, STOP_VARIABLE, VERSION, catch_up, catch_up_alone, rebuild, told
from tests.analytics.kill.tables import Rows, differences, high_values_of, rows_of

from analytics_service.files import FileStores
from analytics_service.settings import AnalyticsSettings
from analytics_service.wiring import TABLES
from onebox.bench.events import Traffic, write
from onebox.recount.verification import Books, recounted
from sagakit.adapters.sqlite import SqliteLog, SqliteStore
from sagakit.adapters.sqlite.log import PARTITIONS
from sagakit.runtime.failpoints import VARIABLE

SEED = 20261125
EVENTS = 50_000
KILLS_AT_RANDOM = 5
SECONDS_MAX = 60.0
STOPPED = "T"
TRAFFIC = Traffic(
    seed=SEED,
    events=EVENTS,
    orders_per_second=50,
    shipping_succeeds=0.9,
    doubled=0.02,
    late=0.03,
    late_seconds_max=200,
    publish_seconds=0.25,
)
"""Over more than three minutes, so that what gets into the log up to 200 s late is late by the rule of 60 s in part."""
BEGINNING = ("views.before_first:1", "views.after_first:1")
REBUILDING = tuple(f"rebuild.{place}:1" for place in ("before_target", "after_target", "before_swap", "after_swap"))
CONSUMING = ("consumer.before_commit", "consumer.within", "consumer.after_commit")

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.analytics.kill.driver"])


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log, and the views that one process made of it."""
    directory = tmp_path_factory.mktemp("undisturbed")
    asyncio.run(write(TRAFFIC, directory / "log.db"))
    ended(born(catch_up_alone, directory, {}))
    return directory


@pytest.fixture(scope="session")
def expected(undisturbed: Path) -> Rows:
    rows = asyncio.run(rows_of(undisturbed, VERSION))
    lanes = rows["lanes"].values()
    assert sum(lane["events"] for lane in lanes) == EVENTS
    assert sum(lane["late"] for lane in lanes) > EVENTS // 200, "something was late"
    assert sum(lane["duplicates"] for lane in lanes) > EVENTS // 100, "something came twice"
    assert all(rows.values()), "every table says something"
    return rows


@pytest.fixture(scope="session")
def high_values(undisturbed: Path) -> Rows:
    rows = asyncio.run(high_values_of(undisturbed))
    assert len(rows["high_values"]) == len(rows["outbox"]) > 100
    return rows


@pytest.fixture
def directory(undisturbed: Path, tmp_path: Path) -> Path:
    """A place with the log alone."""
    shutil.copyfile(undisturbed / "log.db", tmp_path / "log.db")
    return tmp_path


def test_whoever_is_killed_at_any_moment_has_counted_each_event_once(
    directory: Path, expected: Rows, high_values: Rows
) -> None:
    random = Random(SEED)
    pauses = [random.random() * 0.2 for _ in range(KILLS_AT_RANDOM)]
    print(f"seed {SEED}: killed {', '.join(f'{pause:.3f}' for pause in pauses)} s after it went on")  # noqa: T201 - to be repeated
    killed = handled = 0
    for pause in pauses:
        process = born(catch_up_alone, directory, {})
        handled = until_it_goes_on(directory, process, handled)
        process.join(pause)
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
    assert killed > KILLS_AT_RANDOM // 2
    ended(born(catch_up_alone, directory, {}))
    compare(directory, VERSION, expected)
    told = differences(high_values, asyncio.run(high_values_of(directory)))
    assert not told, "\n".join(told)


@pytest.mark.parametrize("place", CONSUMING)
def test_whoever_is_killed_at_a_named_place_has_counted_each_event_once(
    place: str, directory: Path, expected: Rows, high_values: Rows
) -> None:
    for passes in (1, 3, 10):
        process = born(catch_up_alone, directory, {VARIABLE: f"{place}:{passes}"})
        process.join()
        assert process.exitcode == -signal.SIGKILL, f"{place}:{passes} ended with {process.exitcode}"
    ended(born(catch_up_alone, directory, {}))
    compare(directory, VERSION, expected)
    told = differences(high_values, asyncio.run(high_values_of(directory)))
    assert not told, "\n".join(told)


def test_whoever_was_held_up_while_another_took_its_partitions_is_fenced(directory: Path, expected: Rows) -> None:
    held_up = born(catch_up, directory, "held-up", {STOP_VARIABLE: "consumer.before_commit:10"})
    until(lambda: state(held_up) == STOPPED, "it stops in mid-batch")
    handled = events_handled(directory)
    other = born(catch_up, directory, "other", {})
    until(lambda: events_handled(directory) > handled, "the other one goes on where it was")
    go_on(held_up)
    ended(other)
    ended(held_up)
    assert told(directory, "held-up")["fenced"] >= 1
    compare(directory, VERSION, expected)


def test_whoever_was_held_up_in_its_transaction_ends_it_before_the_other_one_begins(
    directory: Path, expected: Rows
) -> None:
    other = born(catch_up, directory, "other", {})
    until(lambda: holders(directory) == {"analytics-other"}, "the other one takes the partitions")
    held_up = born(catch_up, directory, "held-up", {STOP_VARIABLE: "consumer.within:3"})
    until(lambda: state(held_up) == STOPPED, "it stops while it has the file")
    handled = events_handled(directory)
    until(lambda: holders(directory) == {"analytics-other"}, "the other one takes the partitions back")
    assert events_handled(directory) == handled
    go_on(held_up)
    ended(other)
    ended(held_up)
    compare(directory, VERSION, expected)


async def test_what_is_counted_here_is_what_duckdb_counts_from_the_raw_events(
    undisturbed: Path, expected: Rows
) -> None:
    """All the others compare with the same rows, so it is enough to look at these."""
    async with AsyncExitStack() as stack:
        log = SqliteLog(undisturbed / "log.db", PARTITIONS)
        views = FileStores(undisturbed).open(VERSION)
        catalogue = SqliteStore(undisturbed / "analytics.db", TABLES)
        for opened in (log, views, catalogue):
            stack.push_async_callback(opened.close)
        thresholds = AnalyticsSettings().thresholds()
        books = Books(version=VERSION, views=views, catalogue=catalogue, log=log, thresholds=thresholds)
        verdict = await recounted(books, limit=10)
    assert verdict.equal, verdict.differences
    assert verdict.events == EVENTS


def test_two_that_share_the_partitions_count_each_event_once(directory: Path, expected: Rows) -> None:
    one = born(catch_up, directory, "one", {})
    until(lambda: holders(directory) == {"analytics-one"}, "the first one takes the partitions")
    two = born(catch_up, directory, "two", {})
    ended(one)
    ended(two)
    assert told(directory, "one")["messages"] > 0
    assert told(directory, "two")["messages"] > 0
    compare(directory, VERSION, expected)


def test_a_version_whose_builder_is_killed_again_and_again_goes_live_and_says_the_same(
    undisturbed: Path, tmp_path: Path, expected: Rows
) -> None:
    directory = tmp_path / "views"
    shutil.copytree(undisturbed, directory)
    for place in (*BEGINNING, *(f"{name}:7" for name in CONSUMING), *REBUILDING):
        process = born(rebuild, directory, {VARIABLE: place})
        process.join()
        assert process.exitcode == -signal.SIGKILL, f"{place} ended with {process.exitcode}"
    ended(born(rebuild, directory, {}))
    compare(directory, NEXT_VERSION, expected)
    compare(directory, VERSION, expected)


def test_rows_that_were_tampered_with_are_seen(expected: Rows) -> None:
    for table, rows in expected.items():
        key = next(iter(rows))
        lost = {**expected, table: {other: rows[other] for other in rows if other != key}}
        changed = {**expected, table: {**rows, key: {**rows[key], "partition": -1}}}
        more = {**expected, table: {**rows, "nobody": rows[key]}}
        assert all(differences(expected, found) for found in (lost, changed, more)), table
    assert not differences(expected, expected)


def born(target: Callable[..., None], directory: Path, *arguments: str | Mapping[str, str]) -> BaseProcess:
    process = FORKS.Process(target=target, args=(str(directory), *arguments))
    process.start()
    return process


def ended(process: BaseProcess) -> None:
    process.join(SECONDS_MAX)
    assert process.exitcode == 0, f"{process} ended with {process.exitcode}"


def go_on(process: BaseProcess) -> None:
    assert process.pid is not None, "it was started"
    os.kill(process.pid, signal.SIGCONT)


def state(process: BaseProcess) -> str:
    """Return the kernel's letter for what the process does."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def holders(directory: Path) -> set[str]:
    return {member for (member,) in look(directory / "log.db", "SELECT DISTINCT member FROM kit_holders")}


def events_handled(directory: Path) -> int:
    ((handled,),) = look(
        directory / f"analytics-{VERSION}.db", "SELECT coalesce(sum(next_offset), 0) FROM kit_progress"
    )
    return int(handled)


def until_it_goes_on(directory: Path, process: BaseProcess, handled: int) -> int:
    """Return how much is handled, once that is more than it was, or the process has ended."""
    views = directory / f"analytics-{VERSION}.db"
    until(lambda: views.exists() or not process.is_alive(), "the views have a file")
    until(lambda: has_progress(views) or not process.is_alive(), "the file has its tables")
    until(lambda: events_handled(directory) > handled or not process.is_alive(), "it goes on where it was")
    return events_handled(directory)


def has_progress(views: Path) -> bool:
    return bool(look(views, "SELECT 1 FROM sqlite_master WHERE name = 'kit_progress'"))


def look(file: Path, question: str) -> list[tuple[Any, ...]]:
    """Look beside the processes, which may stand still with the file in their hands."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(question).fetchall()


def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + SECONDS_MAX
    while not true():
        assert time.monotonic() < end, f"in vain until {what}"
        time.sleep(0.005)  # looking all the time would take the processes their cores


def compare(directory: Path, version: int, expected: Rows) -> None:
    told = differences(expected, asyncio.run(rows_of(directory, version)))
    assert not told, "\n".join(told)
