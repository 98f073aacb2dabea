"""Outbox rows: what one transaction sent is one row, so that a message costs little more than its bytes.

A position is the row's number and the place within the row.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from sagakit.ports import Draft, OutboxEntry

PLACE_BITS = 12
DRAFTS_PER_ROW_MAX = 500
DRAFTS_REMEMBERED_MAX = 20_000


class _Kept(msgspec.Struct, array_like=True, frozen=True):
    topic: str
    key: str | None
    headers: bytes
    value: bytes


encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Kept | None]).decode


def rows(drafts: Iterable[Draft]) -> Iterator[tuple[list[Draft], bytes]]:
    """Yield the drafts in portions, each as the bytes of one row."""
    rest = iter(drafts)
    while chunk := [*islice(rest, DRAFTS_PER_ROW_MAX)]:
        yield chunk, encode([(draft.topic, draft.key, draft.headers, bytes(draft.value)) for draft in chunk])


def drafts_of(encoded: bytes) -> list[Draft | None]:
    """Return what a row holds; None where a draft was published already."""
    return [Draft(k.topic, k.key, k.headers, k.value) if k else None for k in _decode(encoded)]


def without(encoded: bytes, done: set[int]) -> tuple[int, bytes]:
    """Return how many drafts wait in a row without those at these places, and the row; the others keep their places."""
    kept = [None if place in done else draft for place, draft in enumerate(_decode(encoded))]
    return sum(draft is not None for draft in kept), encode(kept)


def entries(row: int, drafts: Sequence[Draft | None]) -> list[OutboxEntry]:
    """Return what waits in a row, with its positions."""
    first = row << PLACE_BITS
    return [OutboxEntry(first + place, draft) for place, draft in enumerate(drafts) if draft is not None]


def places(positions: Iterable[int]) -> dict[int, set[int]]:
    """Return the places by row."""
    found: dict[int, set[int]] = defaultdict(set)
    for position in positions:
        found[position >> PLACE_BITS].add(position & (1 << PLACE_BITS) - 1)
    return found


class RecentRows:
    """The drafts of rows just written, to spare the relay the reading; which rows there are, only the table says."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._rows: dict[int, Sequence[Draft | None]] = {}
        self._count = 0

    def get(self, row: int) -> Sequence[Draft | None] | None:
        """Return what was remembered of a row."""
        return self._rows.get(row)

    def keep(self, row: int, drafts: Sequence[Draft | None]) -> None:
        """Remember a row just written; whatever was remembered under its number did not happen."""
        self.drop(row)
        if self._count + len(drafts) <= DRAFTS_REMEMBERED_MAX:
            self._rows[row] = drafts
            self._count += len(drafts)

    def drop(self, row: int) -> None:
        """Forget a row."""
        self._count -= len(self._rows.pop(row, ()))

    def clear(self) -> None:
        """Trust nothing but the table: what was written last may not have happened."""
        self._rows.clear()
        self._count = 0
