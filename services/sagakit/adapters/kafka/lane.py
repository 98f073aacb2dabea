"""What a reader has in hand of one partition, and how it takes from several of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from aiokafka import errors

from sagakit.adapters.kafka.brokers import Place
from sagakit.adapters.kafka.connection import said
from sagakit.adapters.kafka.fetching import Chunk
from sagakit.adapters.kafka.records import next_offset_of, records_of
from sagakit.ports import LogUnavailableError, Record

OUT_OF_RANGE = errors.OffsetOutOfRangeError.errno
DAMAGED = errors.CorruptRecordException.errno


@dataclass(slots=True, eq=False)
class Lane:
    """One partition: where its reader stands, what is in hand from there on, and what is asked of the broker next."""

    place: Place
    offset: int
    next: int
    asked: float
    records: Iterator[Record] | None = None
    trouble: int = 0

    def take(self, most: int) -> list[Record]:
        """Hand out records; when fewer come than were asked for, nothing is in hand any more.

        What cannot be read is asked for again, and never passed over: those before it are handed out first.

        Raises:
            LogUnavailableError: when the first of them cannot be read.
        """
        if self.records is None or most <= 0:
            return []
        taken: list[Record] = []
        failure: Exception | None = None
        try:
            taken.extend(islice(self.records, most))
        except Exception as error:  # noqa: BLE001 - whatever a decoder says of what it cannot read
            failure = error
        if taken:
            self.offset = taken[-1].offset + 1
        if len(taken) < most:
            self.records = None
        if failure is not None:
            self.next = self.offset
            if not taken:
                where = f"{self.place[0]}-{self.place[1]}@{self.offset}"
                raise LogUnavailableError(f"{where}: {said(failure)}") from failure
        return taken

    def give(self, chunk: Chunk, asked: int) -> bool:
        """Take a broker's answer to a question about an offset; tell whether it brought anything."""
        if self.next != asked or self.records is not None:
            return False
        self.trouble = chunk.error
        if chunk.error or not chunk.data:
            return False
        try:
            self.next = next_offset_of(chunk.data, asked)
        except errors.KafkaError:
            self.trouble = DAMAGED
            return False
        self.records = records_of(*self.place, chunk.data, self.offset)
        return self.next > asked


def outside(lanes: Sequence[Lane]) -> list[Lane]:
    """Return the lanes whose offset is not in the log; nothing is read beside them, for a human has to hear of it."""
    return [lane for lane in lanes if lane.trouble == OUT_OF_RANGE]


def taken(lanes: Sequence[Lane], limit: int) -> list[Record]:
    """Return records of all lanes in equal shares, what is left of the limit from another lane on each time."""
    ready = [lane for lane in lanes if lane.records is not None]
    if not ready:
        return []
    turn = sum(lane.offset for lane in ready) % len(ready)
    circle = ready[turn:] + ready[:turn]
    found: list[Record] = []
    for share in (max(1, limit // len(ready)), limit):
        for lane in circle:
            found += lane.take(min(share, limit - len(found)))
    return found
