"""The projection: event topics in, rows of the views out, in the transaction that also moves the offsets."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from analytics_service.folding import FOLDS, Event, fold
from analytics_service.orders import Arrival, JoinedOrder
from analytics_service.series import milliseconds
from analytics_service.summing import EVERY_PART, Part, write
from analytics_service.tables import JOINED, LANES, Lane
from analytics_service.tally import Tally
from sagakit.core.messages import Message
from sagakit.ports import Record, Transaction
from sagakit.runtime.projection import Heard

EVENT_TOPICS = frozenset({"orders.events", "payments.events", "inventory.events", "shipping.events", "sagas.events"})
NEVER_MS = -(2**62)
"""Before every event."""
FUTURE, PAST = "future", "past"
HOW = ("events", "late", "duplicates", FUTURE, PAST)
"""What is counted of a lane, by the names of its attributes."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which events are late, and which have a time that nobody believes, by the log's clock. All in milliseconds."""

    lateness_ms: int = 60_000
    future_ms: int = 60_000
    past_ms: int = 7 * 86_400_000


@dataclass(slots=True)
class _LaneNow:
    """A lane while a batch is folded, with what the batch adds to its counts."""

    before: Lane
    stream_ms: int
    lifted_ms: int
    logged_ms: int
    events: int = 0
    late: int = 0
    duplicates: int = 0
    future: int = 0
    past: int = 0

    def after(self) -> Lane:
        """Return the lane as it is kept."""
        before = self.before
        return replace(
            before,
            stream_ms=self.stream_ms,
            logged_ms=self.logged_ms,
            idle=False,
            events=before.events + self.events,
            late=before.late + self.late,
            duplicates=before.duplicates + self.duplicates,
            future=before.future + self.future,
            past=before.past + self.past,
        )


class Views:
    """Keeps the promises of `Projection`: the joined orders, and every count."""

    topics = EVENT_TOPICS

    def __init__(self, bounds: Bounds, parts: AbstractSet[Part] = EVERY_PART) -> None:
        """Judge lateness by these bounds, and keep these parts beside the joined orders."""
        self.counts: Counter[tuple[str, str]] = Counter()
        """What was folded and is durable: for each topic its events, and how many of them were odd, by how."""
        self.joined = 0
        """How many orders became whole, and that is durable."""
        self._bounds = bounds
        self._parts = parts
        self._folded: Sequence[_LaneNow] = ()
        self._whole = 0

    def wants(self, message_type: str) -> bool:
        """Tell whether a message of this type says something that is counted."""
        return message_type in FOLDS

    async def handle(self, transaction: Transaction, messages: Sequence[Message], now: datetime) -> None:
        """Nobody hands over messages without their places."""
        raise AssertionError(f"{len(messages)} messages at {now} without the records they came in, in {transaction}")

    async def project(self, transaction: Transaction, heard: Sequence[Heard], now: datetime) -> None:
        """Fold each message into the row of its order, and write what it adds."""
        del now
        lanes = await self._lanes(transaction, heard)
        known = await transaction.load(JOINED, {one.message.saga_id for one in heard})
        touched: dict[str, JoinedOrder] = {}
        tallies: defaultdict[int, Tally] = defaultdict(Tally)
        for message, data, source in heard:
            lane = lanes[source.topic, source.partition]
            row = touched.get(message.saga_id)
            if row is None:
                before = known.get(message.saga_id)
                row = copy(before) if before else JoinedOrder(order_id=message.saga_id, partition=source.partition)
                touched[message.saga_id] = row
            if not fold(row, self._event(message, data, source, lane), tallies[source.partition]):
                lane.duplicates += 1
        await transaction.save(JOINED, touched.values())
        await transaction.save(LANES, [lane.after() for lane in lanes.values()])
        for partition, tally in sorted(tallies.items()):
            await write(transaction, partition, tally, self._parts)
        self._folded = tuple(lanes.values())
        self._whole = sum(_became_whole(known.get(order_id), row) for order_id, row in touched.items())

    def committed(self) -> None:
        """Count what was folded, now that it is durable."""
        for lane in self._folded:
            for how in HOW:
                self.counts[lane.before.topic, how] += getattr(lane, how)
        self.joined += self._whole
        self._folded, self._whole = (), 0

    def failed(self) -> None:
        """Count nothing of what was taken back."""
        self._folded, self._whole = (), 0

    async def _lanes(self, transaction: Transaction, heard: Iterable[Heard]) -> dict[tuple[str, int], _LaneNow]:
        places = {(one.source.topic, one.source.partition) for one in heard}
        known = await transaction.load(LANES, [lane_key(*place) for place in places])
        return {place: _lane_now(known, *place) for place in sorted(places)}

    def _event(self, message: Message, data: msgspec.Struct, source: Record, lane: _LaneNow) -> Event:
        """Return the message as it is folded, after event time has moved by it.

        What is closed is what Kafka Streams has closed with this grace, which counts per partition of a topic.
        """
        bounds = self._bounds
        at_ms, logged_ms = milliseconds(message.time), _logged_ms(source.appended_at)
        latest_ms = logged_ms + bounds.future_ms
        flag = None
        if at_ms > lane.stream_ms:
            lane.stream_ms = max(lane.stream_ms, min(at_ms, latest_ms))
        if at_ms > latest_ms:
            flag, lane.future = FUTURE, lane.future + 1
        elif at_ms < logged_ms - bounds.past_ms:
            flag, lane.past = PAST, lane.past + 1
        lane.logged_ms = logged_ms
        closed_ms = lane.stream_ms - bounds.lateness_ms
        if closed_ms < lane.lifted_ms:  # noqa: PLR1730 - for every event, and max() costs a call
            closed_ms = lane.lifted_ms
        lane.events += 1
        if at_ms < closed_ms:
            lane.late += 1
        arrival = Arrival(closed_ms, logged_ms, source.offset)
        return Event(message.type, data, message.mode.value, at_ms, arrival, flag)


def _became_whole(before: JoinedOrder | None, row: JoinedOrder) -> bool:
    """Tell whether nothing is missing of the order now, and something was before."""
    was_waiting = before is None or before.waiting_since_ms is not None
    return was_waiting and row.first_ms is not None and row.waiting_since_ms is None


_logged_ms = lru_cache(maxsize=16)(milliseconds)
"""Records that were published together share the moment."""


def lane_key(topic: str, partition: int) -> str:
    """Return the key of a lane."""
    return f"{topic}/{partition}"


def _lane_now(known: Mapping[str, Lane], topic: str, partition: int) -> _LaneNow:
    key = lane_key(topic, partition)
    lane = known.get(key) or Lane(lane=key, topic=topic, partition=partition)
    stream_ms = NEVER_MS if lane.stream_ms is None else lane.stream_ms
    lifted_ms = NEVER_MS if lane.lifted_ms is None else lane.lifted_ms
    return _LaneNow(lane, stream_ms, lifted_ms, lane.logged_ms or NEVER_MS)
