"""A difference that is smaller than what a machine does by itself is no result, and the bench says so."""

import random
from statistics import median

import pytest

from onebox.bench.paired import Change, spread
from onebox.bench.seeing import Used, Variant, told
from onebox.bench.switched import Seeing

CALM = (0.010, 0.012, 0.011, 0.013, 0.009, 0.012, 0.010, 0.011, 0.014)


def used(seconds: float, looking: float = 0.0) -> Used:
    return Used({"order": seconds / 2, "payment": seconds / 2}, looking, {"postgres": 0.0004}, {}, 500, 0.1)


def test_what_a_slow_minute_costs_both_is_no_difference() -> None:
    slow = (1.0, 1.3, 0.9, 1.7, 1.0, 1.1)
    assert Change.of([1.02 * its for its in slow], slow).rounds == pytest.approx([0.02] * 6)


def test_of_nine_rounds_the_outermost_on_either_side_say_nothing_of_the_median() -> None:
    assert spread([9, 1, 2, 8, 3, 7, 4, 6, 5]) == (2, 8)


def test_of_six_rounds_every_one_is_needed() -> None:
    assert spread([3, 1, 2, 6, 5, 4]) == (1, 6)


@pytest.mark.parametrize("rounds", [6, 9, 20, 51])
def test_the_median_lies_within_the_spread_in_95_of_100_cases(rounds: int) -> None:
    luck = random.Random(rounds)
    found = [spread([luck.expovariate(1.0) for _ in range(rounds)]) for _ in range(4000)]
    within = sum(low <= 0.6931 <= high for low, high in found) / len(found)
    assert 0.94 <= within <= 0.985


@pytest.mark.parametrize(
    ("changes", "bar", "verdict"),
    [
        (CALM, 0.03, "reached"),
        ([change + 0.03 for change in CALM], 0.03, "missed"),
        ([change + 0.02 for change in CALM], 0.03, "not decided"),
        ([0.0, 0.025, -0.02, 0.02, -0.03, 0.01, -0.01, 0.029, -0.025], 0.03, "not decided"),
        (CALM[:5], 0.03, "not decided"),
    ],
    ids=["below", "above", "on both sides", "wider than the bar", "too few rounds"],
)
def test_a_bar_is_reached_or_missed_only_when_the_spread_tells_so(
    changes: list[float], bar: float, verdict: str
) -> None:
    assert Change(tuple(changes)).verdict(bar) == verdict


def test_each_variant_is_told_beside_the_first_with_servers_apart() -> None:
    variants = [Variant("none traced", Seeing()), Variant("100 % traced", Seeing(traced=1.0), 0.35)]
    slow = (1.0, 1.3, 0.9, 1.7, 1.0, 1.1)
    rounds = [{"none traced": used(0.001 * its), "100 % traced": used(0.0012 * its, 0.0003)} for its in slow]
    lines = told(variants, rounds)
    assert lines[0] == (
        "CPU seconds of our processes for 1,000 sagas, none traced",
        f"{median(slow):.3f} (0.900 to 1.700)",
        "what the others are compared with",
    )
    assert (
        "  beside none traced, median of 6 rounds",
        "+20.0%, with 95 % between +20.0% and +20.0%",
        "at most +35%: reached",
    ) in lines
    assert lines.count(("  apart: postgres", "0.400", "")) == 2
    clocked = [line for line in lines if line[0].endswith("by their own clock")]
    assert [line[1] for line in clocked] == ["0.00% (0.00% to 0.00%)", "23.86% (14.71% to 27.78%)"]
