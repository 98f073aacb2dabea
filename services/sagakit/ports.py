"""What the core and the loops need of the world, as promises; each sentence here is a test of the contract suites.

Two things are asked for: a `Store` (the database a service owns) and a `Log` (where messages travel). Everything a
service keeps, its own rows and the kit's alike, is a record in a declared `Table`, so that no service speaks the
language of one database.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

import msgspec

R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T")


class StoreUnavailableError(Exception):
    """The database cannot be reached, is locked or full. Nothing was written; try again later."""


class StreamMovedError(Exception):
    """Somebody else appended to the stream first. Read it again and decide again."""


class FencedError(Exception):
    """The offsets moved under us: another instance owns the partition. Drop the batch and ask for the assignment."""


class LogUnavailableError(Exception):
    """The log cannot be reached or is full. Nothing is known to be published; publish the same messages again."""


class OffsetOutOfRangeError(Exception):
    """The stored offset is not in the log any more, or not yet. Never skipped silently: a human repairs it."""


class TopicRecreatedError(Exception):
    """The topic is not the one that the stored offset belongs to, only of the same name, or it got other partitions.

    A human repairs it.
    """


@dataclass(frozen=True, slots=True)
class Table(Generic[R]):
    """A kind of record: its key is a text attribute, and each index is a tuple of attributes kept for `select`.

    A record is a value: nobody changes one in place, for the store may have kept it. It is stored whole, as JSON;
    indexed attributes are str, int, float, bool, datetime or None. A `unique` index refuses a second record with the
    same non-null values.
    """

    name: str
    record: type[R]
    key: str
    indexes: tuple[tuple[str, ...], ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """Which records of a table: equal in `where`, within the bounds of one `by` attribute, in its order.

    `at_least` and `below` bound the attribute `by`; records whose `by` is None are never selected when `by` is given.
    `after` is the (`by` value, key) of the last record of the page before: the next page begins behind it. Ties are
    ordered by key, ascending in both directions; without `by`, the order is that of the keys. The attributes named must
    be the first ones of one index of the table: those of `where` in any order, then `by`.
    """

    where: Mapping[str, Any] = field(default_factory=dict)
    by: str | None = None
    descending: bool = False
    at_least: Any = None
    below: Any = None
    after: tuple[Any, str] | None = None
    limit: int = 100

    def check(self, table: Table[Any]) -> None:
        """Raise ValueError when no index of the table serves this query, or there is nothing to be bounded."""
        if self.by is None and (self.at_least is not None or self.below is not None):
            raise ValueError(f"{table.name}: bounds need the attribute they bound, in `by`")
        names = self.where.keys() if self.by is None else {*self.where, self.by}
        for index in ((), *table.indexes, *table.unique):
            if names == set(index[: len(names)]) and self.by in (None, *index[len(names) - 1 : len(names)]):
                return
        raise ValueError(f"{table.name}: no index begins with {', '.join((*self.where, *filter(None, [self.by])))}")


class StoredFact(msgspec.Struct, frozen=True):
    """One fact of a stream: its place, when it was appended, and what it says (JSON, still encoded)."""

    stream: str
    version: int
    at: datetime
    body: msgspec.Raw


class Draft(msgspec.Struct, frozen=True):
    """A record before the log has given it an offset. `key` decides the partition, as Kafka's default partitioner does.

    `headers` is a JSON object, still encoded, whose values are text (or numbers that stand for their text).
    """

    topic: str
    key: str | None
    headers: bytes
    value: bytes


class Record(msgspec.Struct, frozen=True):
    """What the log holds: bytes with a key and headers (as in `Draft`), at one offset of one partition of a topic.

    `appended_at` is when the log took it, by the clock of the log: the same for every reader, at any time.
    """

    topic: str
    partition: int
    offset: int
    key: str | None
    headers: bytes
    value: bytes
    appended_at: datetime


class Reader(Protocol):
    """Reading, within one consistent moment."""

    async def load(self, table: Table[R], keys: Iterable[str]) -> dict[str, R]:
        """Return the records that exist, by key. Inside a transaction they stay as they are until it ends."""

    async def select(self, table: Table[R], query: Query) -> list[R]:
        """Return the records that the query describes, in its order, at most its limit."""

    async def count(self, table: Table[R], where: Mapping[str, Any]) -> int:
        """Return how many records are equal in `where` (all, when it is empty)."""

    async def read(self, stream: str, after: int = 0) -> list[StoredFact]:
        """Return the facts of a stream with a version above `after`, oldest first."""

    async def progress(self, group: str) -> dict[tuple[str, int], int]:
        """Return the next offset to be handled, by (topic, partition); what was never handled is absent."""


class Transaction(Reader, Protocol):
    """Everything in here happens, or none of it; what it wrote, it reads."""

    async def save(self, table: Table[R], records: Iterable[R]) -> None:
        """Write the records, new or over the old ones of the same key.

        Raises:
            DuplicateError: when a unique index refuses one; the transaction must then be left by the exception.
        """

    async def delete(self, table: Table[R], keys: Iterable[str]) -> None:
        """Remove the records of these keys; a missing one is no error."""

    async def claim(self, message_ids: Sequence[str], at: datetime) -> set[str]:
        """Return those ids that were never claimed before, and claim them; one repeated in the call counts once."""

    async def append(self, stream: str, facts: Sequence[msgspec.Raw], expected: int, at: datetime) -> None:
        """Append facts as versions expected + 1, … of the stream.

        Raises:
            StreamMovedError: when the stream is not at version `expected`; nothing of it was appended.
        """

    async def advance(self, group: str, topic: str, partition: int, expected: int, next_offset: int) -> None:
        """Move the progress from `expected` (0 when it was never set) to `next_offset`.

        Raises:
            FencedError: when the stored progress is not `expected`: somebody else handled this partition meanwhile.
        """

    async def send(self, drafts: Iterable[Draft]) -> None:
        """Leave records in the outbox, in this order; the relay publishes them at least once, in order per key."""


class DuplicateError(Exception):
    """A unique index already holds these values. `index` and `key` say which; choose other values."""

    def __init__(self, index: tuple[str, ...], key: str) -> None:
        """Name the index and the key of the record that was refused."""
        super().__init__(f"{', '.join(index)} of {key!r} is taken")
        self.index = index
        self.key = key


class OutboxEntry(msgspec.Struct, frozen=True):
    """One record waiting to be published; `position` grows in the order of commits."""

    position: int
    draft: Draft


class Store(Protocol):
    """The database of one service."""

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in a transaction and return its value once it is durable.

        Works of several callers may share one commit; one that raises takes back its own writes only. `work` awaits
        nothing but its transaction, and may be run again.

        Raises:
            StoreUnavailableError: when it cannot be made durable; then nothing of it happened.
        """

    async def view(self, look: Callable[[Reader], Awaitable[T]]) -> T:
        """Run `look` over one consistent moment, without waiting for writers."""

    async def outbox(self, limit: int) -> list[OutboxEntry]:
        """Return the oldest unpublished messages, in the order of their commits."""

    async def published(self, positions: Sequence[int]) -> None:
        """Forget these outbox entries, durably."""

    async def outbox_depth(self) -> int:
        """Return how many messages wait in the outbox."""

    def on_commit(self, wake: Callable[[], None]) -> None:
        """Call `wake` after each commit that left something in the outbox."""

    async def prune(self, claimed_before: datetime) -> int:
        """Forget claims older than that; return how many."""

    async def close(self) -> None:
        """Let go of the database; waits for the works that have begun."""


