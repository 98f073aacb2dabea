"""The request for records and its answer, in the bytes that Kafka defines."""

from io import BytesIO

import pytest
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.fetch import FetchRequest_v10, FetchResponse_v10

from sagakit.adapters.kafka.fetching import Chunk, fetch_request
from sagakit.adapters.kafka.protocol import topics_request


def test_the_request_is_what_the_schema_says() -> None:
    request = fetch_request([("t", 0, 5), ("t", 2, 7), ("grüße", 1, 2**40)], 0.25)
    expected = FetchRequest_v10(
        replica_id=-1,
        max_wait_time=250,
        min_bytes=1,
        max_bytes=4 << 20,
        isolation_level=0,
        session_id=0,
        session_epoch=-1,
        topics=[
            ("t", [(0, -1, 5, -1, 512 << 10), (2, -1, 7, -1, 512 << 10)]),
            ("grüße", [(1, -1, 2**40, -1, 512 << 10)]),
        ],
        forgotten_topics_data=[],
    )
    assert request.encode() == expected.encode()


def test_the_answer_is_what_the_schema_says() -> None:
    answer = FetchResponse_v10(
        throttle_time_ms=1,
        error_code=0,
        session_id=0,
        topics=[
            ("t", [(0, 0, 9, 9, 1, [(7, 3), (8, 4)], b"data"), (2, 1, -1, -1, -1, None, None)]),
            ("grüße", [(1, 0, 2**40, 2**40, 0, [], b"")]),
        ],
    )
    buffer = BytesIO(b"head" + answer.encode())
    buffer.read(4)
    found = fetch_request([], 0).RESPONSE_TYPE.decode(buffer)
    assert found.error == 0
    assert found.chunks == [Chunk("t", 0, 0, b"data"), Chunk("t", 2, 1, b""), Chunk("grüße", 1, 0, b"")]


def test_a_broker_that_is_too_old_is_told_from_one_that_is_away() -> None:
    request = topics_request(["t"])
    assert request.prepare({3: (0, 13)}) is request
    with pytest.raises(IncompatibleBrokerVersion, match="the broker knows 0 to 9"):
        request.prepare({3: (0, 9)})
