"""Headers on their way through Kafka."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagakit.adapters.kafka.headers import MARK, NUMBERS, from_kafka, to_kafka
from sagakit.core.messages import Envelope

NAMES = st.sampled_from([*NUMBERS, "ce_id", "n", "content-type", "grüße", ""]) | st.text().filter(MARK.__ne__)
VALUES = st.text() | st.integers() | st.sampled_from(["0", "1", "-1", "007", "1" * 30, "٣", "²"])


def encoded(values: object) -> bytes:
    return msgspec.json.encode(values)


@given(st.dictionaries(NAMES, VALUES))
def test_headers_come_back_byte_for_byte(values: dict[str, str | int]) -> None:
    headers = encoded(values)
    assert from_kafka(to_kafka(headers)) == headers


@pytest.mark.parametrize("headers", [b'{"share":1.50,"ready":true,"none":null,"parts":[1,{"a":"b"}]}', b"{}"])
def test_whatever_json_it_is_comes_back(headers: bytes) -> None:
    assert from_kafka(to_kafka(headers)) == headers


def test_the_numbers_of_an_envelope_need_no_mark() -> None:
    headers = encoded({"ce_id": "7", "ce_attempt": 3, "ce_dataversion": 2, "content-type": "application/json"})
    assert to_kafka(headers) == [
        ("ce_id", b"7"),
        ("ce_attempt", b"3"),
        ("ce_dataversion", b"2"),
        ("content-type", b"application/json"),
    ]


def test_the_names_of_numbers_are_those_of_the_envelope() -> None:
    assert set(NUMBERS) == {"ce_attempt", "ce_dataversion", "ce_tookmilliseconds"}
    assert {field.encode_name for field in msgspec.structs.fields(Envelope)} >= set(NUMBERS)


def test_a_number_under_another_name_says_so_beside_its_text() -> None:
    assert to_kafka(b'{"ce_id":"1","n":2}') == [("ce_id", b"1"), ("n", b"2"), (MARK, b'["n"]')]


def test_what_a_stranger_wrote_is_read_as_far_as_it_can_be() -> None:
    headers = [("ce_id", b"1"), ("ce_attempt", b"2"), ("ce_dataversion", b"two"), ("raw", b"\xff"), ("none", None)]
    assert msgspec.json.decode(from_kafka(headers)) == {
        "ce_id": "1",
        "ce_attempt": 2,
        "ce_dataversion": "two",
        "raw": "\\xff",
        "none": "",
    }


@pytest.mark.parametrize("mark", [b"", b"n", b'["n"]', b'["missing"]', b"[1]", b"\xff"])
def test_a_mark_that_is_not_ours_harms_nothing(mark: bytes) -> None:
    found = msgspec.json.decode(from_kafka([("ce_id", b"1"), ("n", b"two"), (MARK, mark)]))
    assert found["ce_id"] == "1"
    assert found["n"] == "two"