class Membership(Protocol):
    """One instance's place in a consumer group."""

    async def assignment(self) -> frozenset[int]:
        """Return the partition numbers that are ours now, the same of every topic (range assignment).

        Renews our lease. May change between two calls; a partition is assigned to one live member at most, but a
        paused member may believe in an old assignment: `Transaction.advance` fences it.
        """

    def handled(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Tell those who watch the group's lag how far it has come; nobody reads it back."""

    async def leave(self) -> None:
        """Give our partitions up, so that others need not wait for the lease to end."""


class Log(Protocol):
    """An event log: topics of partitions of records in the order of their offsets."""

    @property
    def partitions(self) -> int:
        """How many partitions each topic has; fixed when the log was created."""

    async def publish(self, drafts: Sequence[Draft]) -> None:
        """Append, in order per key, durably when this returns. When it raises, any part may have been appended.

        Raises:
            LogUnavailableError: when it cannot be known to be durable.
        """

    async def fetch(self, positions: Mapping[tuple[str, int], int], limit: int) -> list[Record]:
        """Return at most `limit` records from these (topic, partition) offsets on, in offset order per partition.

        Returns at once, with nothing when there is nothing. No partition is starved for ever by another.

        Raises:
            OffsetOutOfRangeError: when an offset lies below the first kept or above the end; names which and where.
        """

    async def ends(self, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """Return the offset behind the last record, for every partition of these topics."""

    async def identities(self, topics: Iterable[str]) -> dict[str, str]:
        """Return what tells each topic from a later one of its name; nothing where no topic can be made anew."""

    async def join(self, group: str, member: str, topics: Iterable[str]) -> Membership:
        """Become a member of a consumer group that handles these topics."""

    def for_reader(self) -> "Log":
        """Return this log for one more reader, who fetches from places of its own; it is closed with the whole log."""

    async def wait(self, seconds: float) -> None:
        """Return when something may have been published, or after that time."""

    async def prune(self, topic: str, older_than: datetime) -> int:
        """Drop the records of a topic published before that time, oldest first; return how many."""

    async def close(self) -> None:
        """Let go of the log."""


class Clock(Protocol):
    """Time and chance, so that both can be turned by hand."""

    def now(self) -> datetime:
        """Return the present, aware, in UTC."""

    def chance(self) -> float:
        """Return a number in [0, 1)."""

    async def sleep(self, seconds: float) -> None:
        """Return after that time."""
