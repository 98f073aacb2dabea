"""Records: saved, loaded, selected, refused."""

import asyncio
from dataclasses import replace
from datetime import timedelta, timezone

import msgspec
import pytest

from sagakit.ports import DuplicateError, Query, Reader, Transaction
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
    """What `Table`, `Query`, `load`, `select`, `count`, `save` and `delete` promise."""

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

    async def test_a_query_selects_what_is_equal(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("a", Colour.RED, 1), Thing("b", Colour.BLUE, 1), Thing("c", Colour.RED, 2))
        assert await keys(store, Query(where={"colour": Colour.RED})) == ["a", "c"]
        assert await keys(store, Query(where={"colour": "red", "size": 2})) == ["c"]
        assert await keys(store, Query(where={"serial": "missing"})) == []

    async def test_none_is_equal_to_none(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("a", size=1), Thing("b"))
        assert await keys(store, Query(where={"size": None})) == ["b"]
        assert await keys(store, Query(where={"colour": Colour.RED, "size": None})) == ["b"]

    async def test_a_query_orders_by_its_attribute_in_both_directions(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("a", size=10), Thing("b", size=9), Thing("c", size=-1))
        assert await keys(store, Query(by="size")) == ["c", "b", "a"]
        assert await keys(store, Query(by="size", descending=True)) == ["a", "b", "c"]

    async def test_moments_are_ordered_as_moments(self, open_store: OpenStore) -> None:
        store = open_store()
        elsewhere = minutes(1).astimezone(timezone(timedelta(hours=5)))
        await save(store, Thing("c", due=minutes(2)), Thing("b", due=elsewhere), Thing("a", due=minutes(0.5)))
        assert await keys(store, Query(by="due")) == ["a", "b", "c"]
        assert await keys(store, Query(by="due", at_least=minutes(1), below=minutes(2))) == ["b"]
        assert await keys(store, Query(where={"due": minutes(1)})) == ["b"]

    async def test_truth_values_and_fractions_are_indexed_too(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("a", ready=True, share=0.5), Thing("b", ready=True, share=0.25), Thing("c"))
        assert await keys(store, Query(where={"ready": True}, by="share")) == ["b", "a"]
        assert await keys(store, Query(where={"ready": False})) == ["c"]

    async def test_words_are_ordered_by_code_point(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, *(Thing(key, serial=key) for key in ("é", "a", "Z", "z", "🔑", "ﬀ")))
        assert await keys(store, Query(by="serial")) == ["Z", "a", "z", "é", "ﬀ", "🔑"]

    async def test_the_lower_bound_is_included_and_the_upper_is_not(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, *(Thing(str(size), size=size) for size in range(5)))
        assert await keys(store, Query(by="size", at_least=1, below=3)) == ["1", "2"]
        assert await keys(store, Query(by="size", at_least=3)) == ["3", "4"]
        assert await keys(store, Query(by="size", below=0)) == []
        assert await keys(store, Query(where={"colour": Colour.RED}, by="size", below=2)) == ["0", "1"]

    async def test_records_without_the_attribute_are_not_selected_by_it(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("a", size=1), Thing("b"))
        assert await keys(store, Query(by="size")) == ["a"]
        assert await keys(store, Query(where={"colour": Colour.RED}, by="size", descending=True)) == ["a"]

    async def test_without_an_attribute_the_order_is_that_of_the_keys(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("b"), Thing("c"), Thing("a"))
        assert await keys(store, Query()) == ["a", "b", "c"]
        assert await keys(store, Query(where={"colour": Colour.RED}, descending=True)) == ["c", "b", "a"]

    async def test_ties_are_ordered_by_key_in_both_directions(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("b", size=1), Thing("c", size=2), Thing("a", size=1))
        assert await keys(store, Query(by="size")) == ["a", "b", "c"]
        assert await keys(store, Query(by="size", descending=True)) == ["c", "a", "b"]

    async def test_a_query_returns_at_most_its_limit(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, *(Thing(str(size), size=size) for size in range(5)))
        assert await keys(store, Query(by="size", limit=2)) == ["0", "1"]

    @pytest.mark.parametrize("descending", [False, True])
    @pytest.mark.parametrize(
        "query", [Query(), Query(by="size"), Query(by="due"), Query(by="size", at_least=1, below=4)], ids=repr
    )
    async def test_pages_hold_every_record_once(self, open_store: OpenStore, query: Query, *, descending: bool) -> None:
        store, query = open_store(), replace(query, descending=descending)
        await save(store, *(Thing(f"{n:02}", size=n // 4, due=minutes(n // 3)) for n in range(20)))
        paged: list[str] = []
        after = None
        while page := await store.view(
            lambda reader: reader.select(THINGS, replace(query, after=after, limit=3))  # noqa: B023
        ):
            paged += [thing.key for thing in page]
            after = (getattr(page[-1], query.by) if query.by else None, page[-1].key)
        assert paged == await keys(store, query)
        assert len(paged) == (20 if query.below is None else 12)

    async def test_a_page_stays_within_the_bounds_wherever_it_begins(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, *(Thing(f"{n:02}", size=n // 2) for n in range(10)))
        bounded = Query(by="size", at_least=1, below=3)
        assert await keys(store, replace(bounded, after=(0, "99"))) == ["02", "03", "04", "05"]
        assert await keys(store, replace(bounded, after=(9, "99"))) == []
        assert await keys(store, replace(bounded, after=(9, "99"), descending=True)) == ["04", "05", "02", "03"]
        assert await keys(store, replace(bounded, after=(0, "99"), descending=True)) == []

    async def test_a_query_that_no_index_serves_is_refused(self, open_store: OpenStore) -> None:
        store = open_store()
        for query in (
            Query(by="share"),
            Query(where={"size": 1}, by="colour"),
            Query(where={"parts": 1}),
            Query(below=1),
        ):
            with pytest.raises(ValueError, match="things"):
                await keys(store, query)
        with pytest.raises(ValueError, match="things"):
            await store.view(lambda reader: reader.count(THINGS, {"share": 1}))

    async def test_count_counts_what_is_equal_or_all(self, open_store: OpenStore) -> None:
        store = open_store()
        await save(store, Thing("a", Colour.RED, 1), Thing("b", Colour.BLUE), Thing("c", Colour.RED))

        async def look(reader: Reader) -> tuple[int, int, int]:
            return (
                await reader.count(THINGS, {}),
                await reader.count(THINGS, {"colour": Colour.RED}),
                await reader.count(THINGS, {"colour": Colour.RED, "size": None}),
            )

        assert await store.view(look) == (3, 2, 1)

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
