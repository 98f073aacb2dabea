"""An event log, in memory."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count, takewhile

from sagakit.adapters.memory.membership import Group, MemoryMembership
from sagakit.core.partitioner import fair_shares, partition_of
from sagakit.ports import Clock, Draft, LogUnavailableError, Membership, OffsetOutOfRangeError, Record

Place = tuple[str, int]

PARTITIONS = 4
LEASE_SECONDS = 10.0


@dataclass(slots=True)
class Partition:
    """The records kept, and the offset of the first."""

    first: int = 0
    records: list[Record] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The offset behind the last record."""
        return self.first + len(self.records)


NOTHING = Partition()
"""What a place holds that nothing was published to: only read, never kept."""


@dataclass(slots=True)
class MemoryLogState:
    """What a disk would hold: hand it to a new `MemoryLog`, and that one is the old one after a crash."""

    partitions: int = PARTITIONS
    places: dict[Place, Partition] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    waiters: set[asyncio.Event] = field(default_factory=set)


class MemoryLog:
    """Keeps the promises of `Log`; as durable as the state it was given."""

    def __init__(
        self, clock: Clock, state: MemoryLogState | None = None, *, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        """Go on from the state of another log, or begin with an empty one."""
        self.state = MemoryLogState() if state is None else state
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._turn = count()
        self._closed = False

    @property
    def partitions(self) -> int:
        return self.state.partitions

    async def publish(self, drafts: Sequence[Draft]) -> None:
        self._check_open()
        at, keyless = self._clock.now(), next(self._turn) % self.partitions
        for draft in drafts:
            number = keyless if draft.key is None else partition_of(draft.key, self.partitions)
            kept = self.state.places.setdefault((draft.topic, number), Partition())
            record = Record(draft.topic, number, kept.end, draft.key, bytes(draft.headers), bytes(draft.value), at)
            kept.records.append(record)
        for waiter in self.state.waiters:
            waiter.set()

    async def fetch(self, positions: Mapping[Place, int], limit: int) -> list[Record]:
        self._check_open()
        ahead = [(kept, offset) for place, offset in positions.items() if (kept := self._ahead(place, offset))]
        if not ahead:
            return []
        turn = sum(offset for _, offset in ahead)
        shares = fair_shares([kept.end - offset for kept, offset in ahead], limit, turn)
        return [
            record
            for (kept, offset), share in zip(ahead, shares, strict=True)
            for record in kept.records[offset - kept.first : offset - kept.first + share]
        ]

    async def ends(self, topics: Iterable[str]) -> dict[Place, int]:
        self._check_open()
        places = ((topic, number) for topic in topics for number in range(self.partitions))
        return {place: self.state.places.get(place, NOTHING).end for place in places}

    async def identities(self, topics: Iterable[str]) -> dict[str, str]:
        del topics
        return {}

    def for_reader(self) -> "MemoryLog":
        return self

    async def join(self, group: str, member: str, topics: Iterable[str]) -> Membership:
        del topics
        self._check_open()
        members = self.state.groups.setdefault(group, Group(self.partitions))
        return MemoryMembership(members, member, self._clock, self._lease_seconds)

    async def wait(self, seconds: float) -> None:
        waiter = asyncio.Event()
        self.state.waiters.add(waiter)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(waiter.wait(), seconds)
        finally:
            self.state.waiters.discard(waiter)

    async def prune(self, topic: str, older_than: datetime) -> int:
        self._check_open()
        return sum(_prune(kept, older_than) for (name, _), kept in self.state.places.items() if name == topic)

    async def close(self) -> None:
        self._closed = True
        for waiter in self.state.waiters:
            waiter.set()

    def _ahead(self, place: Place, offset: int) -> Partition | None:
        """Return the partition when it holds records from this offset on."""
        kept = self.state.places.get(place, NOTHING)
        end = kept.end
        if not kept.first <= offset <= end:
            raise OffsetOutOfRangeError(
                f"{place[0]}-{place[1]}: offset {offset} is not in the log, which holds {kept.first} to {end}"
            )
        return kept if offset < end else None

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailableError("the memory log is closed")


def _prune(kept: Partition, older_than: datetime) -> int:
    old = sum(1 for _ in takewhile(lambda record: record.appended_at < older_than, kept.records))
    del kept.records[:old]
    kept.first += old
    return old
