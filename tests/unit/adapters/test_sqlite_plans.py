"""Every query that an index serves is answered by seeking in it, never by looking through the table."""

import sqlite3
from collections.abc import Iterator

import pytest

from sagakit.adapters.sqlite.declared import declare
from sagakit.adapters.sqlite.tables import RowFormat
from sagakit.ports import Query
from sagakit.testing.contracts.things import NOON, THINGS, minutes

FORM = RowFormat(THINGS)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(":memory:")
    declare(opened, FORM)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (Query(by="due", below=NOON), "things_by_due (due>? AND due<?)"),
        (Query(by="due", at_least=NOON, after=(minutes(1), "k")), "things_by_due (due>?)"),
        (Query(by="due", below=NOON, descending=True, after=(minutes(-1), "k")), "things_by_due (due>? AND due<?)"),
        (Query(where={"colour": "red"}), "things_by_colour_and_size (colour=?)"),
        (Query(where={"colour": "red"}, by="size", at_least=3), "things_by_colour_and_size (colour=? AND size>?)"),
        (Query(where={"colour": "red", "size": None}), "things_by_colour_and_size (colour=? AND size=?)"),
        (Query(where={"serial": "x"}), "things_has_one_serial (serial=?)"),
        (Query(where={"shelf": "x"}, by="place"), "things_has_one_shelf_and_place (shelf=? AND place>?)"),
        (Query(after=(None, "k")), "sqlite_autoindex_things_1 (key>?)"),
    ],
    ids=repr,
)
def test_a_query_seeks_in_its_index(connection: sqlite3.Connection, query: Query, index: str) -> None:
    text, parameters = FORM.queries.select(query)
    plan = [detail for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {text}", parameters)]
    assert plan[0] == f"SEARCH things USING INDEX {index}"


def test_a_query_of_a_known_shape_has_the_same_text() -> None:
    texts = {FORM.queries.select(Query(by="due", below=minutes(number)))[0] for number in range(5)}
    assert len(texts) == 1
