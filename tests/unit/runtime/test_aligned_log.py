"""A log that is read in the order of its times, wherever reading begins or stops, and however little is read ahead."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagakit.adapters.memory import MemoryLog, MemoryLogState
from sagakit.core.partitioner import partition_of
from sagakit.ports import Draft, Record
from sagakit.runtime.projection import AlignedLog, Place

PARTITIONS = 2
TOPICS = ("orders.events", "payments.events")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIRST = {(topic, number): 0 for topic in TOPICS for number in range(PARTITIONS)}
KEYS = [next(key for key in map(str, range(100)) if partition_of(key, PARTITIONS) == p) for p in range(PARTITIONS)]

Step = tuple[int, int, int]
"""By how many seconds the clock moves, and the topic and the partition of the record that comes then."""
lanes = st.tuples(st.integers(0, len(TOPICS) - 1), st.integers(0, PARTITIONS - 1))
forward = st.lists(st.tuples(st.integers(0, 3), lanes).map(lambda s: (s[0], *s[1])), max_size=40)
back_and_forth = st.lists(st.tuples(st.integers(-5, 5), lanes).map(lambda s: (s[0], *s[1])), max_size=40)
limits = st.integers(1, 50)
FEW = settings(max_examples=40, deadline=None)


class Clock:
    """The clock of a log; it may be put back."""

    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment

    def chance(self) -> float:
        return 0.5

    async def sleep(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


async def a_log(steps: Sequence[Step]) -> MemoryLog:
    log = MemoryLog(Clock(), MemoryLogState(PARTITIONS))
    await let_happen(log, steps)
    return log


async def let_happen(log: MemoryLog, steps: Sequence[Step]) -> None:
    clock = log._clock
    for seconds, topic, partition in steps:
        await clock.sleep(seconds)
        await log.publish([Draft(TOPICS[topic], KEYS[partition], b"{}", b"{}")])


async def read(log: AlignedLog, positions: Mapping[Place, int], limit: int) -> list[Record]:
    """Return all there is from these positions on, asked for as a consumer asks."""
    now = dict(positions)
    found: list[Record] = []
    while records := await log.fetch(now, limit):
        assert len(records) <= limit
        found += records
        now.update({(r.topic, r.partition): r.offset + 1 for r in records})
    return found


def offsets(records: Sequence[Record]) -> dict[Place, list[int]]:
    found: dict[Place, list[int]] = {place: [] for place in FIRST}
    for record in records:
        found[record.topic, record.partition].append(record.offset)
    return found


@pytest.fixture(params=[1, 2, 3, 1000])
def lane_records_max(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How far each partition is read ahead: a limit that a test of some records never meets is no test of it."""
    monkeypatch.setattr("sagakit.runtime.projection.LANE_RECORDS_MAX", request.param)
    return int(request.param)


@pytest.mark.usefixtures("lane_records_max")
@FEW
@given(forward, limits)
async def test_what_came_first_is_handed_out_first_over_all_partitions_and_topics(
    steps: list[Step], limit: int
) -> None:
    found = await read(AlignedLog(await a_log(steps)), FIRST, limit)
    assert all(one.appended_at <= other.appended_at for one, other in pairwise(found))


@pytest.mark.usefixtures("lane_records_max")
@FEW
@given(back_and_forth, limits, st.data())
async def test_nothing_at_or_beyond_a_stop_is_handed_out_and_all_before_it_is(
    steps: list[Step], limit: int, data: st.DataObject
) -> None:
    inner = await a_log(steps)
    ends = await inner.ends(TOPICS)
    stop = {place: data.draw(st.integers(0, end)) for place, end in ends.items() if data.draw(st.booleans())}
    log = AlignedLog(inner)
    log.stop_at(stop)
    assert offsets(await read(log, FIRST, limit)) == {place: [*range(stop.get(place, 0))] for place in FIRST}
    log.stop_at(None)
    rest = await read(log, {place: stop.get(place, 0) for place in FIRST}, limit)
    assert offsets(rest) == {place: [*range(stop.get(place, 0), end)] for place, end in ends.items()}


@pytest.mark.usefixtures("lane_records_max")
@FEW
@given(back_and_forth, limits, st.data())
async def test_whoever_asks_for_another_place_gets_what_is_there(
    steps: list[Step], limit: int, data: st.DataObject
) -> None:
    inner = await a_log(steps)
    ends = await inner.ends(TOPICS)
    log = AlignedLog(inner)
    await log.fetch(FIRST, limit)
    elsewhere = {place: data.draw(st.integers(0, end)) for place, end in ends.items() if data.draw(st.booleans())}
    found = offsets(await read(log, elsewhere, limit))
    assert found == {p: [*range(elsewhere[p], ends[p])] if p in elsewhere else [] for p in FIRST}


@FEW
@given(st.lists(st.tuples(back_and_forth, limits), max_size=5))
async def test_what_comes_while_it_is_read_comes_too(turns: list[tuple[list[Step], int]]) -> None:
    inner = await a_log([])
    log = AlignedLog(inner)
    positions, found = dict(FIRST), []
    for steps, limit in turns:
        await let_happen(inner, steps)
        records = await log.fetch(positions, limit)
        positions.update({(r.topic, r.partition): r.offset + 1 for r in records})
        found += records
    found += await read(log, positions, 7)
    assert offsets(found) == {place: [*range(end)] for place, end in (await inner.ends(TOPICS)).items()}
