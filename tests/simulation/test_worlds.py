"""A thousand troubled days of the shop: each ends with balanced books; together they meet everything that can happen.

SAGAPLANE_SIMULATION_SEEDS=100000 makes it as many; SAGAPLANE_SIMULATION_FIRST begins elsewhere.
"""

import os
import subprocess
import sys
from collections import Counter

import pytest

from onebox.simulation import Report, simulate
from onebox.simulation.coverage import REQUIRED
from sagakit.testing.simulation import NO_FAULTS

CHUNK = 100
FIRST = int(os.environ.get("SAGAPLANE_SIMULATION_FIRST", "0"))
SEEDS = int(os.environ.get("SAGAPLANE_SIMULATION_SEEDS", "1000"))


def day(seed: int) -> Report:
    """Run the world of this seed, and say how to see it again if it ends badly."""
    report = simulate(seed)
    last = "\n".join(report.trace[-20:])
    assert report.violation is None, (
        f"seed {seed}: {report.violation}\nreplay it: make simulate SEED={seed}\nits last words:\n{last}"
    )
    return report


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, CHUNK))
def test_a_hundred_troubled_days_end_with_balanced_books_and_leave_nothing_untried(first: int) -> None:
    seen = Counter[str]()
    for seed in range(first, first + CHUNK):
        seen += day(seed).seen
    missing = [event for event in REQUIRED if not seen[event]]
    assert not missing, f"seeds {first} to {first + CHUNK - 1} never met: {', '.join(missing)}"


def test_on_a_day_without_trouble_nothing_is_ever_retried_or_stuck() -> None:
    seen = Counter[str]()
    for seed in range(20):
        report = simulate(seed, NO_FAULTS)
        assert report.violation is None, f"seed {seed}: {report.violation}"
        seen += report.seen
    assert not {"retried", "stuck", "fenced", "crash"} & seen.keys()


def test_the_same_seed_tells_the_same_story_to_the_letter() -> None:
    assert day(42).trace == day(42).trace
    assert day(42).trace != day(43).trace


def test_a_seed_tells_the_same_story_in_another_process() -> None:
    def told(hash_seed: str) -> bytes:
        command = [sys.executable, "-m", "onebox.simulation", "--seed", "26", "--trace"]
        return subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, check=True
        ).stdout

    story = told("1")
    assert story.decode().splitlines()[: len(day(26).trace)] == day(26).trace
    assert story == told("2")
