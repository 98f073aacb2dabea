"""What a query means, said once more in plain Python."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from sagakit.ports import Query

R = TypeVar("R", bound=msgspec.Struct)


def matching(rows: Mapping[str, R], query: Query) -> list[R]:
    """Return the records that the query describes, in its order, at most its limit."""
    found = [
        (_by(record, query), key, record)
        for key, record in rows.items()
        if is_equal(record, query.where) and _within(record, key, query)
    ]
    found.sort(key=lambda row: row[1], reverse=query.descending and query.by is None)
    if query.by is not None:
        found.sort(key=lambda row: row[0], reverse=query.descending)
    return [record for _, _, record in found[: query.limit]]


def is_equal(record: msgspec.Struct, where: Mapping[str, Any]) -> bool:
    """Tell whether the record's attributes are the ones asked for."""
    return all(getattr(record, name) == value for name, value in where.items())


def _by(record: msgspec.Struct, query: Query) -> Any:  # noqa: ANN401 - whatever the attribute is
    return None if query.by is None else getattr(record, query.by)


def _within(record: msgspec.Struct, key: str, query: Query) -> bool:
    if query.by is None:
        return query.after is None or (key < query.after[1] if query.descending else key > query.after[1])
    value = getattr(record, query.by)
    if value is None or (query.at_least is not None and value < query.at_least):
        return False
    if query.below is not None and value >= query.below:
        return False
    return query.after is None or _behind(value, key, query.after, descending=query.descending)


def _behind(value: Any, key: str, after: tuple[Any, str], *, descending: bool) -> bool:  # noqa: ANN401 - as above
    if value == after[0]:
        return key > after[1]
    return bool(value < after[0] if descending else value > after[0])
