"""Transactions: all or nothing, claims, facts, progress, views, and commits that are shared."""
# ruff: noqa: PLR2004 - a contract speaks in examples, and examples are numbers

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sagakit.ports import FencedError, Query, Reader, Store, StoreUnavailableError, StreamMovedError, Transaction
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
    minutes,
    save,
    stored,
)


class TransactionsContract:
    """What `transact`, `view`, `claim`, `append`, `read`, `advance`, `progress` and `prune` promise."""

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

    async def test_a_claim_is_given_once(self, open_store: OpenStore) -> None:
        store = open_store()
        assert await store.transact(lambda transaction: transaction.claim(["a", "b"], NOON)) == {"a", "b"}
        assert await store.transact(lambda transaction: transaction.claim(["b", "c"], NOON)) == {"c"}

    async def test_an_id_repeated_within_a_claim_counts_once(self, open_store: OpenStore) -> None:
        store = open_store()

        async def work(transaction: Transaction) -> None:
            assert await transaction.claim(["a", "a", "b"], NOON) == {"a", "b"}
            assert await transaction.claim(["b", "c", "c"], NOON) == {"c"}
            assert await transaction.claim([], NOON) == set()

        await store.transact(work)

    async def test_prune_forgets_older_claims_and_says_how_many(self, open_store: OpenStore) -> None:
        store = open_store()
        await store.transact(lambda transaction: transaction.claim([f"old-{n}" for n in range(1500)], minutes(1)))
        await store.transact(lambda transaction: transaction.claim(["new"], minutes(2)))
        await store.transact(lambda transaction: transaction.claim(["late"], minutes(1)))
        assert await store.prune(minutes(2)) == 1501
        assert await store.prune(minutes(2)) == 0
        claims = ["old-0", "old-1499", "new", "late"]
        assert await store.transact(lambda transaction: transaction.claim(claims, NOON)) == {*claims} - {"new"}

    async def test_facts_become_the_next_versions_of_their_stream(self, open_store: OpenStore) -> None:
        store = open_store()
        await _append(store, "s", ["one", "two"], 0)
        await _append(store, "other", ["uno"], 0)
        await _append(store, "s", ["three"], 2)
        await _append(store, "s", [], 3)
        assert await store.view(lambda reader: bodies(reader, "s")) == [(1, "one"), (2, "two"), (3, "three")]
        assert await store.view(lambda reader: bodies(reader, "s", 1)) == [(2, "two"), (3, "three")]
        assert await store.view(lambda reader: bodies(reader, "s", 3)) == []
        assert await store.view(lambda reader: bodies(reader, "missing")) == []

    async def test_a_fact_remembers_its_place_and_its_time(self, open_store: OpenStore) -> None:
        store = open_store()
        await _append(store, "s", ["one"], 0)
        (found,) = await store.view(lambda reader: reader.read("s"))
        assert (found.stream, found.version, found.at, bytes(found.body)) == ("s", 1, NOON, b'"one"')
        assert found.at.tzinfo is not None

    @pytest.mark.parametrize("expected", [0, 1, 3])
    async def test_a_stream_at_another_version_has_moved(self, open_store: OpenStore, expected: int) -> None:
        store = open_store()
        await _append(store, "s", ["one", "two"], 0)
        for place in (store, open_store()):
            with pytest.raises(StreamMovedError, match=f"s: expected version {expected}, found 2"):
                await _append(place, "s", ["again"], expected)
        assert await store.view(lambda reader: bodies(reader, "s")) == [(1, "one"), (2, "two")]

    async def test_nothing_is_appended_when_the_stream_has_moved(self, open_store: OpenStore) -> None:
        store = open_store()

        async def work(transaction: Transaction) -> None:
            with pytest.raises(StreamMovedError):
                await transaction.append("s", [fact("lost"), fact("lost too")], 1, NOON)
            await transaction.append("s", [fact("kept")], 0, NOON)

        await store.transact(work)
        assert await store.view(lambda reader: bodies(reader, "s")) == [(1, "kept")]

    async def test_of_rivals_that_append_at_once_one_wins(self, open_store: OpenStore) -> None:
        rivals = [open_store(), open_store()]
        gun = asyncio.Event()

        async def run(number: int) -> int:
            await gun.wait()
            await _append(rivals[number % 2], "s", [str(number)], 0)
            return number

        runs = [asyncio.create_task(run(number)) for number in range(10)]
        gun.set()
        outcomes = await asyncio.gather(*runs, return_exceptions=True)
        winners = [outcome for outcome in outcomes if isinstance(outcome, int)]
        assert sum(isinstance(outcome, StreamMovedError) for outcome in outcomes) == 9
        assert await rivals[0].view(lambda reader: bodies(reader, "s")) == [(1, str(winners[0]))]

    async def test_progress_moves_from_the_expected_offset(self, open_store: OpenStore) -> None:
        store = open_store()
        await _advance(store, "g", 0, 5)
        await _advance(store, "g", 5, 9)
        await _advance(store, "other", 0, 2)
        assert await store.view(lambda reader: reader.progress("g")) == {("events", 3): 9}

    async def test_what_was_never_handled_is_absent_from_progress(self, open_store: OpenStore) -> None:
        assert await open_store().view(lambda reader: reader.progress("g")) == {}

    @pytest.mark.parametrize("expected", [0, 4, 6])
    async def test_a_rival_is_fenced(self, open_store: OpenStore, expected: int) -> None:
        store = open_store()
        await _advance(store, "g", 0, 5)

        async def work(transaction: Transaction) -> None:
            await transaction.save(THINGS, [Thing("zombie")])
            await transaction.advance("g", "events", 3, expected, 9)

        with pytest.raises(FencedError, match=f"g at events-3: expected offset {expected}, found 5"):
            await store.transact(work)
        assert await keys(store, Query()) == []
        assert await store.view(lambda reader: reader.progress("g")) == {("events", 3): 5}

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


async def _append(store: Store, stream: str, texts: list[str], expected: int) -> None:
    facts = [fact(text) for text in texts]
    await store.transact(lambda transaction: transaction.append(stream, facts, expected, NOON))


async def _advance(store: Store, group: str, expected: int, next_offset: int) -> None:
    await store.transact(lambda transaction: transaction.advance(group, "events", 3, expected, next_offset))


def _bind(work: Callable[[Transaction, int], Awaitable[int]], number: int) -> Callable[[Transaction], Awaitable[int]]:
    return lambda transaction: work(transaction, number)
