"""Record batches as the brokers keep them, read into records."""

from collections.abc import Iterator
from datetime import UTC, datetime

from aiokafka.record.memory_records import MemoryRecords

from sagakit.adapters.kafka.headers import from_kafka
from sagakit.ports import LogUnavailableError, Record


def records_of(topic: str, partition: int, data: bytes, offset: int) -> Iterator[Record]:
    """Return the records of a chunk from this offset on, one when it is asked for.

    The same instant is made only once: a topic whose clock is the log's own has one per batch.
    """
    batches = MemoryRecords(data)
    moment, at = -1, datetime.fromtimestamp(0, UTC)
    while batches.has_next():
        batch = batches.next_batch()
        if not batch.validate_crc():
            raise LogUnavailableError(f"{topic}-{partition}: the records at {batch.base_offset} came damaged")
        if batch.is_control_batch:
            continue
        for record in batch:
            if record.offset < offset:
                continue
            if record.timestamp != moment:
                moment = record.timestamp
                at = datetime.fromtimestamp(moment / 1000, UTC)
            key = record.key
            yield Record(
                topic,
                partition,
                record.offset,
                None if key is None else key.decode(errors="backslashreplace"),
                from_kafka(record.headers),
                record.value or b"",
                at,
            )


def next_offset_of(data: bytes, offset: int) -> int:
    """Return the offset behind a chunk, also when its last records were compacted away or are not for us."""
    batches = MemoryRecords(data)
    while batches.has_next():
        offset = max(offset, batches.next_batch().next_offset)
    return offset
