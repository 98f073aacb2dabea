"""Records: saved, loaded, deleted."""

import asyncio
from datetime import timedelta

import msgspec

from sagakit.ports import Query, Transaction
from sagakit.testing.contracts.things import (
    OTHERS,
    THINGS,
    Colour,
    Mishap,
    OpenStore,
    Other,
    Part,
    Thing,
    keys,
    minutes,
    save,
    stored,
)


class RecordsContract:
    """What `Table`, `load`, `save` and `delete` promise."""

    async def test_a_record_comes_back_whole(self, open_store: OpenStore) -> None:
        store = open_store()
        thing = Thing(
            "ключ/🔑",
            Colour.BLUE,
            -1,
            minutes(0) + timedelta(microseconds=1),
            ready=True,
            share=0.1,
            parts={"a": Part("“a”", (1.5, 2.0))},
            raw=msgspec.Raw(b'{"x":[1,2]}'),
        )
        await save(store, thing)
        assert await stored(store, thing.key) == {thing.key: thing}

    async def test_load_returns_the_records_that_exist_by_key(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("a"), Thing("b"))
        assert await stored(store, "a", "b", "b", "missing") == {"a": Thing("a"), "b": Thing("b")}
        assert await stored(store) == {}

    async def test_load_takes_as_many_keys_as_there_are(self, open_store: OpenStore) -> None:
        store = open_store()
        things = {f"{number:05}": Thing(f"{number:05}", size=number) for number in range(1300)}
        await save(store, *things.values())
        assert await stored(store, *things, "missing") == things

    async def test_a_record_is_written_over_the_old_one_of_the_same_key(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("a", size=1))
        await save(store, Thing("a", size=2), Thing("a", size=3))
        assert await stored(store, "a") == {"a": Thing("a", size=3)}
        assert await keys(store, Query(by="size")) == ["a"]

    async def test_the_last_record_of_a_key_counts_and_so_do_its_indexed_values(self, open_store: OpenStore) -> None:
        store = open_store()
        for sizes in ([1], [2, 1], [1, 3], [1, 1], [4, 1, 5]):
            others = [Other("a", size) for size in sizes]
            await store.transact(lambda transaction: transaction.save(OTHERS, others))  # noqa: B023
            assert await store.view(lambda reader: reader.select(OTHERS, Query(by="size"))) == others[-1:]
            found = await store.view(lambda reader: reader.select(OTHERS, Query(where={"size": others[-1].size})))  # noqa: B023
            assert found == others[-1:]

    async def test_a_record_deleted_and_saved_again_is_there(self, open_store: OpenStore) -> None:
        store = open_store()
        await store.transact(lambda transaction: transaction.save(OTHERS, [Other("a", 1)]))

        async def work(transaction: Transaction) -> None:
            await transaction.delete(OTHERS, ["a"])
            assert await transaction.load(OTHERS, ["a"]) == {}
            await transaction.save(OTHERS, [Other("a", 1)])
            assert await transaction.load(OTHERS, ["a"]) == {"a": Other("a", 1)}

        await store.transact(work)
        assert await store.view(lambda reader: reader.select(OTHERS, Query(by="size"))) == [Other("a", 1)]

    async def test_a_record_deleted_is_gone_for_the_next_transaction(self, open_store: OpenStore) -> None:
        store = open_store()
        await store.transact(lambda transaction: transaction.save(OTHERS, [Other("a", 1)]))
        await store.transact(lambda transaction: transaction.delete(OTHERS, ["a"]))
        assert await store.transact(lambda transaction: transaction.load(OTHERS, ["a"])) == {}

    async def test_what_was_taken_back_is_not_loaded(self, open_store: OpenStore) -> None:
        store = open_store()
        await store.transact(lambda transaction: transaction.save(OTHERS, [Other("a", 1)]))

        async def work(transaction: Transaction) -> None:
            await transaction.save(OTHERS, [Other("a", 2), Other("b", 2)])
            await transaction.delete(OTHERS, ["a"])
            raise Mishap

        other = store.transact(lambda transaction: transaction.save(OTHERS, [Other("c", 3)]))
        await asyncio.gather(store.transact(work), other, return_exceptions=True)
        found = await store.transact(lambda transaction: transaction.load(OTHERS, ["a", "b", "c"]))
        assert found == {"a": Other("a", 1), "c": Other("c", 3)}

    async def test_what_another_process_saved_is_loaded(self, open_store: OpenStore) -> None:
        stores = [open_store(), open_store()]

        async def increase(transaction: Transaction) -> int:
            found = await transaction.load(OTHERS, ["a"])
            size = found["a"].size + 1 if found else 1
            await transaction.save(OTHERS, [Other("a", size)])
            return size

        assert [await stores[turn % 2].transact(increase) for turn in (0, 1, 1, 0, 0, 1)] == [1, 2, 3, 4, 5, 6]
        await stores[0].transact(lambda transaction: transaction.delete(OTHERS, ["a"]))
        assert await stores[1].transact(increase) == 1

    async def test_tables_do_not_mix(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("a"))
        await store.transact(lambda transaction: transaction.save(OTHERS, [Other("a")]))
        await store.transact(lambda transaction: transaction.delete(THINGS, ["a"]))
        assert await store.view(lambda reader: reader.load(OTHERS, ["a"])) == {"a": Other("a")}

    async def test_delete_removes_the_records_of_these_keys(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("a"), Thing("b"), Thing("c"))
        await store.transact(lambda transaction: transaction.delete(THINGS, ["a", "c"]))
        assert await keys(store, Query()) == ["b"]

    async def test_deleting_a_missing_record_is_no_error(self, open_store: OpenStore) -> None:
        await open_store().transact(lambda transaction: transaction.delete(THINGS, ["missing"]))
