"""What the contract suites keep in a store and send through a log."""

import enum
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from sagakit.ports import Draft, Query, Reader, Store, Table, Transaction

R = TypeVar("R", bound=msgspec.Struct)

OpenStore = Callable[[], Store]
Work = Callable[[Transaction], Awaitable[None]]

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Colour(enum.StrEnum):
    """An attribute that is a word."""

    RED = "red"
    BLUE = "blue"


class Part(msgspec.Struct, frozen=True):
    """Something within a thing."""

    name: str
    weights: tuple[float, ...] = ()


class Thing(msgspec.Struct, frozen=True):
    """A record with an attribute of every kind that may be indexed, and some that may not."""

    key: str
    colour: Colour = Colour.RED
    size: int | None = None
    due: datetime | None = None
    ready: bool = False
    share: float = 0.0
    serial: str | None = None
    shelf: str | None = None
    place: int | None = None
    parts: dict[str, Part] = {}
    raw: msgspec.Raw = msgspec.Raw(b"null")


class Other(msgspec.Struct, frozen=True):
    """A record of another table."""

    name: str
    size: int = 0


THINGS = Table(
    "things",
    Thing,
    "key",
    (("colour", "size"), ("size",), ("due",), ("ready", "share")),
    unique=(("serial",), ("shelf", "place")),
)
OTHERS = Table("others", Other, "name", (("size",),))
TABLES = (THINGS, OTHERS)
"""Open the store under test with these."""


def minutes(number: float) -> datetime:
    """Return the moment so many minutes after noon."""
    return NOON + timedelta(minutes=number)


def fact(text: str) -> msgspec.Raw:
    """Return the text as the body of a fact."""
    return msgspec.Raw(msgspec.json.encode(text))


def draft(topic: str, key: str | None, text: str = "") -> Draft:
    """Return a draft that says something."""
    return Draft(topic, key, b'{"ce_type":"Said"}', msgspec.json.encode({"text": text}))


def said(drafts: Iterable[Draft]) -> list[str]:
    """Return what the drafts say."""
    return [msgspec.json.decode(each.value)["text"] for each in drafts]


async def save(store: Store, *things: Thing) -> None:
    """Save the things in a transaction of their own."""
    await store.transact(lambda transaction: transaction.save(THINGS, things))


async def keys(store: Store, query: Query) -> list[str]:
    """Return the keys of the things that the query describes."""
    return [thing.key for thing in await store.view(lambda reader: reader.select(THINGS, query))]


async def stored(store: Store, *wanted: str) -> dict[str, Thing]:
    """Return these things."""
    return await store.view(lambda reader: reader.load(THINGS, wanted))


async def bodies(reader: Reader, stream: str, after: int = 0) -> list[tuple[int, str]]:
    """Return the versions and texts of a stream."""
    return [(found.version, msgspec.json.decode(found.body)) for found in await reader.read(stream, after)]


class Mishap(Exception):
    """What goes wrong in the middle of a work."""
