"""Transactions and views: all or nothing, one moment, and commits that are shared."""

# ruff: noqa: PLR2004 - a contract speaks in examples, and examples are numbers

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sagakit.ports import Query, Reader, StoreUnavailableError, Transaction
from sagakit.testing.contracts.things import (
    NOON,
    OTHERS,
    THINGS,
    Mishap,
    OpenStore,
    Other,
    Thing,
    bodies,
    draft,
    fact,
    keys,
    save,
    stored,
)


class TransactionsContract:
    """What `transact`, `view` and `close` promise."""

    async def test_everything_in_a_transaction_happens(self, open_store: OpenStore) -> None:
        store = open_store()
        assert await store.transact(_everything) == "done"
        assert await store.view(_what_happened) == ({"a": Thing("a")}, [(1, "begun")], {("events", 0): 7})
        assert await store.transact(lambda transaction: transaction.claim(["m-1"], NOON)) == set()
        assert await store.outbox_depth() == 1

    async def test_nothing_happens_in_a_transaction_that_raises(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("b", size=1))

        async def work(transaction: Transaction) -> None:
            await _everything(transaction)
            await transaction.save(THINGS, [Thing("b", size=2)])
            await transaction.delete(THINGS, ["b"])
            raise Mishap

        with pytest.raises(Mishap):
            await store.transact(work)
        assert await store.view(_what_happened) == ({"b": Thing("b", size=1)}, [], {})
        assert await store.transact(lambda transaction: transaction.claim(["m-1"], NOON)) == {"m-1"}
        assert await store.outbox_depth() == 0

    async def test_a_transaction_reads_what_it_wrote(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("b", size=1), Thing("c", size=2))

        async def work(transaction: Transaction) -> None:
            await _everything(transaction)
            await transaction.save(THINGS, [Thing("b", size=3)])
            await transaction.delete(THINGS, ["c"])
            expected = {"a": Thing("a"), "b": Thing("b", size=3)}
            assert await transaction.load(THINGS, ["a", "b", "c"]) == expected
            assert await transaction.select(THINGS, Query(by="size")) == [Thing("b", size=3)]
            assert await transaction.count(THINGS, {}) == 2
            assert await bodies(transaction, "s") == [(1, "begun")]
            assert await transaction.progress("g") == {("events", 0): 7}
            await transaction.append("s", [fact("ended")], 1, NOON)
            assert await bodies(transaction, "s") == [(1, "begun"), (2, "ended")]

        await store.transact(work)

    async def test_what_transact_returned_for_is_durable(self, open_store: OpenStore) -> None:
        await open_store().transact(_everything)
        after_the_crash = open_store()
        assert await after_the_crash.view(_what_happened) == ({"a": Thing("a")}, [(1, "begun")], {("events", 0): 7})
        assert await after_the_crash.transact(lambda transaction: transaction.claim(["m-1"], NOON)) == set()
        assert await after_the_crash.outbox_depth() == 1

    async def test_many_works_at_once_all_happen(self, open_store: OpenStore) -> None:
        store = open_store()
        await asyncio.gather(*(save(store, Thing(f"{number:03}")) for number in range(200)))
        assert await store.view(lambda reader: reader.count(THINGS, {})) == 200

    async def test_a_work_that_raises_takes_back_its_own_writes_only(self, open_store: OpenStore) -> None:
        store = open_store()

        async def work(transaction: Transaction, number: int) -> int:
            await transaction.save(THINGS, [Thing(f"{number:02}")])
            await transaction.append("s", [fact(str(number))], number // 2 if number % 2 == 0 else 0, NOON)
            await transaction.send([draft("t", "k", str(number))])
            if number % 2:
                raise Mishap
            return number

        numbers = [number for number in range(20) if number % 2 == 0 or number > 1]
        outcomes = await asyncio.gather(*(store.transact(_bind(work, n)) for n in numbers), return_exceptions=True)
        kept = [number for number in numbers if number % 2 == 0]
        assert [outcome for outcome in outcomes if isinstance(outcome, int)] == kept
        assert await keys(store, Query()) == [f"{number:02}" for number in kept]
        assert [text for _, text in await store.view(lambda reader: bodies(reader, "s"))] == [str(n) for n in kept]
        assert await store.outbox_depth() == len(kept)

    async def test_works_run_one_after_the_other(self, open_store: OpenStore) -> None:
        store = open_store()

        async def increase(transaction: Transaction) -> None:
            found = await transaction.load(OTHERS, ["counter"])
            await transaction.save(OTHERS, [Other("counter", found["counter"].size + 1 if found else 1)])

        await asyncio.gather(*(store.transact(increase) for _ in range(50)))
        assert await store.view(lambda reader: reader.load(OTHERS, ["counter"])) == {"counter": Other("counter", 50)}

    async def test_a_view_sees_one_moment(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("a", size=50), Thing("b", size=50))

        async def move(transaction: Transaction) -> None:
            found = await transaction.load(THINGS, ["a", "b"])
            sizes = [found["a"].size or 0, found["b"].size or 0]
            await transaction.save(THINGS, [Thing("a", size=sizes[0] - 1)])
            await transaction.save(THINGS, [Thing("b", size=sizes[1] + 1)])

        async def look(reader: Reader) -> int:
            return sum([(await reader.load(THINGS, [key]))[key].size or 0 for key in ("a", "b")])

        writers = asyncio.gather(*(store.transact(move) for _ in range(20)))
        sums = {await store.view(look)}
        while not writers.done():
            sums.add(await store.view(look))
            await asyncio.sleep(0)
        await writers
        assert sums == {100}
        assert await stored(store, "a") == {"a": Thing("a", size=30)}

    async def test_views_at_once_do_not_mix(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, *(Thing(str(number)) for number in range(10)))
        looks = [store.view(lambda reader, key=str(n): reader.load(THINGS, [key])) for n in range(10)]  # type: ignore[misc]
        assert [list(found) for found in await asyncio.gather(*looks)] == [[str(number)] for number in range(10)]

    async def test_what_a_view_raises_reaches_its_caller(self, open_store: OpenStore) -> None:
        store = open_store()

        async def look(_: Reader) -> None:
            raise Mishap

        with pytest.raises(Mishap):
            await store.view(look)
        assert await stored(store, "a") == {}

    async def test_closing_waits_for_the_works_that_have_begun(self, open_store: OpenStore) -> None:
        store = open_store()
        works = [asyncio.create_task(save(store, Thing(str(number)))) for number in range(10)]
        await asyncio.sleep(0)
        await store.close()
        await asyncio.gather(*works)
        assert len(await keys(open_store(), Query())) == 10

    async def test_a_closed_store_is_unavailable(self, open_store: OpenStore) -> None:
        store = open_store()
        await store.close()
        with pytest.raises(StoreUnavailableError, match="closed"):
            await save(store, Thing("a"))
        with pytest.raises(StoreUnavailableError, match="closed"):
            await stored(store, "a")
        await store.close()


async def _everything(transaction: Transaction) -> str:
    await transaction.save(THINGS, [Thing("a")])
    await transaction.claim(["m-1"], NOON)
    await transaction.append("s", [fact("begun")], 0, NOON)
    await transaction.advance("g", "events", 0, 0, 7)
    await transaction.send([draft("events", "s", "hello")])
    return "done"


async def _what_happened(
    reader: Reader,
) -> tuple[dict[str, Thing], list[tuple[int, str]], dict[tuple[str, int], int]]:
    return await reader.load(THINGS, ["a", "b"]), await bodies(reader, "s"), await reader.progress("g")


def _bind(work: Callable[[Transaction, int], Awaitable[int]], number: int) -> Callable[[Transaction], Awaitable[int]]:
    return lambda transaction: work(transaction, number)
