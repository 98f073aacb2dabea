"""What is promised of sagas, over 30 days. The rules hold the same figures: a test compares."""

from dataclasses import dataclass

COMPLETED_SECONDS = 5.0
"""How long a completed saga may take to count as quick; a bound of the histogram."""
PUNCTUAL_SECONDS = 2.0
"""How long after it was due a saga may be asked to abort; a bound of the histogram."""
READ_SECONDS = 5.0
"""How long a record may have waited in the log when it is read."""
READ_INTERVAL_SECONDS = 15
"""How often the rules look whether that is so; minutes are counted by it."""


@dataclass(frozen=True, slots=True)
class Least:
    """How much has to have failed in the long window of an alert: where there are few, a share alone says little."""

    record: str
    number: int

    def asks(self, window: str) -> str:
        """Ask whether it did."""
        return f"{self.record}{window} >= {self.number}"


@dataclass(frozen=True, slots=True)
class Objective:
    """A share that is promised; what is not in it is the budget. `record` is the rule with the share that was not."""

    record: str
    promise: float
    least: Least

    @property
    def budget(self) -> float:
        """The share that may fail."""
        return round(1 - self.promise, 6)

    @property
    def labels(self) -> tuple[str, ...]:
        """What it is kept or missed by: the first part of the name of its rule."""
        return tuple(self.record.partition(":")[0].split("_"))

    def series(self, window: str) -> str:
        """Return the series with the share that failed within a window."""
        return f"{self.record}{window}"


IN_TIME = Objective(
    "cluster_namespace_definition:saga_not_in_time:ratio_rate",
    0.995,
    Least("cluster_namespace_definition:saga_not_in_time:increase", 5),
)
"""Sagas that end completed or compensated, within their deadline and without a person.

One may count four times: its deadline passes, a refund and a release are given up, it is killed. A fifth is more.
"""
QUICK = Objective(
    "cluster_namespace_definition:saga_not_quick:ratio_rate",
    0.99,
    Least("cluster_namespace_definition:saga_not_quick:increase", 3),
)
"""Completed sagas that took no longer than `COMPLETED_SECONDS`.

One may have waited for its customer's bank, and two for one restart: a third is more.
"""
PUNCTUAL = Objective(
    "cluster_namespace_definition:saga_not_punctual:ratio_rate",
    0.999,
    Least("cluster_namespace_definition:saga_not_punctual:increase", 5),
)
"""Requests to abort that came no later than `PUNCTUAL_SECONDS` after the saga was due.

Two may ask the same saga, the order service and the operator, and two sagas may be due in one pause: a fifth is more.
"""
TAKEN_BACK = Objective(
    "cluster_namespace_definition:saga_not_taken_back:ratio_rate",
    0.9999,
    Least("cluster_namespace_definition:saga_not_taken_back:increase", 3),
)
"""Compensations that succeeded before their attempts were used up.

Each that did not has an alert of its own, and one order has two of them, a refund and a release: a third is more.
"""
READ_SOON = Objective(
    "cluster_namespace_loop:saga_not_read_soon:ratio_avg",
    0.99,
    Least("cluster_namespace_loop:saga_not_read_soon:minutes", 5),
)
"""Time during which what a consumer read had waited no longer than `READ_SECONDS`.

A restart, and reading what came meanwhile, takes a minute or two, which is much of a window that has just begun.
"""
OBJECTIVES = (IN_TIME, QUICK, PUNCTUAL, TAKEN_BACK, READ_SOON)
