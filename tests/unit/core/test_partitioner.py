"""Keys go to the partitions that Kafka's own clients choose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagakit.core.partitioner import fair_shares, murmur2, partition_of, range_share

# From Kafka's own unit tests (UtilsTest.testMurmur2), as signed 32-bit numbers.
GOLDEN = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize(("key", "expected"), GOLDEN.items())
def test_the_hash_is_the_one_of_kafkas_own_tests(key: str, expected: int) -> None:
    assert murmur2(key.encode()) == expected % 2**32


def test_a_key_of_any_length_has_a_hash_of_32_bits() -> None:
    hashes = [murmur2(b"k" * length) for length in range(300)]
    assert all(0 <= value < 2**32 for value in hashes)
    assert len(set(hashes)) == 300


def test_the_sign_bit_is_dropped_before_the_division() -> None:
    assert partition_of("21", 7) == (-973932308 & 0x7FFFFFFF) % 7


@given(st.integers(0, 8), st.integers(1, 20))
def test_ranges_cover_every_partition_once_and_differ_by_one_at_most(members: int, partitions: int) -> None:
    names = [f"m{number}" for number in range(members)]
    shares = [range_share(names, name, partitions) for name in names]
    if shares:
        assert sorted(partition for share in shares for partition in share) == [*range(partitions)]
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_who_is_no_member_has_no_share() -> None:
    assert range_share(["a"], "b", 4) == frozenset()


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 100), st.integers(0, 1000))
def test_fair_shares_use_the_limit_and_take_no_more_than_there_is(waiting: list[int], limit: int, turn: int) -> None:
    shares = fair_shares(waiting, limit, turn)
    assert sum(shares) == min(limit, sum(waiting))
    assert all(0 <= share <= most for share, most in zip(shares, waiting, strict=True))
    assert all(share >= min(most, limit // len(waiting)) for share, most in zip(shares, waiting, strict=True))


@given(st.integers(1, 12), st.integers(1, 30))
def test_everybodys_turn_comes_when_the_turn_grows_by_what_was_taken(places: int, limit: int) -> None:
    turn, served = 0, set()
    for _ in range(places):
        shares = fair_shares([1000] * places, limit, turn)
        served |= {place for place, share in enumerate(shares) if share}
        turn += sum(shares)
    assert served == {*range(places)}
