"""How a value stands in a column, so that SQLite orders it as Python does."""

import enum
from datetime import UTC, datetime, timedelta
from typing import Any

from typing_extensions import override

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def as_column(value: Any) -> Any:  # noqa: ANN401 - whatever an attribute may be
    """Return an attribute's value as SQLite orders it: times as microseconds since 1970, words as text."""
    if isinstance(value, datetime):
        return microseconds(value)
    if isinstance(value, enum.Enum):
        return value.value
    return value


def microseconds(moment: datetime) -> int:
    """Return the moment as microseconds since 1970 in UTC."""
    return (moment - EPOCH) // MICROSECOND


def moment(microseconds: int) -> datetime:
    """Return the aware moment of so many microseconds since 1970."""
    return EPOCH + microseconds * MICROSECOND


class Marks:
    """The parameters of a text: a mark each time it is written."""

    @override
    def __str__(self) -> str:
        return "?"
