"""Several instances write to one schema at the same time: nothing is lost, and nobody decides on what is not so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from random import Random
from typing import Any

import msgspec
import pytest
from tests.real.postgres import Postgres
from tests.real.postgres_world import OpenPostgres, one_schema, opening

from sagakit.adapters.postgres import Address, PostgresStore
from sagakit.ports import DuplicateError, FencedError, Reader, Store, StreamMovedError, Table, Transaction
from sagakit.testing.contracts.things import NOON, OTHERS, THINGS, Other, Thing, bodies, fact

pytestmark = pytest.mark.real

STORES = 3
WORKERS = 6
CHANGES = 12
KEYS = ("a", "b", "c")
SEEDS = (1, 2, 3)
Change = Callable[[Transaction, str], Awaitable[None]]


@pytest.fixture(scope="module")
def address(session_postgres: Postgres) -> Iterator[Address]:
    with one_schema(session_postgres) as address:
        yield address


@pytest.fixture
async def open_store(address: Address, postgres: Postgres) -> AsyncIterator[OpenPostgres]:
    async with opening(address) as open_store:
        yield open_store


async def grow_other(transaction: Transaction, key: str) -> None:
    found = (await transaction.load(OTHERS, [key])).get(key) or Other(key)
    await transaction.save(OTHERS, [Other(key, found.size + 1)])


async def grow_thing(transaction: Transaction, key: str) -> None:
    found = (await transaction.load(THINGS, [key])).get(key) or Thing(key, size=0)
    await transaction.save(THINGS, [msgspec.structs.replace(found, size=(found.size or 0) + 1)])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("table", "grow"), [(OTHERS, grow_other), (THINGS, grow_thing)], ids=["plain", "unique"])
async def test_whoever_adds_to_the_same_records_at_once_loses_nothing(
    open_store: OpenPostgres, table: Table[Any], grow: Change, seed: int
) -> None:
    random = Random(seed)
    plans = [[sorted(random.sample(KEYS, random.randint(1, 3))) for _ in range(CHANGES)] for _ in range(WORKERS)]
    stores = [open_store() for _ in range(STORES)]

    async def work(store: Store, plan: list[list[str]]) -> None:
        for keys in plan:

            async def add(transaction: Transaction, keys: list[str] = keys) -> None:
                for key in keys:
                    await grow(transaction, key)

            await store.transact(add)

    await asyncio.gather(*(work(stores[number % STORES], plan) for number, plan in enumerate(plans)))
    asked = {key: sum(keys.count(key) for plan in plans for keys in plan) for key in KEYS}
    for store in (*stores, open_store()):
        found = await store.view(lambda reader: reader.load(table, KEYS))
        assert {key: record.size for key, record in found.items()} == asked


async def test_whoever_appends_to_the_same_streams_at_once_loses_nothing(open_store: OpenPostgres) -> None:
    stores = [open_store() for _ in range(STORES)]

    async def append(transaction: Transaction, stream: str, text: str) -> None:
        there = len(await transaction.read(stream))
        await transaction.append(stream, [fact(text), fact(f"{text} again")], there, NOON)

    async def work(number: int) -> None:
        for change in range(CHANGES):
            await persist(stores[number % STORES], KEYS[change % 3], f"{number}.{change}")

    async def persist(store: Store, stream: str, text: str) -> None:
        while True:
            try:
                return await store.transact(lambda transaction: append(transaction, stream, text))
            except StreamMovedError:
                continue

    await asyncio.gather(*map(work, range(WORKERS)))
    said = {stream: await stores[0].view(lambda reader, its=stream: bodies(reader, its)) for stream in KEYS}  # type: ignore[misc]
    for place, stream in enumerate(KEYS):
        assert [version for version, _ in said[stream]] == [*range(1, len(said[stream]) + 1)]
        firsts = [text for _, text in said[stream][::2]]
        assert [text for _, text in said[stream][1::2]] == [f"{text} again" for text in firsts]
        wanted = [f"{number}.{change}" for number in range(WORKERS) for change in range(place, CHANGES, 3)]
        assert sorted(firsts) == sorted(wanted)


async def test_of_records_saved_without_a_look_the_last_of_somebody_stays(open_store: OpenPostgres) -> None:
    stores = [open_store() for _ in range(STORES)]

    async def work(number: int) -> None:
        for change in range(CHANGES):
            records = [Other(key, 1000 * number + change) for key in KEYS[:: 1 if number % 2 else -1]]
            await stores[number % STORES].transact(lambda transaction, its=records: transaction.save(OTHERS, its))  # type: ignore[misc]

    await asyncio.gather(*map(work, range(WORKERS)))
    found = await stores[0].view(lambda reader: reader.load(OTHERS, KEYS))
    assert {record.size for record in found.values()} <= {1000 * number + CHANGES - 1 for number in range(WORKERS)}
    assert len(found) == len(KEYS)


async def test_of_several_who_take_the_same_unique_value_at_once_one_has_it(open_store: OpenPostgres) -> None:
    stores = [open_store() for _ in range(STORES)]

    async def take(store: Store, key: str, serial: str) -> bool:
        try:
            await store.transact(lambda transaction: transaction.save(THINGS, [Thing(key, serial=serial)]))
        except DuplicateError:
            return False
        return True

    for serial in ("1", "2", "3"):
        got = await asyncio.gather(*(take(stores[n % STORES], f"{serial}-{n}", serial) for n in range(WORKERS)))
        assert sum(got) == 1


async def test_messages_claimed_at_once_are_claimed_once(open_store: OpenPostgres) -> None:
    stores = [open_store() for _ in range(STORES)]
    ids = [f"m-{number}" for number in range(50)]

    async def claim(number: int) -> set[str]:
        wanted = Random(number).sample(ids, 40)
        return await stores[number % STORES].transact(lambda transaction: transaction.claim(wanted, NOON))

    claimed = await asyncio.gather(*map(claim, range(WORKERS)))
    assert sum(map(len, claimed)) == len(set().union(*claimed))


async def test_a_change_between_memory_and_commit_is_noticed_and_the_work_is_run_again(
    open_store: OpenPostgres,
) -> None:
    ours, rival = open_store(), open_store()
    await ours.transact(lambda transaction: grow_other(transaction, "a"))
    await rival.transact(lambda transaction: grow_other(transaction, "a"))
    seen: list[int] = []

    async def work(transaction: Transaction) -> None:
        seen.append((await transaction.load(OTHERS, ["a"]))["a"].size)
        await grow_other(transaction, "a")

    await ours.transact(work)
    assert seen == [1, 2]
    assert await size_of(ours, "a") == 3


async def test_a_change_during_the_work_is_noticed_and_the_work_is_run_again(open_store: OpenPostgres) -> None:
    ours, rival = open_store(), open_store()
    await ours.transact(lambda transaction: grow_other(transaction, "a"))
    seen: list[int] = []

    async def work(transaction: Transaction) -> None:
        seen.append((await transaction.load(OTHERS, ["a"]))["a"].size)
        if len(seen) == 1:
            await rival.transact(lambda its: grow_other(its, "a"))
        await transaction.save(OTHERS, [Other("b", seen[-1])])

    await ours.transact(work)
    assert seen == [1, 2]
    assert await size_of(ours, "b") == 2


async def test_a_work_that_raised_on_a_stale_memory_is_judged_anew(open_store: OpenPostgres) -> None:
    ours, rival = open_store(), open_store()
    await ours.transact(lambda transaction: grow_other(transaction, "a"))
    await rival.transact(lambda transaction: grow_other(transaction, "a"))

    async def work(transaction: Transaction) -> str:
        found = (await transaction.load(OTHERS, ["a"]))["a"]
        if found.size != 2:
            raise LookupError(f"size {found.size}")
        return "judged anew"

    assert await ours.transact(work) == "judged anew"


async def test_a_work_that_only_reads_sees_what_a_rival_has_committed(open_store: OpenPostgres) -> None:
    ours, rival = open_store(), open_store()
    await ours.transact(lambda transaction: grow_other(transaction, "a"))
    await rival.transact(lambda transaction: grow_other(transaction, "a"))
    assert await ours.transact(lambda transaction: transaction.load(OTHERS, ["a"])) == {"a": Other("a", 2)}
    await rival.transact(lambda transaction: transaction.delete(OTHERS, ["a"]))
    assert await ours.transact(lambda transaction: transaction.load(OTHERS, ["a"])) == {}


@pytest.mark.parametrize("table", [OTHERS, THINGS], ids=["plain", "unique"])
async def test_a_record_that_was_removed_and_made_anew_is_not_taken_for_the_old_one(
    open_store: OpenPostgres, table: Table[Any]
) -> None:
    ours, rival = open_store(), open_store()
    make: Callable[[int], Any] = (lambda size: Other("a", size)) if table is OTHERS else lambda s: Thing("a", size=s)
    await ours.transact(lambda transaction: transaction.save(table, [make(1)]))
    await rival.transact(lambda transaction: transaction.delete(table, ["a"]))
    await rival.transact(lambda transaction: transaction.save(table, [make(10)]))

    async def grow(transaction: Transaction) -> None:
        found = (await transaction.load(table, ["a"]))["a"]
        await transaction.save(table, [make(found.size + 1)])

    await ours.transact(grow)
    assert (await ours.view(lambda reader: reader.load(table, ["a"])))["a"].size == 11


async def test_progress_moved_by_a_rival_fences_and_the_rest_is_taken_back(open_store: OpenPostgres) -> None:
    stores = [open_store() for _ in range(STORES)]

    async def handle(store: PostgresStore, name: str) -> bool:
        async def work(transaction: Transaction) -> None:
            await transaction.advance("g", "t", 0, 0, 5)
            await transaction.save(OTHERS, [Other(name)])

        try:
            await store.transact(work)
        except FencedError:
            return False
        return True

    done = await asyncio.gather(*(handle(store, f"s{number}") for number, store in enumerate(stores)))
    assert sum(done) == 1
    found = await stores[0].view(lambda reader: reader.load(OTHERS, ["s0", "s1", "s2"]))
    assert [*found] == [f"s{done.index(True)}"]


async def test_claims_are_forgotten_while_others_claim(open_store: OpenPostgres) -> None:
    ours, rival = open_store(), open_store()
    await ours.transact(lambda transaction: transaction.claim([f"m-{n}" for n in range(2500)], NOON))
    later = NOON + timedelta(days=1)
    pruned, claimed = await asyncio.gather(
        ours.prune(later), rival.transact(lambda transaction: transaction.claim(["x"], later))
    )
    assert (pruned, claimed) == (2500, {"x"})


async def size_of(store: Store, key: str) -> int:
    async def look(reader: Reader) -> int:
        return (await reader.load(OTHERS, [key]))[key].size

    return await store.view(look)
