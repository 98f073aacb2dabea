"""The outbox under several writers, and the lease by which one of several relays publishes."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import pytest
from tests.real.postgres import Postgres
from tests.real.postgres_world import OpenPostgres, connected, one_schema, opening

from sagakit.adapters.postgres import Address, PostgresStore
from sagakit.adapters.postgres.migration import migrate
from sagakit.ports import Store, Transaction
from sagakit.runtime.lease import LEASE_SECONDS, LEASES, Lease
from sagakit.testing.contracts.things import OTHERS, Other, draft

pytestmark = pytest.mark.real

WRITERS = 4
MESSAGES = 60
KEYS = ("a", "b", "c", "d")
SECONDS_MAX = 60.0


@pytest.fixture(scope="module")
def address(session_postgres: Postgres) -> Iterator[Address]:
    with one_schema(session_postgres) as address:
        asyncio.run(migrate(address, [LEASES]))
        yield address


@pytest.fixture
async def open_store(address: Address, postgres: Postgres) -> AsyncIterator[OpenPostgres]:
    async with opening(address) as open_store:
        yield open_store


async def say(transaction: Transaction, key: str, writer: int) -> None:
    """Send the next message of a key: its number is taken under the lock of the key's row."""
    number = (await transaction.load(OTHERS, [key])).get(key, Other(key)).size + 1
    await transaction.save(OTHERS, [Other(key, number)])
    await transaction.send([draft("t", key, f"{number} by {writer}"), draft("t", f"{writer}", "an aside")])


@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_a_relay_behind_several_writers_loses_nothing_and_keeps_the_order_of_each_key(
    open_store: OpenPostgres, limit: int
) -> None:
    relay = open_store()
    done = asyncio.Event()
    published: dict[str, list[int]] = defaultdict(list)
    asides = 0

    async def write(writer: int) -> None:
        store, random = open_store(), Random(writer)
        for _ in range(MESSAGES):
            key = random.choice(KEYS)
            await store.transact(lambda transaction, its=key: say(transaction, its, writer))  # type: ignore[misc]

    async def publish() -> None:
        nonlocal asides
        while True:
            last = done.is_set()
            entries = await relay.outbox(limit)
            for entry in entries:
                text = msgspec.json.decode(entry.draft.value)["text"]
                if text == "an aside":
                    asides += 1
                else:
                    published[entry.draft.key or ""].append(int(text.split()[0]))
            await relay.published([entry.position for entry in entries])
            if last and not entries:
                return
            await asyncio.sleep(0)

    async def write_all() -> None:
        await asyncio.gather(*map(write, range(WRITERS)))
        done.set()

    async with asyncio.timeout(SECONDS_MAX):
        await asyncio.gather(publish(), write_all())
    assert all(numbers == [*range(1, len(numbers) + 1)] for numbers in published.values())
    assert sum(map(len, published.values())) == asides == WRITERS * MESSAGES
    assert await relay.outbox_depth() == 0


async def test_who_takes_its_number_early_and_commits_late_is_published_too(
    open_store: OpenPostgres, address: Address
) -> None:
    late, prompt, relay = open_store(), open_store(), open_store()
    await late.transact(lambda transaction: transaction.send([draft("t", "a", "a draft of its own")]))
    ((early, encoded),) = await rows(address)
    await relay.published([entry.position for entry in await relay.outbox(10)])
    async with connected(address.url) as rival:
        begun = rival.transaction()
        await begun.start()
        number = await rival.fetchval(
            f'INSERT INTO "{address.schema}".kit_outbox (size, waiting, drafts) VALUES (1, 1, $1) RETURNING id',  # noqa: S608
            encoded,
        )
        assert number > early
        await prompt.transact(lambda transaction: transaction.send([draft("t", "b", "overtakes")]))
        first = await relay.outbox(10)
        await relay.published([entry.position for entry in first])
        await begun.commit()
    second = await relay.outbox(10)
    assert [entry.draft.key for entry in (*first, *second)] == ["b", "a"]
    assert second[0].position < first[0].position
    await relay.published([entry.position for entry in second])
    assert await relay.outbox_depth() == 0


async def rows(address: Address) -> list[tuple[int, bytes]]:
    async with connected(address.url) as own:
        found = await own.fetch(f'SELECT id, drafts FROM "{address.schema}".kit_outbox')  # noqa: S608 - our own words
        return [(row["id"], row["drafts"]) for row in found]


@dataclass
class TurnedClock:
    """Time as the test turns it."""

    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def chance(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.turn(seconds)

    def turn(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
async def instances(address: Address, postgres: Postgres, open_store: OpenPostgres) -> AsyncIterator[list[Store]]:
    """Three instances, each with a store of its own."""
    stores = [PostgresStore(address, [LEASES]) for _ in range(3)]
    yield [*stores]
    for store in stores:
        await store.close()
    async with connected(address.url) as own:
        await own.execute(f'DELETE FROM "{address.schema}".leases')  # noqa: S608 - our own words


async def test_of_several_relays_one_publishes_at_any_time(instances: list[Store], clock: TurnedClock) -> None:
    leases = [Lease("relay", f"i{number}", store, clock) for number, store in enumerate(instances)]
    for _ in range(40):
        held = await asyncio.gather(*(lease.held() for lease in leases))
        assert sum(held) == 1
        clock.turn(LEASE_SECONDS / 7)


async def test_a_killed_relay_is_succeeded_when_its_lease_has_ended(instances: list[Store], clock: TurnedClock) -> None:
    killed, successor = (Lease("relay", f"i{number}", store, clock) for number, store in enumerate(instances[:2]))
    assert await killed.held()
    assert not await successor.held()
    waited = 0.0
    while not await successor.held():
        clock.turn(0.1)
        waited += 0.1
        assert waited < LEASE_SECONDS + 1
    assert waited >= LEASE_SECONDS - 0.2
    assert not await killed.held()


async def test_a_relay_of_the_same_name_takes_over_at_once(instances: list[Store], clock: TurnedClock) -> None:
    before, after = (Lease("relay", "i0", store, clock) for store in instances[:2])
    assert await before.held()
    assert await after.held()
    clock.turn(LEASE_SECONDS / 2)
    assert not await before.held()
    assert await after.held()


async def test_a_lease_that_is_given_back_is_taken_at_the_next_look(instances: list[Store], clock: TurnedClock) -> None:
    first, second = (Lease("relay", f"i{number}", store, clock) for number, store in enumerate(instances[:2]))
    assert await first.held()
    assert not await second.held()
    await first.release()
    clock.turn(LEASE_SECONDS / 9)
    assert await second.held()
    assert not await first.held()
