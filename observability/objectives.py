"""What is promised of sagas, over 30 days. `rules/objectives.yaml` holds the same figures: a test compares."""

from dataclasses import dataclass

COMPLETED_SECONDS = 5.0
"""How long a completed saga may take to count as quick; a bound of the histogram."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A share that is promised; what is not in it is the budget. `record` is the rule with the share that was not."""

    record: str
    promise: float

    @property
    def budget(self) -> float:
        """The share that may fail."""
        return round(1 - self.promise, 6)

    def series(self, window: str) -> str:
        """Return the series with the share that failed within a window."""
        return f"{self.record}{window}"


IN_TIME = Objective("namespace_definition:saga_not_in_time:ratio_rate", 0.995)
"""Sagas that end completed or compensated, within their deadline and without a person."""
QUICK = Objective("namespace_definition:saga_not_quick:ratio_rate", 0.99)
"""Completed sagas that took no longer than `COMPLETED_SECONDS`."""
