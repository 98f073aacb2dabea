"""What one batch adds to the counts, collected in memory, so that each row is written once. No IO."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from ddsketch.mapping import LogarithmicMapping

from analytics_service.series import DURATION, MINUTE, by_mode, of_currency

RELATIVE_ACCURACY = 0.01
MAPPING = LogarithmicMapping(RELATIVE_ACCURACY)
"""DDSketch (Masson, Rim and Lee, 2019): which bin a value falls into; bins add up, so sketches merge without loss."""
NO_TIME = -(2**31)
"""The bin of a duration of zero or less, which has no logarithm."""

Late = tuple[int, int]
"""The second of an event, and the last second that was closed when it came."""


@dataclass(slots=True)
class Tally:
    """Sums of one partition. `on` are the sums per second, late or not; `late` repeats those that came late.

    `durations` are the sums of the bins per minute: there are too many of them for seconds.
    """

    ever: Counter[str] = field(default_factory=Counter)
    on: Counter[tuple[int, str]] = field(default_factory=Counter)
    late: defaultdict[Late, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    durations: Counter[tuple[int, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    products: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    users: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, series: str, at_ms: int, closed_ms: int, amount: int = 1) -> None:
        """Add to a series at the time of an event; `closed_ms` says what was closed when it came."""
        second = at_ms // 1000
        self.on[second, series] += amount
        self.ever[series] += amount
        if closed_ms >= second * 1000 + 1000:
            self.late[second, closed_ms // 1000][series] += amount

    def money(self, what: str, count: str, currency: str, at_ms: int, closed_ms: int, amount_minor: int) -> None:
        """Add an amount, and that there was one."""
        self.add(of_currency(what, currency), at_ms, closed_ms, amount_minor)
        self.add(of_currency(count, currency), at_ms, closed_ms)

    def mode(self, series: str, mode: str) -> None:
        """Count for a mode of coordination, over all time."""
        self.ever[by_mode(series, mode)] += 1

    def duration(self, at_ms: int, closed_ms: int, duration_ms: int) -> None:
        """Add how long a saga took that ended at this time."""
        name = bin_name(bin_of(duration_ms))
        second = at_ms // 1000
        self.ever[name] += 1
        self.durations[second // MINUTE * MINUTE, name] += 1
        if closed_ms >= second * 1000 + 1000:
            self.late[second, closed_ms // 1000][name] += 1


def bin_name(key: int) -> str:
    """Return the name of the series that counts the durations of one bin."""
    return f"{DURATION}:{key}"


def bin_of(duration_ms: int) -> int:
    """Return the bin of a duration."""
    return MAPPING.key(duration_ms) if duration_ms > 0 else NO_TIME
