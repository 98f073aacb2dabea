"""Claims, streams of facts, and progress: what only one of several rivals may do."""

# ruff: noqa: PLR2004 - a contract speaks in examples, and examples are numbers

import asyncio

import pytest

from sagakit.ports import FencedError, Query, Store, StreamMovedError, Transaction
from sagakit.testing.contracts.things import (
    NOON,
    THINGS,
    OpenStore,
    Thing,
    bodies,
    fact,
    keys,
    minutes,
)


class StreamsContract:
    """What `claim`, `prune`, `append`, `read`, `advance` and `progress` promise."""

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


async def _append(store: Store, stream: str, texts: list[str], expected: int) -> None:
    facts = [fact(text) for text in texts]
    await store.transact(lambda transaction: transaction.append(stream, facts, expected, NOON))


async def _advance(store: Store, group: str, expected: int, next_offset: int) -> None:
    await store.transact(lambda transaction: transaction.advance(group, "events", 3, expected, next_offset))
