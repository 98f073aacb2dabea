"""Whether a small difference is one: medians of short rounds, in each of which everything is measured once.

A machine is faster in one minute than in the next, and by more than what is looked for; so only what ran in the same
round is compared.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

SURE = 0.95
ROUNDS_MIN = 6
"""Below that not even all rounds together hold the median in so many cases: with five, in 1 - 2/2**5 = 94 %."""


@dataclass(frozen=True, slots=True)
class Change:
    """By which share something costs more than what it is compared with, in each round."""

    rounds: tuple[float, ...]

    @classmethod
    def of(cls, costs: Iterable[float], beside: Iterable[float]) -> "Change":
        """Compare what the same rounds cost."""
        return cls(tuple(cost / other - 1 for cost, other in zip(costs, beside, strict=True)))

    @property
    def median(self) -> float:
        """The share in the middle."""
        return median(self.rounds)

    @property
    def range(self) -> tuple[float, float]:
        """The least and the greatest share of a round."""
        return min(self.rounds), max(self.rounds)

    @property
    def spread(self) -> tuple[float, float]:
        """Between which shares the median of very many rounds lies in 95 of 100 cases, however shares are spread."""
        return spread(self.rounds)

    def verdict(self, bar: float) -> str:
        """Tell whether it costs at most so much more; a spread that is wider than that, or on both sides, tells not."""
        low, high = self.spread
        if len(self.rounds) < ROUNDS_MIN or high - low > bar or low <= bar < high:
            return "not decided"
        return "reached" if high <= bar else "missed"


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return the narrowest pair of values, as far from either end, that holds the median in 95 of 100 cases.

    Each value is below the median as often as above: so how many are below is told by a fair coin, and nothing else.
    """
    ordered = sorted(values)
    left_out = 0
    while 2 * (left_out + 1) < len(ordered) and _sure(len(ordered), left_out + 1) >= SURE:
        left_out += 1
    return ordered[left_out], ordered[-1 - left_out]


def _sure(count: int, left_out: int) -> float:
    """Return how often the median lies within, when so many values are left out at either end."""
    beyond = sum(comb(count, below) for below in range(left_out + 1))
    return float(1 - 2 * beyond / 2**count)
