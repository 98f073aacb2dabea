"""Processes that start together all find the file, although one of them has to make it."""

import subprocess
import sys
from pathlib import Path

OPENS_MANY = """
import asyncio, sys
from pathlib import Path
from sagakit.adapters.sqlite import SqliteLog

async def main():
    directory = Path(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(40):
        await SqliteLog(directory / f"{number}.db").close()

asyncio.run(main())
"""


def test_processes_that_open_a_new_log_at_the_same_moment_all_succeed(tmp_path: Path) -> None:
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPENS_MANY, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for opener in openers:
        assert opener.stdout is not None
        assert opener.stdout.readline() == "ready\n"
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.write("go\n")
        opener.stdin.flush()
    said = [opener.communicate(timeout=60)[1] for opener in openers]
    assert [opener.returncode for opener in openers] == [0, 0, 0], "\n".join(said)
