"""What a topic ought to be, and how one that is there differs from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from sagakit.ports import LogUnavailableError

MANAGED = ("cleanup.policy", "retention.ms", "min.insync.replicas", "message.timestamp.type")
"""The settings of a topic that are ours; all others stay as somebody set them."""
FOREVER_MS = -1


class WrongTopicsError(LogUnavailableError):
    """Topics are not as they have to be, or cannot become so. The text names them, and what to do."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic as it ought to be. Records bear the time at which the log took them, by the clock of the brokers."""

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        name: str,
        partitions: int,
        replication: int,
        *,
        keep_seconds: int | None = None,
        compacted: bool = False,
    ) -> Self:
        """Return the spec of a topic that keeps its records for so long, by default for ever.

        A compacted one keeps the newest of each key. With copies, all but one of them have to have a record before it
        counts.
        """
        configs = {
            "cleanup.policy": "compact" if compacted else "delete",
            "retention.ms": str(FOREVER_MS if keep_seconds is None else keep_seconds * 1000),
            "min.insync.replicas": str(max(1, replication - 1)),
            "message.timestamp.type": "LogAppendTime",
        }
        return cls(name, partitions, replication, configs)


@dataclass(frozen=True, slots=True)
class Difference:
    """How one topic differs from what it ought to be."""

    spec: TopicSpec
    missing: bool = False
    partitions: int | None = None
    configs: Mapping[str, str] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """Say it."""
        if self.missing:
            return f"{self.spec.name}: there is no such topic"
        if self.partitions is not None:
            return (
                f"{self.spec.name}: has {self.partitions} partitions instead of {self.spec.partitions}; that is never"
                " changed, because keys would move: set this number for all topics, or make the topic anew"
            )
        told = ", ".join(
            f"{name} is {value or 'not set'} instead of {self.spec.configs[name]}"
            for name, value in self.configs.items()
        )
        return f"{self.spec.name}: {told}"
