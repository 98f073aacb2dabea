"""The raw events of a log below an offset vector, as lines of JSON in a file, some at a time. Nothing is understood."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from sagakit.ports import Log, OffsetOutOfRangeError, Record

Place = tuple[str, int]
Vector = Mapping[Place, int]

RECORDS_AT_ONCE = 5_000
LINES_PER_FILE = 100_000
"""About 100 MB; a file is gone before the next one is written."""

_encoder = msgspec.json.Encoder()


class Line(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One record. `headers` and `value` are the text that the log has, and null where the bytes are no JSON."""

    topic: str
    partition: int
    offset: int
    appended_at: datetime
    key: str | None
    headers: str | None
    value: str | None


async def written(log: Log, below: Vector, file: Path) -> AsyncIterator[int]:
    """Write the records before these offsets into the file; whenever it is full, yield how many, and begin it anew.

    Raises:
        OffsetOutOfRangeError: when the log has dropped some of them.
    """
    at = {place: 0 for place, end in below.items() if end > 0}
    while at:
        lines = 0
        with file.open("wb") as out:
            while at and lines < LINES_PER_FILE:
                records = await log.fetch(at, RECORDS_AT_ONCE)
                if not records:
                    raise OffsetOutOfRangeError(f"the log ends before the offsets that were handled: {dict(at)}")
                for record in records:
                    at[record.topic, record.partition] = record.offset + 1
                wanted = [record for record in records if record.offset < below[record.topic, record.partition]]
                out.write(_encoder.encode_lines([_line(record) for record in wanted]))
                lines += len(wanted)
                at = {place: offset for place, offset in at.items() if offset < below[place]}
        yield lines


async def all_of(log: Log, topic: str) -> list[Record]:
    """Return everything that a topic still holds."""
    found: list[Record] = []
    ends = await log.ends([topic])
    at = {place: await _first(log, place, end) for place, end in ends.items()}
    while records := await log.fetch(at, RECORDS_AT_ONCE):
        found += records
        at.update({(record.topic, record.partition): record.offset + 1 for record in records})
    return found


async def _first(log: Log, place: Place, end: int) -> int:
    """Return the first offset that is kept, found by halving: whether one is kept is all that a log tells."""
    dropped, kept = -1, end
    while kept - dropped > 1:
        middle = (dropped + kept) // 2
        try:
            await log.fetch({place: middle}, 1)
            kept = middle
        except OffsetOutOfRangeError:
            dropped = middle
    return kept


def _line(record: Record) -> Line:
    return Line(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        appended_at=record.appended_at,
        key=record.key,
        headers=_json(record.headers),
        value=_json(record.value),
    )


def _json(text: bytes) -> str | None:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
        return text.decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
