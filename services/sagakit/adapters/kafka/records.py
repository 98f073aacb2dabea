"""Record batches as the brokers keep them, read into records."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from typing_extensions import override

from sagakit.adapters.kafka.headers import from_kafka
from sagakit.ports import LogUnavailableError, Record

LENGTH_AT, HEAD_BYTES = 8, 12
"""Where a batch says how long it is, and behind how many bytes that length begins."""
EPOCH = datetime.fromtimestamp(0, UTC)


def records_of(topic: str, partition: int, data: bytes, offset: int) -> Iterator[Record]:
    """Return the records of a chunk from this offset on, one when it is asked for.

    The same instant is made only once: a topic whose clock is the log's own has one per batch.

    Raises:
        LogUnavailableError: when a batch came damaged.
        Exception: whatever its decompression says; an iteration that failed has no more.
    """
    batches, whole = MemoryRecords(data), memoryview(data)
    moment, at, ends = -1, EPOCH, 0
    while batches.has_next():
        batch = batches.next_batch()
        begins, ends = ends, ends + HEAD_BYTES + int.from_bytes(whole[ends + LENGTH_AT : ends + HEAD_BYTES])
        if not batch.validate_crc():
            raise LogUnavailableError(f"the records at {batch.base_offset} came damaged")
        if batch.is_control_batch:
            continue
        for record in _readable(batch, whole[begins:ends]):
            if record.offset < offset:
                continue
            if record.timestamp != moment:
                moment = record.timestamp
                at = _instant(moment)
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


def _readable(batch: Any, data: memoryview) -> Iterator[Any]:  # noqa: ANN401 - aiokafka has no types
    """Return the records of a batch, also when names of their headers are no UTF-8."""
    behind = -1
    try:
        for record in batch:
            yield record
            behind = record.offset
    except UnicodeDecodeError:
        slowly = iter(_DefaultRecordBatchPy(data))
        slowly._buffer = _Escaped(slowly._buffer)  # noqa: SLF001 - the only place where it takes names from
        yield from (record for record in slowly if record.offset > behind)


class _Escaped(bytearray):
    """Bytes that are text for certain: what is no UTF-8 is escaped."""

    @override
    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Escaped(found) if isinstance(found, bytearray) else found

    @override
    def decode(self, encoding: str = "utf-8", errors: str = "") -> str:
        return super().decode(encoding, "backslashreplace")


def _instant(milliseconds: int) -> datetime:
    """Return the instant that a producer says; the beginning of time for what is none, which is no reason to stop."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return EPOCH


def next_offset_of(data: bytes, offset: int) -> int:
    """Return the offset behind a chunk, also when its last records were compacted away or are not for us."""
    batches = MemoryRecords(data)
    while batches.has_next():
        offset = max(offset, batches.next_batch().next_offset)
    return offset
