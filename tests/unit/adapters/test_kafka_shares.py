"""How the members of a group divide the partitions."""

from hypothesis import given
from hypothesis import strategies as st

from sagakit.adapters.kafka.shares import Claim, Share, claim_bytes, claim_of, divide, share_bytes, share_of
from sagakit.core.partitioner import range_share

PARTITIONS = 12
TOPICS = ("t", "u")
GROUPS = st.sets(st.sampled_from("abcdefgh"), min_size=1)


class Group:
    """Members as they are between two divisions: what each holds, and what it was told."""

    def __init__(self) -> None:
        self.held: dict[str, frozenset[int]] = {}
        self.shares: dict[str, Share] = {}

    def divided(self, members: set[str]) -> None:
        self.held = {member: self.held.get(member, frozenset()) for member in members}
        claims = {member: Claim(member, TOPICS, held) for member, held in self.held.items()}
        self.shares = divide(claims, PARTITIONS)

    def ask(self, member: str) -> None:
        """Let one member ask, and check what others may still believe."""
        self.held[member] = self.shares[member].partitions
        assert sum(map(len, self.held.values())) == len(frozenset().union(*self.held.values()))


@given(st.lists(st.tuples(GROUPS, st.permutations("abcdefgh"))), GROUPS)
def test_no_two_members_ever_hold_a_partition_whoever_asks_first(
    changes: list[tuple[set[str], list[str]]], last: set[str]
) -> None:
    group = Group()
    for members, asking in changes:
        group.divided(members)
        for member in asking[: len(asking) // 2]:
            if member in members:
                group.ask(member)
    for _ in range(2):
        group.divided(last)
        for member in last:
            group.ask(member)
    names = sorted(last)
    assert group.held == {member: range_share(names, member, PARTITIONS) for member in names}


@given(GROUPS)
def test_a_group_that_does_not_change_gives_nothing_up(members: set[str]) -> None:
    group = Group()
    for _ in range(2):
        group.divided(members)
        for member in members:
            group.ask(member)
    assert not any(share.give_up for share in group.shares.values())


def test_whoever_joins_takes_nothing_from_those_who_handle_it() -> None:
    shares = divide({"1": Claim("a", TOPICS, frozenset(range(4))), "2": Claim("b", TOPICS, frozenset())}, 4)
    assert shares == {"1": Share(frozenset({0, 1}), frozenset({2, 3})), "2": Share()}


def test_members_are_divided_in_the_order_of_their_names() -> None:
    shares = divide({"z": Claim("a", TOPICS, frozenset()), "a": Claim("b", TOPICS, frozenset())}, 4)
    assert shares["z"].partitions == {0, 1}


def test_what_members_and_leader_say_comes_through_the_brokers() -> None:
    claim = Claim("a", TOPICS, frozenset({1, 2}), turn=3)
    share = Share(frozenset({1}), frozenset({2}))
    assert claim_of(claim_bytes(claim)) == claim
    assert share_of(share_bytes(share, TOPICS)) == share
    assert share_of(b"") == Share()
