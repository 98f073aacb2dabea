"""Publishing: one batch per partition and request, numbered, so that a batch sent again is not appended again.

Publications run one after the other, and of each partition one batch is under way. So records stay in order, whatever
is lost and sent again. What failed for good leaves the numbers unknown: the next publication begins under a new
producer id, and publishing the same messages again keeps their order, as a repetition.
"""

import asyncio
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from aiokafka import errors
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from sagakit.adapters.kafka.brokers import Brokers, PassingError, Place
from sagakit.adapters.kafka.connection import REQUEST_SECONDS, said
from sagakit.adapters.kafka.headers import to_kafka
from sagakit.core.partitioner import partition_of
from sagakit.ports import Draft, LogUnavailableError

CHANNEL = "publish"
BATCH_BYTES = 256 << 10
"""Well below what a broker takes by default (1 MiB, `max.message.bytes`), for the last record may be large."""
RECORDS_AT = 57
"""Where a batch says how many records it has."""
PAUSE_SECONDS = 0.1
MAGIC = 2
UNCOMPRESSED = 0
ALL = -1
SEQUENCES = 1 << 31
FOREVER = (1 << 31) - 1

FORBIDDEN_ANYWHERE = errors.ClusterAuthorizationFailedError.errno
APPENDED_BEFORE = errors.DuplicateSequenceNumber.errno
TOO_LARGE = {errors.MessageSizeTooLargeError.errno, errors.RecordListTooLargeError.errno}


@dataclass(slots=True)
class _Producer:
    """Who we are to the brokers, and the number of the next record of each partition."""

    id: int
    epoch: int
    sequences: dict[Place, int] = field(default_factory=dict)


class Publisher:
    """Appends drafts to the log."""

    def __init__(self, brokers: Brokers, partitions: int, seconds: float) -> None:
        """Give a publication so long to succeed."""
        self._brokers = brokers
        self._partitions = partitions
        self._seconds = seconds
        self._batch_bytes = BATCH_BYTES
        self._producer: _Producer | None = None
        self._turn = count()
        self._lock = asyncio.Lock()

    async def publish(self, drafts: Sequence[Draft]) -> None:
        """Append the drafts, in order per key; return when all in-sync replicas have them.

        Raises:
            LogUnavailableError: when that cannot be known.
        """
        async with self._lock:
            producer, self._producer = self._producer, None
            waiting: dict[Place, list[bytes]] | None = None
            trouble = LogUnavailableError("no broker answers")
            try:
                async with asyncio.timeout(self._seconds):
                    while waiting is None or waiting:
                        try:
                            producer = producer or await self._introduced()
                            waiting = self._batches(producer, drafts) if waiting is None else waiting
                            await self._send_first(waiting)
                        except PassingError as error:
                            trouble = error
                            await asyncio.sleep(PAUSE_SECONDS)
                            await self._brokers.refresh()
            except TimeoutError:
                raise LogUnavailableError(f"not published within {self._seconds:g} s: {trouble}") from trouble
            self._producer = producer

    async def _introduced(self) -> _Producer:
        answer = await self._brokers.send(None, InitProducerIdRequest(None, FOREVER), CHANNEL)
        if answer.error_code:
            error = errors.for_code(answer.error_code)
            if answer.error_code == FORBIDDEN_ANYWHERE:
                raise self._brokers.forbidden("its topics")
            kind = PassingError if error.retriable else LogUnavailableError
            raise kind(f"nothing can be published: {said(error())}")
        return _Producer(answer.producer_id, answer.producer_epoch)

    def _batches(self, producer: _Producer, drafts: Sequence[Draft]) -> dict[Place, list[bytes]]:
        keyless = next(self._turn) % self._partitions
        groups: dict[Place, list[Draft]] = defaultdict(list)
        for draft in drafts:
            number = keyless if draft.key is None else partition_of(draft.key, self._partitions)
            groups[draft.topic, number].append(draft)
        return {place: [*_encoded(producer, place, group, self._batch_bytes)][::-1] for place, group in groups.items()}

    async def _send_first(self, waiting: dict[Place, list[bytes]]) -> None:
        """Send the first batch of each partition, and take off what was appended.

        Raises:
            PassingError: when something went wrong that time may mend.
            LogUnavailableError: when something went wrong that it does not.
        """
        by_leader = await self._brokers.by_leader(waiting)
        sent = (self._send(node, places, waiting) for node, places in by_leader.items())
        _raise_worst(await asyncio.gather(*sent, return_exceptions=True))

    async def _send(self, node: int, places: list[Place], waiting: dict[Place, list[bytes]]) -> None:
        topics: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        for topic, number in places:
            topics[self._brokers.wire(topic)].append((number, waiting[topic, number][-1]))
        request = ProduceRequest(None, ALL, round(REQUEST_SECONDS * 1000), [*topics.items()])
        answer = await self._brokers.send(node, request, CHANNEL)
        troubles: list[LogUnavailableError] = []
        for place, code in self._answers(answer):
            if not code or code == APPENDED_BEFORE:
                waiting[place].pop()
                if not waiting[place]:
                    del waiting[place]
            else:
                troubles.append(self._trouble(place, code, waiting[place][-1]))
        _raise_worst(troubles)

    def _trouble(self, place: Place, code: int, batch: bytes) -> LogUnavailableError:
        """Return what a broker says of a batch; one that is too large comes smaller with the next publication."""
        trouble = self._brokers.trouble(place, code)
        if code not in TOO_LARGE:
            return trouble
        size = len(batch)
        (records,) = struct.unpack_from(">i", batch, RECORDS_AT)
        if records > 1:
            self._batch_bytes = min(self._batch_bytes, size // 2)
            return LogUnavailableError(f"{trouble}: {records} records of {size} bytes; smaller batches come next")
        return LogUnavailableError(f"{trouble}: one record of {size} bytes; set the topic's max.message.bytes higher")

    def _answers(self, answer: Any) -> Iterator[tuple[Place, int]]:  # noqa: ANN401
        for topic, partitions in answer.topics:
            for number, code, *_ in partitions:
                yield (self._brokers.name(topic), number), code


def _raise_worst(failures: Iterable[BaseException | None]) -> None:
    """Raise what will not pass, if there is any such; else what may."""
    found = [failure for failure in failures if failure is not None]
    for failure in sorted(found, key=lambda failure: isinstance(failure, PassingError)):
        raise failure


def _encoded(producer: _Producer, place: Place, drafts: Sequence[Draft], most: int) -> Iterator[bytes]:
    """Return the batches of one partition, of at most so many bytes each or one record, numbered on from its last."""
    sequence = producer.sequences.get(place, 0)
    builder, held = _builder(producer, sequence, most), 0
    for draft in drafts:
        key = None if draft.key is None else draft.key.encode()
        value, headers = bytes(draft.value), to_kafka(draft.headers)
        if builder.append(held, None, key=key, value=value, headers=headers) is None:
            yield bytes(builder.build())
            sequence = (sequence + held) % SEQUENCES
            builder, held = _builder(producer, sequence, most), 0
            builder.append(0, None, key=key, value=value, headers=headers)
        held += 1
    producer.sequences[place] = (sequence + held) % SEQUENCES
    yield bytes(builder.build())


def _builder(producer: _Producer, sequence: int, most: int) -> Any:  # noqa: ANN401
    return DefaultRecordBatchBuilder(MAGIC, UNCOMPRESSED, 0, producer.id, producer.epoch, sequence, most)
