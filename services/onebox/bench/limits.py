"""What the machine itself allows: syncs and commits per second, measured in the same run and on the same disk."""

import os
import platform
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

SECONDS = 2.0
ROWS = 500


def machine() -> list[tuple[str, str]]:
    """Return what a reader needs to know of the machine and of the durability in force."""
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    return [
        ("machine", f"{cpu}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"),
        ("python", f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}"),
        ("load before", " ".join(f"{load:.1f}" for load in os.getloadavg())),
        (
            "durability",
            "SQLite WAL, synchronous=FULL: every commit waits for fdatasync; analytics views: synchronous=NORMAL",
        ),
    ]


def limits(directory: Path) -> list[tuple[str, str]]:
    """Measure the disk's own limits in that directory; each takes a few seconds."""
    return [
        ("fdatasync of 4 kB", f"{_rate(_syncs(directory)):,.0f}/s"),
        ("commits of one row", f"{_rate(_commits(directory, 1)):,.0f}/s"),
        (f"commits of {ROWS} rows", f"{_rate(_commits(directory, ROWS)):,.0f}/s"),
    ]


def _rate(work: Callable[[], None]) -> float:
    """Return how often per second the work can be done."""
    work()
    began, times = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < SECONDS:
        work()
        times += 1
    return times / passed


def _syncs(directory: Path) -> Callable[[], None]:
    file = os.open(directory / "limit.bin", os.O_CREAT | os.O_WRONLY)
    page = os.urandom(4096)

    def work() -> None:
        os.write(file, page)
        os.fdatasync(file)

    return work


def _commits(directory: Path, rows: int) -> Callable[[], None]:
    connection = sqlite3.connect(directory / f"limit-{rows}.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS limits (id INTEGER PRIMARY KEY, doc BLOB)")
    doc = os.urandom(300)

    def work() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO limits (doc) VALUES (?)", [(doc,)] * rows)
        connection.execute("COMMIT")

    return work


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
