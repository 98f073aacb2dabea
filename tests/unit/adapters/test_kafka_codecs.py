"""What others compress is read: a record that is not would stop its partition for ever."""

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from sagakit.adapters.kafka.records import records_of

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
BATCH_BYTES = 1 << 20


@pytest.mark.parametrize("codec", CODECS)
def test_records_are_read_however_they_are_compressed(codec: str) -> None:
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], 0, -1, -1, 0, BATCH_BYTES)
    values = [b"%d" % number * 1000 for number in range(10)]
    for offset, value in enumerate(values):
        builder.append(offset, 1_700_000_000_000, key=b"k", value=value, headers=[])
    built = bytes(builder.build())
    assert len(built) < sum(map(len, values)), "they were not compressed"
    assert [record.value for record in records_of("t", 0, built, 0)] == values
