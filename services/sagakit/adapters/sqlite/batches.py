"""Records are kept as Kafka keeps them, many to a row: what was published together for one partition is one batch."""

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from sagakit.adapters.sqlite.columns import moment
from sagakit.core.partitioner import partition_of
from sagakit.ports import Draft, Record

Place = tuple[str, int]

RECORDS_PER_BATCH_MAX = 500
RECORDS_REMEMBERED = 20_000


class NewBatch(NamedTuple):
    """Records of one partition that have no offsets yet."""

    topic: str
    partition: int
    size: int
    records: bytes


class _Kept(msgspec.Struct, array_like=True, frozen=True, gc=False):
    key: str | None
    headers: bytes
    value: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Kept]).decode


def batches(drafts: Iterable[Draft], partitions: int, keyless: Callable[[], int]) -> list[NewBatch]:
    """Return the drafts as batches, in order per key; what has no key goes where `keyless` says."""
    by_place: dict[Place, list[object]] = defaultdict(list)
    for draft in drafts:
        partition = keyless() if draft.key is None else partition_of(draft.key, partitions)
        value = bytes(draft.value)  # may be a `msgspec.Raw`, whose JSON would be taken for msgpack
        by_place[draft.topic, partition].append((draft.key, draft.headers, value))
    return [
        NewBatch(topic, partition, len(chunk), _encode(chunk))
        for (topic, partition), kept in by_place.items()
        for chunk in (kept[at : at + RECORDS_PER_BATCH_MAX] for at in range(0, len(kept), RECORDS_PER_BATCH_MAX))
    ]


def records(place: Place, first_offset: int, at: int, encoded: bytes) -> list[Record]:
    """Return the records of a batch, which were all appended at the same moment."""
    topic, partition = place
    appended_at = moment(at)
    return [
        Record(topic, partition, offset, kept.key, kept.headers, kept.value, appended_at)
        for offset, kept in enumerate(_decode(encoded), first_offset)
    ]


class RecentBatches:
    """The batches decoded last, for the other consumers of this process: they usually want the same ones."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._starts: dict[Place, list[int]] = defaultdict(list)
        self._batches: dict[tuple[Place, int], Sequence[Record]] = {}
        self._order: deque[tuple[Place, int]] = deque()
        self._count = 0

    def find(self, place: Place, offset: int) -> Sequence[Record]:
        """Return the remembered records from this offset to the end of its batch, or nothing."""
        starts = self._starts[place]
        index = bisect_right(starts, offset) - 1
        if index < 0:
            return ()
        start = starts[index]
        batch = self._batches[place, start]
        return batch[offset - start :] if offset > start else batch

    def keep(self, place: Place, batch: Sequence[Record]) -> None:
        """Remember a batch, and forget the oldest ones."""
        start = batch[0].offset
        if (place, start) in self._batches:
            return
        starts = self._starts[place]
        starts.insert(bisect_right(starts, start), start)
        self._batches[place, start] = batch
        self._order.append((place, start))
        self._count += len(batch)
        while self._count > RECORDS_REMEMBERED:
            place, start = self._order.popleft()
            self._starts[place].remove(start)
            self._count -= len(self._batches.pop((place, start)))
