"""A log that publishes twice, in part, or without saying so, and shows its partitions late."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sagakit.adapters.memory import MemoryLog
from sagakit.ports import Draft, LogUnavailableError, Membership, Record
from sagakit.testing.simulation.faults import NO_FAULTS
from sagakit.testing.simulation.mishaps import Mishaps

Place = tuple[str, int]
LATE_SECONDS_MAX = 6.0


class FaultyLog:
    """Keeps the promises of `Log`, the disagreeable ones too; each process looks through one of its own."""

    def __init__(self, inner: MemoryLog, mishaps: Mishaps, published: list[Draft]) -> None:
        """Reach `inner`, which all processes share; everything is added to `published`, in its one order over all."""
        self._inner = inner
        self._published = published
        self._mishaps = mishaps
        self._late_until: dict[Place, float] = {}

    @property
    def partitions(self) -> int:
        return self._inner.partitions

    async def publish(self, drafts: Sequence[Draft]) -> None:
        await self._mishaps.hesitate()
        if self._mishaps.strikes("publish_fails_before"):
            raise LogUnavailableError("the simulated log took nothing")
        if self._mishaps.strikes("publish_in_part"):
            await self._append(drafts[: self._mishaps.random.randint(0, len(drafts))])
            raise LogUnavailableError("the simulated log took a part")
        await self._append([d for draft in drafts for d in self._doubled(draft)])
        if self._mishaps.strikes("publish_fails_after"):
            raise LogUnavailableError("the simulated log took everything and did not say so")
        await self._mishaps.hesitate()

    async def fetch(self, positions: Mapping[Place, int], limit: int) -> list[Record]:
        records = await self._inner.fetch(positions, limit)
        if records and self._mishaps.faults is not NO_FAULTS:
            late = {place for place in dict.fromkeys((r.topic, r.partition) for r in records) if self._is_late(place)}
            records = [record for record in records if (record.topic, record.partition) not in late]
            if len(records) > 1 and self._mishaps.strikes("fetch_cut"):
                records = records[: self._mishaps.random.randint(1, len(records))]
        if records and self._mishaps.strikes("stall_with_batch"):
            await self._mishaps.stall()
        elif records:
            await self._mishaps.hesitate()
        return records

    async def ends(self, topics: Iterable[str]) -> dict[Place, int]:
        return await self._inner.ends(topics)

    async def identities(self, topics: Iterable[str]) -> dict[str, str]:
        return await self._inner.identities(topics)

    def for_reader(self) -> "FaultyLog":
        return self

    async def join(self, group: str, member: str, topics: Iterable[str]) -> Membership:
        return await self._inner.join(group, member, topics)

    async def wait(self, seconds: float) -> None:
        await self._mishaps.clock.sleep(seconds)

    async def prune(self, topic: str, older_than: datetime) -> int:
        return await self._inner.prune(topic, older_than)

    async def close(self) -> None:
        """The log outlives every process."""

    async def _append(self, drafts: Sequence[Draft]) -> None:
        self._published += drafts
        await self._inner.publish(drafts)

    def _doubled(self, draft: Draft) -> tuple[Draft, ...]:
        return (draft, draft) if self._mishaps.strikes("message_doubled") else (draft,)

    def _is_late(self, place: Place) -> bool:
        """Tell whether news of the partition have not come through yet: so topics overtake each other."""
        now = self._mishaps.clock.seconds
        if self._late_until.get(place, 0.0) > now:
            return True
        if self._mishaps.strikes("partition_late"):
            self._late_until[place] = now + self._mishaps.random.random() * LATE_SECONDS_MAX
            return True
        return False
