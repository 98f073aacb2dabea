"""Which partition a key belongs to, and which member a partition: the same that Kafka's clients choose."""

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct

SEED = 0x9747B28C
MULTIPLIER = 0x5BD1E995
WORD = 0xFFFFFFFF
KEYS_REMEMBERED = 10_000

_words_of = tuple(Struct(f"<{count}I").unpack_from for count in range(33))


def murmur2(key: bytes) -> int:
    """Return Kafka's hash of the bytes (murmur 2, 32 bits), unsigned."""
    length = len(key)
    count = length >> 2
    words = _words_of[count](key) if count < len(_words_of) else Struct(f"<{count}I").unpack_from(key)
    value = SEED ^ length
    for word in words:
        mixed = word * 0x5BD1E995 & 0xFFFFFFFF  # the literals spare a look-up of MULTIPLIER and WORD per turn
        value = (value * 0x5BD1E995 ^ (mixed ^ mixed >> 24) * 0x5BD1E995) & 0xFFFFFFFF
    if length & 3:
        value = (value ^ int.from_bytes(key[count << 2 :], "little")) * MULTIPLIER & WORD
    value = (value ^ value >> 13) * MULTIPLIER & WORD
    return value ^ value >> 15


@lru_cache(KEYS_REMEMBERED)
def partition_of(key: str, partitions: int) -> int:
    """Return the partition of a key among so many, as Kafka's default partitioner chooses it."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def range_share(members: Sequence[str], member: str, partitions: int) -> frozenset[int]:
    """Return the member's range of partitions; the first members have one more when it does not divide evenly."""
    if member not in members:
        return frozenset()
    index = members.index(member)
    each, more = divmod(partitions, len(members))
    first = index * each + min(index, more)
    return frozenset(range(first, first + each + (index < more)))


def fair_shares(waiting: Sequence[int], limit: int, turn: int) -> list[int]:
    """Return how many to take of each: the same of all, what is left of the limit from `turn` on, round the circle.

    When `turn` grows by what was taken, everybody's turn comes, also when the limit is smaller than the circle.
    """
    each = max(1, limit // len(waiting))
    shares, left = [0] * len(waiting), limit
    circle = [(turn + step) % len(waiting) for step in range(len(waiting))]
    for most in (each, limit):
        for place in circle:
            more = min(most, left, waiting[place] - shares[place])
            shares[place] += more
            left -= more
    return shares
