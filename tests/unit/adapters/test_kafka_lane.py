"""What a reader has in hand of a partition is handed out whole: what cannot be read is never passed over."""

import struct
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import msgspec
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from sagakit.adapters.kafka.fetching import Chunk
from sagakit.adapters.kafka.lane import DAMAGED, Lane, taken
from sagakit.ports import LogUnavailableError, Record

CRC_AT, ATTRIBUTES_AT = 17, 21
CREATED_MS = 1_700_000_000_000
UNKNOWN_CODEC = 7
MOST = 1000


def batch(base: int, values: Iterable[bytes], *, at_ms: int = CREATED_MS, headers: Iterable[str] = ()) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
    for place, value in enumerate(values):
        builder.append(place, at_ms, key=b"k", value=value, headers=[(name, b"1") for name in headers])
    return struct.pack(">q", base) + bytes(builder.build())[8:]


def signed(data: bytes) -> bytes:
    """Return a batch that was changed, with the checksum that it has now."""
    return data[:CRC_AT] + struct.pack(">I", calc_crc32c(data[ATTRIBUTES_AT:])) + data[ATTRIBUTES_AT:]


def turned(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def of_an_unknown_codec(data: bytes) -> bytes:
    return signed(data[:ATTRIBUTES_AT] + struct.pack(">h", UNKNOWN_CODEC) + data[ATTRIBUTES_AT + 2 :])


def of_no_gzip(data: bytes) -> bytes:
    return signed(data[:ATTRIBUTES_AT] + struct.pack(">h", 1) + data[ATTRIBUTES_AT + 2 :])


def given(data: bytes) -> Lane:
    lane = Lane(("t", 0), 0, 0, 0.0)
    assert lane.give(Chunk("t", 0, 0, data), 0)
    return lane


def values(records: Iterable[Record]) -> list[bytes]:
    return [record.value for record in records]


@pytest.mark.parametrize("spoilt", [turned, of_an_unknown_codec, of_no_gzip])
def test_records_before_those_that_cannot_be_read_are_handed_out_and_those_asked_for_again(
    spoilt: Callable[[bytes], bytes],
) -> None:
    first, second, third = batch(0, [b"a", b"b"]), batch(2, [b"c", b"d"]), batch(4, [b"e"])
    lane = given(first + spoilt(second) + third)
    assert values(taken([lane], MOST)) == [b"a", b"b"]
    assert (lane.offset, lane.next, lane.records) == (2, 2, None)
    for _ in range(2):
        assert lane.give(Chunk("t", 0, 0, spoilt(second) + third), 2)
        with pytest.raises(LogUnavailableError, match=r"^t-0@2: "):
            taken([lane], MOST)
        assert (lane.offset, lane.next, lane.records) == (2, 2, None)
    assert lane.give(Chunk("t", 0, 0, second + third), 2)
    assert values(taken([lane], MOST)) == [b"c", b"d", b"e"]


def test_a_batch_too_short_to_be_one_is_told_and_asked_for_again() -> None:
    lane = Lane(("t", 0), 0, 0, 0.0)
    assert not lane.give(Chunk("t", 0, 0, struct.pack(">qi", 0, 1) + b"x"), 0)
    assert (lane.trouble, lane.next, lane.records) == (DAMAGED, 0, None)


@pytest.mark.parametrize("at_ms", [CREATED_MS * 1000, CREATED_MS * 1_000_000, -(1 << 62)])
def test_a_moment_that_is_none_does_not_stop_a_partition(at_ms: int) -> None:
    records = taken([given(batch(0, [b"a"]) + batch(1, [b"b"], at_ms=at_ms) + batch(2, [b"c"]))], MOST)
    created = datetime.fromtimestamp(CREATED_MS / 1000, UTC)
    assert [(record.value, record.appended_at) for record in records] == [
        (b"a", created),
        (b"b", datetime.fromtimestamp(0, UTC)),
        (b"c", created),
    ]


def test_a_header_whose_name_is_no_text_does_not_stop_a_partition() -> None:
    named = batch(1, [b"b", b"c"], headers=["hx", "ce_id"])
    odd = signed(named.replace(b"hx", b"\xff\xfe"))
    records = taken([given(batch(0, [b"a"]) + odd + batch(3, [b"d"]))], MOST)
    assert values(records) == [b"a", b"b", b"c", b"d"]
    assert [record.offset for record in records] == [0, 1, 2, 3]
    assert msgspec.json.decode(records[1].headers) == {r"\xff\xfe": "1", "ce_id": "1"}


def test_only_the_records_behind_the_last_are_read_again_when_a_name_is_no_text() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
    for place, name in enumerate(["good", "hx", "good"]):
        builder.append(place, CREATED_MS, key=None, value=b"%d" % place, headers=[(name, None)])
    records = taken([given(signed(bytes(builder.build()).replace(b"hx", b"\xff\xfe")))], MOST)
    assert [(record.offset, record.value, record.key) for record in records] == [
        (0, b"0", None),
        (1, b"1", None),
        (2, b"2", None),
    ]
