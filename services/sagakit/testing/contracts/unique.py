"""Unique indexes: what is refused, and what becomes of it."""

import pytest

from sagakit.ports import DuplicateError, Query, Transaction
from sagakit.testing.contracts.things import (
    THINGS,
    Mishap,
    OpenStore,
    Thing,
    keys,
    save,
)


class UniqueContract:
    """What `Table.unique` and `DuplicateError` promise."""

    async def test_a_unique_index_refuses_a_second_record_with_the_same_values(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("a", serial="1"))
        with pytest.raises(DuplicateError) as refused:
            await save(store, Thing("b", serial="2"), Thing("c", serial="1"))
        assert (refused.value.index, refused.value.key) == (("serial",), "c")
        assert await keys(store, Query()) == ["a"]

    async def test_a_unique_index_of_two_attributes_refuses_both_together(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(
            store, Thing("a", shelf="x", place=1), Thing("b", shelf="x", place=2), Thing("c", shelf="y", place=1)
        )
        with pytest.raises(DuplicateError) as refused:
            await save(store, Thing("d", shelf="y", place=1))
        assert (refused.value.index, refused.value.key) == (("shelf", "place"), "d")

    async def test_a_unique_index_refuses_doubles_within_one_save(self, open_store: OpenStore) -> None:
        store = open_store()
        with pytest.raises(DuplicateError) as refused:
            await save(store, Thing("a", serial="1"), Thing("b", serial="1"))
        assert refused.value.key == "b"
        assert await keys(store, Query()) == []

    async def test_null_values_are_never_the_same(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("a"), Thing("b"), Thing("c", shelf="x"), Thing("d", shelf="x"))
        await save(store, Thing("a"), Thing("c", shelf="x"))
        assert await keys(store, Query()) == ["a", "b", "c", "d"]

    async def test_a_record_may_keep_its_unique_values(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("a", serial="1"))
        await save(store, Thing("a", serial="1", size=5))
        assert await keys(store, Query(where={"serial": "1"})) == ["a"]

    async def test_unique_values_are_free_again_when_given_up(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("a", serial="1"), Thing("b", serial="2"))
        await save(store, Thing("a", serial="3"))
        await store.transact(lambda transaction: transaction.delete(THINGS, ["b"]))
        await save(store, Thing("c", serial="1"), Thing("d", serial="2"))
        assert await keys(store, Query(by="serial")) == ["c", "d", "a"]

    async def test_unique_values_are_free_again_when_taken_back(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("a", serial="1"))

        async def work(transaction: Transaction) -> None:
            await transaction.save(THINGS, [Thing("a", serial="2"), Thing("b", serial="1")])
            raise Mishap

        with pytest.raises(Mishap):
            await store.transact(work)
        await save(store, Thing("c", serial="2"))
        with pytest.raises(DuplicateError):
            await save(store, Thing("d", serial="1"))

    async def test_what_was_refused_is_not_committed_even_if_the_work_goes_on(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("a", serial="1"))

        async def work(transaction: Transaction) -> None:
            with pytest.raises(DuplicateError):
                await transaction.save(THINGS, [Thing("b"), Thing("c", serial="1")])

        with pytest.raises(DuplicateError):
            await store.transact(work)
        assert await keys(store, Query()) == ["a"]
