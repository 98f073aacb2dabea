"""The request that reads records, packed by hand: a reader of sixty partitions asks many times a second."""

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from struct import Struct

from typing_extensions import override

from sagakit.adapters.kafka.protocol import Answer, Request

PARTITION_BYTES_MAX = 512 << 10
ANSWER_BYTES_MAX = 4 << 20

_head = Struct(">iiiibiii").pack
_partition = Struct(">iiqqi").pack
_short, _int = Struct(">h"), Struct(">i")
_answer_head = Struct(">ihii").unpack_from
_answer_partition = Struct(">ihqqqi").unpack_from
ABORTED_BYTES = 16


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a broker gave of one partition: an error, or record batches, the last of which may be cut off."""

    topic: str
    partition: int
    error: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Chunks:
    """A whole answer. `error` speaks of all of it."""

    error: int
    chunks: list[Chunk]

    @override
    def __repr__(self) -> str:
        """Say how many; the data is not for eyes."""
        return f"Chunks(error={self.error}, {len(self.chunks)} chunks)"


def fetch_request(places: Iterable[tuple[str, int, int]], wait_seconds: float) -> Request[Chunks]:
    """Ask for records from these (topic, partition, offset) on; nothing within that time is an answer too.

    This is version 10: the first that gets every compression. No session: the places asked for change all the time.
    """
    replica, least_bytes, uncommitted, session, epoch = -1, 1, 0, 0, -1
    by_topic = [(topic, [*group]) for topic, group in groupby(places, lambda place: place[0])]
    parts = [
        _head(
            replica,
            round(wait_seconds * 1000),
            least_bytes,
            ANSWER_BYTES_MAX,
            uncommitted,
            session,
            epoch,
            len(by_topic),
        )
    ]
    for topic, asked in by_topic:
        name = topic.encode()
        parts += (_short.pack(len(name)), name, _int.pack(len(asked)))
        parts += [_partition(number, -1, offset, -1, PARTITION_BYTES_MAX) for _, number, offset in asked]
    return Request(1, 10, b"".join((*parts, _int.pack(0))), Answer(_read))


def _read(buffer: BytesIO) -> Chunks:
    data, at = buffer.getvalue(), buffer.tell()
    _, error, _, topics = _answer_head(data, at)
    at += 14
    chunks: list[Chunk] = []
    for _ in range(topics):
        (length,) = _short.unpack_from(data, at)
        topic = data[at + 2 : at + 2 + length].decode()
        at += 2 + length
        (partitions,) = _int.unpack_from(data, at)
        at += 4
        for _ in range(partitions):
            number, its_error, _, _, _, aborted = _answer_partition(data, at)
            at += 34 + ABORTED_BYTES * max(aborted, 0)
            (size,) = _int.unpack_from(data, at)
            at += 4
            chunks.append(Chunk(topic, number, its_error, data[at : at + max(size, 0)]))
            at += max(size, 0)
    return Chunks(error, chunks)
