"""Dead letters that wait are counted while they wait, as whoever reads the whole topic would count them."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.order_service.shop import NOON, HandClock
from typing_extensions import override

from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.adapters.sqlite import SqliteLog
from sagakit.core.messages import Message
from sagakit.ports import Draft, Log, LogUnavailableError, Record
from sagakit.runtime.catalogue import DLQ_DEPTH, PENDING
from sagakit.runtime.consumer import dead_letter, dead_message
from sagakit.runtime.dead_letters import Because, DeadLetter, Status, discard, letters_of, redrive
from sagakit.runtime.housekeeping import KEPT_DAYS
from sagakit.runtime.lease import Lease
from sagakit.runtime.observation import Observation
from sagakit.runtime.open_letters import OpenLetters
from sagakit.runtime.service import KIT_TABLES
from sagakit.runtime.topics import dead_letter_topic

SERVICE, TOPIC = "payment", dead_letter_topic("payment")
ADA = Because("ada", "it is mended")
PLACE = tuple[str, int]


def buried(number: int, clock: HandClock) -> Draft:
    """Return the letter of a record that has a place."""
    record = Record("orders.events", 0, number, f"order-{number}", b"{}", b"nonsense", clock.now())
    return dead_letter(SERVICE, record, "unreadable", "it is nonsense", clock.now())


def expired(number: int, clock: HandClock) -> Draft:
    """Return the letter of a message that waited in vain, and may do so again."""
    name = f"parked-{number}"
    message = Message(
        id=f"id-{name}",
        type="PaymentCompleted",
        source="payment",
        time=NOON,
        saga_id=name,
        correlation_id=name,
        causation_id="why",
        data=msgspec.Raw(b"{}"),
    )
    return dead_message(SERVICE, message, "payments.events", "expired", "nobody came", clock.now())


async def depth(letters: OpenLetters) -> int:
    [(named, labels, value)] = await letters.measured()
    assert (named, labels) == (DLQ_DEPTH, (TOPIC,))
    assert isinstance(value, int)
    return value


async def waiting(log: Log) -> Sequence[DeadLetter]:
    return [letter for letter in (await letters_of(log, SERVICE)).all if letter.status is Status.OPEN]


async def test_a_letter_waits_until_a_person_redrives_or_discards_it() -> None:
    clock = HandClock()
    log = MemoryLog(clock)
    letters = OpenLetters(SERVICE, log, clock)
    assert await depth(letters) == 0
    await log.publish([buried(1, clock), buried(2, clock), buried(3, clock)])
    assert await depth(letters) == 3
    first, second, _ = await waiting(log)
    await redrive(log, first, ADA, clock.now())
    await discard(log, second, ADA, clock.now())
    assert await depth(letters) == 1
    assert await depth(OpenLetters(SERVICE, log, clock)) == 1, "another instance says the same"


async def test_a_message_that_is_redriven_and_waits_in_vain_again_is_a_letter_that_waits_again() -> None:
    clock = HandClock()
    log = MemoryLog(clock)
    letters = OpenLetters(SERVICE, log, clock)
    first = expired(1, clock)
    await log.publish([first])
    [letter] = await waiting(log)
    await discard(log, letter, ADA, clock.now())
    assert await depth(letters) == 0
    clock.pass_seconds(3600)
    await log.publish([expired(1, clock)])
    assert await depth(letters) == 1
    await log.publish([first])
    assert await depth(letters) == 1, "the first one was published twice, and is as old as it was"


MOVES = st.one_of(
    st.tuples(st.sampled_from(["bury", "expire", "publish again", "decide"]), st.integers(0, 3)),
    st.tuples(st.just("pass hours"), st.sampled_from([1, 30, 24 * KEPT_DAYS - 1])),
    st.tuples(st.sampled_from(["look", "nonsense", "restart"]), st.just(0)),
)


@given(st.lists(MOVES, max_size=40))
def test_whatever_happens_it_counts_what_whoever_reads_everything_finds(moves: Sequence[tuple[str, int]]) -> None:
    async def story() -> None:
        clock = HandClock()
        log = MemoryLog(clock)
        letters = OpenLetters(SERVICE, log, clock)
        for what, number in moves:
            clock.pass_seconds(1)
            match what:
                case "bury":
                    await log.publish([buried(number, clock)])
                case "expire":
                    await log.publish([expired(number, clock)])
                case "publish again":
                    kept = {place: its.first for place, its in log.state.places.items()}
                    everything = await log.fetch(kept, 1000)
                    await log.publish([Draft(r.topic, r.key, r.headers, r.value) for r in everything[number::4]])
                case "decide":
                    every = (await letters_of(log, SERVICE)).all
                    if number < len(every):
                        await discard(log, every[number], ADA, clock.now())
                case "pass hours":
                    clock.pass_seconds(number * 3600)
                case "nonsense":
                    await log.publish([Draft(TOPIC, "x", b"{", b"\xff"), Draft(TOPIC, "y", b"{}", b"{}")])
                case "restart":
                    letters = OpenLetters(SERVICE, log, clock)
                case _:
                    assert await depth(letters) == len(await waiting(log))
            await log.prune(TOPIC, clock.now() - timedelta(days=KEPT_DAYS))
        assert await depth(letters) == len(await waiting(log))

    asyncio.run(story())


async def test_a_file_is_read_on_from_where_it_was_read_before(tmp_path: Path) -> None:
    clock = HandClock()
    log = SqliteLog(tmp_path / "log.db", now=clock.now)
    letters = OpenLetters(SERVICE, log, clock)
    await log.publish([buried(number, clock) for number in range(1200)])
    assert await depth(letters) == 1200
    await redrive(log, (await waiting(log))[7], ADA, clock.now())
    assert await depth(letters) == 1199
    await log.close()


class SlowLog(MemoryLog):
    """A log that hangs once it has given one page of dead letters, until somebody lets it go on."""

    hangs = True

    @override
    async def fetch(self, positions: Mapping[PLACE, int], limit: int) -> list[Record]:
        if self.hangs and any(positions.values()):
            await asyncio.Event().wait()
        return await super().fetch(positions, limit)


async def test_who_gives_up_in_between_has_not_read_in_vain() -> None:
    clock = HandClock()
    log = SlowLog(clock)
    letters = OpenLetters(SERVICE, log, clock)
    await log.publish([buried(number, clock) for number in range(600)])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(letters.measured(), 0.05)
    log.hangs = False
    assert await depth(letters) == 600


class ForbiddenLog(MemoryLog):
    """A log that lets nobody read."""

    @override
    async def fetch(self, positions: Mapping[PLACE, int], limit: int) -> list[Record]:
        raise LogUnavailableError("user payment is not allowed to")


@pytest.mark.parametrize("log", [ForbiddenLog, SlowLog], ids=lambda kind: kind.__name__)
async def test_a_topic_that_cannot_be_read_costs_its_own_sample_and_no_other(
    log: type[MemoryLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagakit.runtime.observation.MEASURE_SECONDS_MAX", 0.05)
    clock, store = HandClock(), MemoryStore(KIT_TABLES)
    its = log(clock)
    await its.publish([buried(number, clock) for number in range(600)])
    seen = Observation(SERVICE, store, its, clock, Lease("payment relay", "0", store, clock))
    named = {sample[0] for sample in await seen.measured()}
    assert PENDING in named
    assert DLQ_DEPTH not in named
