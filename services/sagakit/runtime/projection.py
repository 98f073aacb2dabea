"""How a view is kept: a consumer whose handler also hears where each message stood in the log, and when it got there.

A view's rows and its offsets are one transaction, so a restart counts nothing twice. Reading is aligned in time, so that
what belongs together comes together, also while years of events are caught up with.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from operator import itemgetter
from typing import Protocol

from typing_extensions import override

from sagakit.core.messages import Message
from sagakit.ports import Log, Membership, Record, Transaction
from sagakit.runtime.consumer import Consumer, Handler

Place = tuple[str, int]

BEGINNING = datetime.min.replace(tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)
LANE_RECORDS_MAX = 1000
"""How far each partition of a topic is read ahead."""


class Projection(Handler, Protocol):
    """What one view does with the messages of its topics."""

    async def project(
        self, transaction: Transaction, messages: Sequence[Message], sources: Sequence[Record], now: datetime
    ) -> None:
        """Fold the messages into the view; `sources[i]` is the record that `messages[i]` came in."""


class ProjectionConsumer(Consumer):
    """Consumes for a projection. Everything else is as for every consumer."""

    _handler: Projection

    @override
    async def _hand_over(
        self, transaction: Transaction, messages: Sequence[Message], sources: Sequence[Record], now: datetime
    ) -> None:
        await self._handler.project(transaction, messages, sources, now)


@dataclass(slots=True)
class _Lane:
    """What was read ahead of one partition of a topic, from the offset that is wanted next.

    The times beside the records never go back, although the clock of a log may: so sorting keeps the order of offsets.
    """

    offset: int
    records: deque[tuple[datetime, Record]] = field(default_factory=deque)
    newest: datetime = BEGINNING

    def read(self, record: Record) -> None:
        """Take one more record."""
        self.newest = max(self.newest, record.appended_at)
        self.records.append((self.newest, record))


class AlignedLog:
    """A log whose `fetch` returns records in the order in which the log got them, over all partitions and topics.

    Per partition the order stays that of the offsets. Over them it is a best effort: what nobody has read yet may be older.
    Kafka Streams chooses its next record in the same way, by event time (KIP-353). `until` are offsets not to go beyond.
    """

    def __init__(self, log: Log) -> None:
        """Read from `log`; nothing is read ahead yet."""
        self._log = log
        self._lanes: dict[Place, _Lane] = {}
        self.until: Mapping[Place, int] | None = None

    @property
    def partitions(self) -> int:
        """How many partitions each topic has."""
        return self._log.partitions

    async def fetch(self, positions: Mapping[Place, int], limit: int) -> list[Record]:
        """Return at most `limit` records from these offsets on, the ones that were appended first before the others."""
        lanes = self._placed(positions)
        more = await self._read_ahead(lanes)
        waiting = [lane for place, lane in lanes.items() if lane.records and place in more]
        horizon = min((lane.newest for lane in waiting), default=END)
        found = [
            entry for lane in lanes.values() for entry in takewhile(lambda known: known[0] <= horizon, lane.records)
        ]
        found.sort(key=itemgetter(0))
        records = [record for _, record in found[:limit]]
        for record in records:
            lane = lanes[record.topic, record.partition]
            lane.records.popleft()
            lane.offset = record.offset + 1
        return records

    async def ends(self, topics: Iterable[str]) -> dict[Place, int]:
        """Return the offset behind the last record, for every partition of these topics."""
        return await self._log.ends(topics)

    async def join(self, group: str, member: str) -> Membership:
        """Become a member of a consumer group."""
        return await self._log.join(group, member)

    async def wait(self, seconds: float) -> None:
        """Return when something may have been published, or after that time."""
        await self._log.wait(seconds)

    async def publish(self, drafts: Sequence[object]) -> None:
        """Whoever reads in this way publishes nothing."""
        raise AssertionError(f"{len(drafts)} records were to be published through a log that only reads")

    async def prune(self, topic: str, older_than: datetime) -> int:
        """Whoever reads in this way drops nothing."""
        raise AssertionError(f"{topic} before {older_than} was to be dropped through a log that only reads")

    async def close(self) -> None:
        """The log is closed by whoever opened it."""

    def _placed(self, positions: Mapping[Place, int]) -> dict[Place, _Lane]:
        """Return the lanes at these positions; what was read ahead for others is forgotten."""
        if positions.keys() != self._lanes.keys():
            self._lanes = {place: lane for place, lane in self._lanes.items() if place in positions}
        for place, offset in positions.items():
            lane = self._lanes.get(place)
            if lane is None or lane.offset != offset:
                self._lanes[place] = _Lane(offset)
        return self._lanes

    async def _read_ahead(self, lanes: Mapping[Place, _Lane]) -> set[Place]:
        """Read where nothing is left; return the partitions that may have more than what was read of them."""
        empty = {place: lane.offset for place, lane in lanes.items() if not lane.records and not self._is_over(place)}
        complete = True
        if empty:
            asked = LANE_RECORDS_MAX * len(empty)
            read = await self._log.fetch(empty, asked)
            complete = len(read) < asked
            for record in read:
                if self.until is None or record.offset < self.until.get((record.topic, record.partition), 0):
                    lanes[record.topic, record.partition].read(record)
        return {place for place in lanes if place not in empty or not complete}

    def _is_over(self, place: Place) -> bool:
        return self.until is not None and self._lanes[place].offset >= self.until.get(place, 0)
