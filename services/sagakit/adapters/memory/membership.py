"""Consumer groups in memory, with the same two moves in which a partition changes hands everywhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sagakit.core.partitioner import range_share
from sagakit.ports import Clock


@dataclass(slots=True)
class Group:
    """Who lives, until when unless heard of again, and who holds which partition."""

    partitions: int
    leases: dict[str, datetime] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    holders: dict[int, str] = field(default_factory=dict)

    def settle(self, member: str, now: datetime, lease: timedelta) -> frozenset[int]:
        """Renew the lease, bury the dead, give up what is not the member's any more, take what is and is free."""
        self.leases[member] = now + lease
        if min(self.leases.values()) <= now:
            self.leases = {name: until for name, until in self.leases.items() if until > now}
        share = range_share(sorted(self.leases), member, self.partitions)
        self.holders = {
            number: holder
            for number, holder in self.holders.items()
            if (number in share if holder == member else holder in self.leases)
        }
        for number in share:
            self.holders.setdefault(number, member)
        return frozenset(number for number, holder in self.holders.items() if holder == member)

    def leave(self, member: str) -> None:
        """Forget the member and give its partitions up."""
        self.leases.pop(member, None)
        self.holders = {number: holder for number, holder in self.holders.items() if holder != member}


class MemoryMembership:
    """Keeps the promises of `Membership`."""

    def __init__(self, group: Group, member: str, clock: Clock, lease_seconds: float) -> None:
        """Enter the group; an earlier instance of the same name is out from now on."""
        self._group = group
        self._member = member
        self._clock = clock
        self._lease = timedelta(seconds=lease_seconds)
        self._epoch = group.epochs[member] = group.epochs.get(member, 0) + 1
        group.leases[member] = clock.now() + self._lease

    async def assignment(self) -> frozenset[int]:
        if self._group.epochs[self._member] != self._epoch:
            return frozenset()
        return self._group.settle(self._member, self._clock.now(), self._lease)

    def handled(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Nobody watches lags here."""

    async def leave(self) -> None:
        if self._group.epochs[self._member] == self._epoch:
            self._group.leave(self._member)
