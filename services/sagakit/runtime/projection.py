"""How a view is kept: a consumer whose handler also hears where each message stood in the log, and when it got there.

A view's rows and its offsets are one transaction, so a restart counts nothing twice. Reading is aligned in time, so
that what belongs together comes together, also while years of events are caught up with.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from operator import itemgetter
from typing import NamedTuple, Protocol

import msgspec
from typing_extensions import override

from sagakit.core.contracts import UnreadableError
from sagakit.core.messages import Message
from sagakit.ports import Draft, Log, Membership, Record, Transaction
from sagakit.runtime.consumer import Consumer, Handler, Unreadable

Place = tuple[str, int]

BEGINNING = datetime.min.replace(tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)
LANE_RECORDS_MAX = 1000
"""How far each partition of a topic is read ahead."""


class Projection(Handler, Protocol):
    """What one view does with the messages of its topics."""

    async def project(self, transaction: Transaction, heard: Sequence["Heard"], now: datetime) -> None:
        """Fold the messages into the view."""


class Heard(NamedTuple):
    """One message: what it says, decoded by its contract, and the record that it came in."""

    message: Message
    data: msgspec.Struct
    source: Record


class ProjectionConsumer(Consumer):
    """Consumes for a projection. A body that does not fit its contract is as unreadable as bad headers are."""

    _handler: Projection
    _log: "AlignedLog"

    @override
    def _is_behind(self, records: Sequence[Record]) -> bool:
        return self._log.behind or super()._is_behind(records)

    @override
    def _read(self, records: Sequence[Record]) -> tuple[list[Message], list[Record], list[Unreadable]]:
        messages, sources, unreadable = super()._read(records)
        self._bodies: list[msgspec.Struct] = []
        decode, keep = self._contracts.decode, self._bodies.append
        bad: set[int] = set()
        for place, message in enumerate(messages):
            try:
                keep(decode(message))
            except UnreadableError as error:
                unreadable.append(Unreadable(sources[place], str(error)))
                bad.add(place)
        if bad:
            messages = [message for place, message in enumerate(messages) if place not in bad]
            sources = [source for place, source in enumerate(sources) if place not in bad]
        return messages, sources, unreadable

    @override
    async def _hand_over(
        self, transaction: Transaction, messages: Sequence[Message], sources: Sequence[Record], now: datetime
    ) -> None:
        heard = [*map(Heard, messages, self._bodies, sources)]
        await self._handler.project(transaction, heard, now)


@dataclass(slots=True)
class _Lane:
    """What was read ahead of one partition of a topic, up to the offset that is read next.

    The times beside the records never go back, although the clock of a log may: so sorting keeps the order of offsets.
    """

    offset: int
    records: deque[tuple[datetime, Record]] = field(default_factory=deque)
    newest: datetime = BEGINNING

    def read(self, record: Record) -> None:
        """Take one more record."""
        self.newest = max(self.newest, record.appended_at)
        self.records.append((self.newest, record))
        self.offset = record.offset + 1

    def take_until(self, horizon: datetime) -> list[tuple[datetime, Record]]:
        """Hand out the records up to a time."""
        taken = [*takewhile(lambda entry: entry[0] <= horizon, self.records)]
        for _ in taken:
            self.records.popleft()
        return taken


class AlignedLog:
    """A log whose `fetch` returns records in the order in which the log got them, over all partitions and topics.

    Per partition the order stays that of the offsets. Over them it is a best effort: what nobody has read yet may be
    older. Kafka Streams chooses its next record in the same way, by event time (KIP-353).
    """

    def __init__(self, log: Log) -> None:
        """Read from `log`; nothing is read ahead yet."""
        self._inner = log
        self._lanes: dict[Place, _Lane] = {}
        self._ready: deque[Record] = deque()
        self._wanted: dict[Place, int] = {}
        self._until: Mapping[Place, int] | None = None
        self._more = False

    @property
    def partitions(self) -> int:
        """How many partitions each topic has."""
        return self._inner.partitions

    @property
    def behind(self) -> bool:
        """True while more was read than was handed out, or less than there was: there is more to be had at once."""
        return self._more or bool(self._ready) or any(lane.records for lane in self._lanes.values())

    def stop_at(self, until: Mapping[Place, int] | None) -> None:
        """Return nothing at or beyond these offsets from now on; None lifts that."""
        if until != self._until:
            self._until = until
            self._begin({})

    async def fetch(self, positions: Mapping[Place, int], limit: int) -> list[Record]:
        """Return at most `limit` records from these offsets on, the ones that were appended first before the others."""
        if positions != self._wanted:
            self._begin(positions)
        if not self._ready:
            self._ready.extend(await self._next())
        records = [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]
        for record in records:
            self._wanted[record.topic, record.partition] = record.offset + 1
        return records

    async def ends(self, topics: Iterable[str]) -> dict[Place, int]:
        """Return the offset behind the last record, for every partition of these topics."""
        return await self._inner.ends(topics)

    async def identities(self, topics: Iterable[str]) -> dict[str, str]:
        """Return what tells each topic from another one of its name."""
        return await self._inner.identities(topics)

    async def join(self, group: str, member: str, topics: Iterable[str]) -> Membership:
        """Become a member of a consumer group."""
        return await self._inner.join(group, member, topics)

    def for_reader(self) -> "AlignedLog":
        """Whoever reads in this way is the one reader."""
        return self

    async def wait(self, seconds: float) -> None:
        """Return when something may have been published, or after that time."""
        await self._inner.wait(seconds)

    async def publish(self, drafts: Sequence[Draft]) -> None:
        """Whoever reads in this way publishes nothing."""
        raise AssertionError(f"{len(drafts)} records were to be published through a log that only reads")

    async def prune(self, topic: str, older_than: datetime) -> int:
        """Whoever reads in this way drops nothing."""
        raise AssertionError(f"{topic} before {older_than} was to be dropped through a log that only reads")

    async def close(self) -> None:
        """The log is closed by whoever opened it."""

    def _begin(self, positions: Mapping[Place, int]) -> None:
        """Go on from other positions, and forget what was read."""
        self._wanted = dict(positions)
        self._lanes = {place: _Lane(offset) for place, offset in positions.items()}
        self._ready.clear()

    async def _next(self) -> list[Record]:
        """Return what is older than everything that may still be read, in the order of its times."""
        unread = await self._read_ahead()
        horizon = min((self._lanes[place].newest for place in unread if self._lanes[place].records), default=END)
        found = [entry for lane in self._lanes.values() for entry in lane.take_until(horizon)]
        found.sort(key=itemgetter(0))
        return [record for _, record in found]

    async def _read_ahead(self) -> Iterable[Place]:
        """Read where nothing is left; return the partitions that may have more than what was read of them."""
        empty = {p: lane.offset for p, lane in self._lanes.items() if not lane.records and not self._is_over(p)}
        self._more = False
        if not empty:
            return self._lanes
        asked = LANE_RECORDS_MAX * len(empty)
        read = await self._inner.fetch(empty, asked)
        for record in read:
            if not self._is_over((record.topic, record.partition)):
                self._lanes[record.topic, record.partition].read(record)
        self._more = len(read) == asked
        return self._lanes if self._more else self._lanes.keys() - empty.keys()

    def _is_over(self, place: Place) -> bool:
        return self._until is not None and self._lanes[place].offset >= self._until.get(place, 0)


class Unhurried:
    """A consumer that lets messages gather instead of handling each as it comes: a batch costs more than its messages.

    Its steps go on at once only while it is behind; whoever runs it pauses in between.
    """

    def __init__(self, consumer: Consumer) -> None:
        """Step with this one."""
        self.name = consumer.name
        self.counts = consumer.counts
        self.consumed = consumer.consumed
        self.durations = consumer.durations
        self._consumer = consumer

    @property
    def ready(self) -> bool:
        """True once partitions were assigned."""
        return self._consumer.ready

    @property
    def buried(self) -> Counter[tuple[str, str]]:
        """How many records were buried, by their topic and the reason."""
        return self._consumer.buried

    async def step(self) -> bool:
        """Handle what has gathered; tell whether the consumer is behind."""
        return await self._consumer.step() and self._consumer.behind

    async def close(self) -> None:
        """Give the partitions to others at once."""
        await self._consumer.close()
