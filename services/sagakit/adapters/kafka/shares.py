"""Who of a group handles what: decided by the member that the brokers made the leader, told to all through them.

Each member has one range of partition numbers, the same of every topic, in the order of the members' names. A partition
changes hands in two moves, as everywhere: whoever holds it and shall not is told to give it up, and keeps everything
else meanwhile; when it has, the group is divided once more, and only then another one gets it. What a member may
believe to hold it says whenever it joins.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

from sagakit.core.partitioner import range_share

PROTOCOL = "sagaplane"
"""Its name among the protocols of consumers: members that divide in another way are not let in."""
VERSION = 0


class Claim(msgspec.Struct, frozen=True):
    """What a member says when it joins. `turn` grows, so that brokers take each joining for a new one."""

    name: str
    topics: tuple[str, ...]
    held: frozenset[int]
    turn: int = 0


class Share(msgspec.Struct, frozen=True):
    """What a member is told: the partitions that are its own, and those that it is to give up."""

    partitions: frozenset[int] = frozenset()
    give_up: frozenset[int] = frozenset()


def divide(claims: Mapping[str, Claim], partitions: int) -> dict[str, Share]:
    """Return each member's share, by member id; nobody's share has what somebody else may hold."""
    members = sorted(claims, key=lambda member: (claims[member].name, member))
    shares: dict[str, Share] = {}
    for member in members:
        wanted = range_share(members, member, partitions)
        others: frozenset[int] = frozenset().union(*(claims[other].held for other in members if other != member))
        shares[member] = Share(wanted - others, claims[member].held - wanted)
    return shares


def claim_bytes(claim: Claim) -> bytes:
    """Return a claim as brokers and Kafka's own tools read it; what is ours is in the user data."""
    return bytes(ConsumerProtocolMemberMetadata(VERSION, [*claim.topics], msgspec.json.encode(claim)).encode())


def claim_of(data: bytes) -> Claim:
    """Return the claim that a member sent."""
    return msgspec.json.decode(ConsumerProtocolMemberMetadata.decode(data).user_data, type=Claim)


def share_bytes(share: Share, topics: tuple[str, ...]) -> bytes:
    """Return a share as Kafka's own tools read it."""
    assigned: list[Any] = [(topic, sorted(share.partitions)) for topic in topics]
    return bytes(ConsumerProtocolMemberAssignment(VERSION, assigned, msgspec.json.encode(share)).encode())


def share_of(data: bytes) -> Share:
    """Return the share that the leader gave us; none when it gave nothing."""
    if not data:
        return Share()
    return msgspec.json.decode(ConsumerProtocolMemberAssignment.decode(data).user_data, type=Share)
