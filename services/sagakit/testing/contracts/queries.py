"""Queries: which records, in which order, page by page."""

from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from sagakit.ports import Query, Reader
from sagakit.testing.contracts.things import (
    THINGS,
    Colour,
    OpenStore,
    Thing,
    keys,
    minutes,
    save,
)


class QueriesContract:
    """What `Query`, `select` and `count` promise."""

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
