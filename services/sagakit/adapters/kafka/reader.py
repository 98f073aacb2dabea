"""One reader: what it was given in advance, how it asks for more, and how it waits for news.

A fetch that finds records in hand costs no request; what ran out meanwhile is asked for in the background. A fetch that
finds none asks the brokers now, and only their answer that there is nothing is believed. Waiting is a request that a
broker answers when there is something: what it brings is in hand for the next fetch.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count

from aiokafka import errors

from sagakit.adapters.kafka.brokers import LEADERLESS, Brokers, Place, patiently
from sagakit.adapters.kafka.fetching import Chunks, fetch_request
from sagakit.adapters.kafka.lane import Lane, outside, taken
from sagakit.adapters.kafka.offsets import END, FIRST, offsets_at
from sagakit.ports import LogUnavailableError, OffsetOutOfRangeError, Record

POLL_SECONDS = 1.0
"""How long a broker is asked to wait for news; whoever waits longer asks again."""
UNPLACED_SECONDS = 0.1
"""How long a reader waits who has asked for no place since it waited last: it cannot know what would be news."""
KEPT_SECONDS = 60.0
"""How long is kept in hand what nobody asks for."""
MOVED = {
    errors.NotLeaderForPartitionError.errno,
    errors.UnknownTopicOrPartitionError.errno,
    errors.KafkaStorageError.errno,
}
"""What a broker answers that leads a partition no more. Nobody else asks who does while others bring records."""

_numbers = count(1)


class Reader:
    """Reads from places of its own."""

    def __init__(self, brokers: Brokers) -> None:
        """Stand nowhere yet."""
        self._brokers = brokers
        self._name = next(_numbers)
        self._lanes: dict[Place, Lane] = {}
        self._asked: dict[Place, int] = {}
        self._lock = asyncio.Lock()
        self._ahead: asyncio.Task[bool] | None = None
        self._parked = False
        self._sweep_at = 0.0
        self._news = asyncio.Event()
        self._closed = False

    async def fetch(self, positions: Mapping[Place, int], limit: int) -> list[Record]:
        """Return at most `limit` records from these places on, nothing only when there is nothing.

        Raises:
            OffsetOutOfRangeError: when an offset is not in the log.
            LogUnavailableError: when the brokers cannot be asked, and nothing is in hand.
        """
        async with self._lock:
            self._check_open()
            self._asked.update(positions)
            lanes, moved = self._lanes_at(positions)
            found = [] if moved or outside(lanes) else taken(lanes, limit)
            while not found and await patiently(lambda: self._ask(lanes, moved=moved), self._brokers):
                found = taken(lanes, limit)
            if 2 * len(found) >= limit:
                self._ask_ahead(lanes)
            return found

    async def wait(self, seconds: float) -> None:
        """Return when there may be records at the places asked for since the last waiting, or after that time."""
        asked, self._asked = self._asked, {}
        lanes = [lane for place in asked if (lane := self._lanes.get(place)) is not None]
        if not lanes and self._resting():
            await self._rung(min(seconds, UNPLACED_SECONDS))
            return
        ends_at = time.monotonic() + seconds
        while not self._closed and not any(lane.records is not None for lane in lanes):
            left = ends_at - time.monotonic()
            if left <= 0:
                return
            if self._resting():
                self._start(lanes, min(left, POLL_SECONDS))
            if not await self._went_well(left) or not lanes:
                return

    def ring(self) -> None:
        """Wake whoever waits without knowing for what."""
        self._news.set()
        self._news = asyncio.Event()

    async def close(self) -> None:
        """Wake whoever waits, and ask no more."""
        self._closed = True
        self.ring()
        if self._ahead is not None:
            self._ahead.cancel()
            await asyncio.wait([self._ahead])

    def _lanes_at(self, positions: Mapping[Place, int]) -> tuple[list[Lane], bool]:
        """Return the lanes of these places, and whether one of them stands elsewhere than before."""
        now, moved = time.monotonic(), False
        lanes: list[Lane] = []
        for place, offset in positions.items():
            lane = self._lanes.get(place)
            if lane is None or lane.offset != offset:
                lane = self._lanes[place] = Lane(place, offset, offset, now)
                moved = True
            lane.asked = now
            lanes.append(lane)
        if now >= self._sweep_at:
            self._sweep_at = now + KEPT_SECONDS
            self._lanes = {place: lane for place, lane in self._lanes.items() if lane.asked > now - KEPT_SECONDS}
        return lanes, moved

    async def _ask(self, lanes: Sequence[Lane], *, moved: bool) -> bool:
        """Ask for what is not in hand, and tell whether there is more to be taken now."""
        if self._ahead is not None and not self._resting() and not self._parked and not moved:
            await asyncio.wait([self._ahead])
            if any(lane.records is not None for lane in lanes) and not outside(lanes):
                return True
        brought = await self._exchange(lanes, 0.0, "fetch")
        for lane in outside(lanes):
            await self._raise_out_of_range(lane)
        ready = any(lane.records is not None for lane in lanes)
        troubled = next((lane for lane in lanes if lane.trouble), None)
        if troubled is not None and not ready:
            raise self._brokers.trouble(troubled.place, troubled.trouble)
        return brought or ready

    async def _raise_out_of_range(self, lane: Lane) -> None:
        firsts = await offsets_at(self._brokers, [lane.place], FIRST)
        ends = await offsets_at(self._brokers, [lane.place], END)
        first, end = firsts[lane.place], ends[lane.place]
        topic, partition = lane.place
        raise OffsetOutOfRangeError(
            f"{topic}-{partition}: offset {lane.offset} is not in the log, which holds {first} to {end}"
        )

    def _ask_ahead(self, lanes: Sequence[Lane]) -> None:
        """Have asked for what ran out, while what was found is handled."""
        if self._resting() and any(lane.records is None for lane in lanes):
            self._start(lanes, 0.0)

    def _start(self, lanes: Sequence[Lane], wait_seconds: float) -> None:
        self._parked = wait_seconds > 0
        self._ahead = asyncio.create_task(self._ask_quietly(lanes, wait_seconds))

    async def _ask_quietly(self, lanes: Sequence[Lane], wait_seconds: float) -> bool:
        """Ask in the background; tell whether that went well. Whoever fetches next hears of what is wrong."""
        try:
            await self._exchange(lanes, wait_seconds, "ahead")
        except LogUnavailableError:
            return False
        return not any(lane.trouble for lane in lanes)

    async def _exchange(self, lanes: Sequence[Lane], wait_seconds: float, channel: str) -> bool:
        """Ask the leaders for what is not in hand; tell whether anything came.

        Raises:
            LogUnavailableError: when nothing came, and somebody did not answer.
        """
        asked = {lane.place: (lane, lane.next) for lane in lanes if lane.records is None}
        by_leader, leaderless = await self._brokers.split(asked)
        for place in leaderless:
            asked[place][0].trouble = LEADERLESS
        exchanges = (
            self._exchange_with(node, places, asked, wait_seconds, channel) for node, places in by_leader.items()
        )
        answers = await asyncio.gather(*exchanges, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and True not in answers:
                raise answer
        return True in answers

    async def _exchange_with(
        self,
        node: int,
        places: Sequence[Place],
        asked: Mapping[Place, tuple[Lane, int]],
        wait_seconds: float,
        channel: str,
    ) -> bool:
        wanted = ((self._brokers.wire(place[0]), place[1], asked[place][1]) for place in sorted(places))
        request = fetch_request(wanted, wait_seconds)
        answer: Chunks = await self._brokers.send(node, request, (channel, self._name))
        if answer.error:
            raise self._brokers.away(errors.for_code(answer.error)())
        if any(chunk.error in MOVED for chunk in answer.chunks):
            self._brokers.refresh_soon()
        brought = False
        for chunk in answer.chunks:
            lane, offset = asked[self._brokers.name(chunk.topic), chunk.partition]
            brought |= lane.give(chunk, offset)
        if brought:
            self.ring()
        return brought

    def _resting(self) -> bool:
        return self._ahead is None or self._ahead.done()

    async def _rung(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)

    async def _went_well(self, seconds: float) -> bool:
        """Return when asking in the background ended, something came, or the time is over; tell if nothing failed."""
        assert self._ahead is not None
        news = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait({self._ahead, news}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
        return not self._ahead.done() or self._ahead.cancelled() or self._ahead.result()

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailableError("the Kafka log is closed")
