"""How queries become SQL. The text depends on a query's shape only, and is made once for each shape."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from sagakit.ports import Query, Table

Bound = tuple[str, Any]
"""A sign and the value it bounds by."""


class Places(Protocol):
    """Each time it is written into a text, the next parameter as this database writes it."""


class Queries:
    """The queries of one table, by the name that SQL has for it; `result` is what they select.

    `places` begins the parameters of one text; `column` makes of an attribute's value what the driver takes.
    """

    def __init__(
        self,
        table: Table[Any],
        name: str,
        result: str,
        places: Callable[[], Places],
        column: Callable[[Any], Any],
    ) -> None:
        """Know no shape yet."""
        self._table = table
        self._key = quoted(table.key)
        self._from = f"FROM {name}"
        self._result = result
        self._places = places
        self._column = column
        self._texts: dict[Any, str] = {}

    def select(self, query: Query) -> tuple[str, list[Any]]:
        """Return the SQL of a query and its parameters."""
        bounds = _bounds(query)
        signs = tuple(sign for sign, _ in bounds)
        nulls = tuple((name, value is None) for name, value in query.where.items())
        shape = (nulls, query.by, query.descending, signs, query.after is None)
        text = self._texts.get(shape)
        if text is None:
            query.check(self._table)
            text = self._texts[shape] = self._text(query, signs)
        values: list[Any] = [value for value in query.where.values() if value is not None]
        values += [value for _, value in bounds]
        if query.after is not None:
            values += query.after if query.by is not None else query.after[1:]
        return text, [*map(self._column, values), query.limit]

    def count(self, where: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """Return the SQL that counts, and its parameters."""
        Query(where).check(self._table)
        values = [self._column(value) for value in where.values() if value is not None]
        terms = _equals(where, self._places())
        return f"SELECT count(*) {self._from}{_conjunction(terms)}", values

    def _text(self, query: Query, signs: Sequence[str]) -> str:
        place = self._places()
        terms, key = _equals(query.where, place), self._key
        sign = "<" if query.descending else ">"
        if query.by is None:
            order = f"{key} DESC" if query.descending else key
            terms += [f"{key} {sign} {place}"] if query.after is not None else []
        else:
            by = quoted(query.by)
            order = f"{by} DESC, {key}" if query.descending else f"{by}, {key}"
            terms += [f"{by} IS NOT NULL", *(f"{by} {bound} {place}" for bound in signs)]
            terms += [f"({by} {sign} {place} OR {key} > {place})"] if query.after is not None else []
        return f"SELECT {self._result} {self._from}{_conjunction(terms)} ORDER BY {order} LIMIT {place}"


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def _bounds(query: Query) -> list[Bound]:
    """Return one bound on each side at most, the narrowest, so that an index is entered where the page begins."""
    lowest: Bound | None = None if query.at_least is None else (">=", query.at_least)
    highest: Bound | None = None if query.below is None else ("<", query.below)
    if query.after is not None and query.by is not None:
        value = query.after[0]
        if query.descending:
            highest = ("<=", value) if highest is None or value < highest[1] else highest
        else:
            lowest = (">=", value) if lowest is None or value > lowest[1] else lowest
    return [bound for bound in (lowest, highest) if bound is not None]


def _equals(where: Mapping[str, Any], place: Places) -> list[str]:
    return [f"{quoted(name)} IS NULL" if value is None else f"{quoted(name)}={place}" for name, value in where.items()]


def _conjunction(terms: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(terms)}" if terms else ""
