"""Versions of the views: which one is live, and how another is built beside it, compared, and swapped in (Kappa).

The catalogue says which versions there are; each has a store of its own. It moves by compare-and-set, so several
instances may drive the same rebuild. A new version reads the log from its start under a group of its own; offsets and
rows are one transaction there too, so one that is killed half-way goes on where it was.

    building → comparing → live → retired       or, when both do not say the same: comparing → different → live

Where the live one was laid out by other code there is nothing to compare with: what has caught up takes its place.
"""

import enum
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec.structs import replace

from sagakit.ports import Query, Reader, Store, Table, Transaction

FORMAT = 1
"""How the views are laid out; code reads its own only. Raise it when a table or a series changes its meaning."""
DIFFERENCES_MAX = 100


class State(enum.StrEnum):
    """Where a version stands."""

    BUILDING = "building"
    COMPARING = "comparing"
    DIFFERENT = "different"
    LIVE = "live"
    RETIRED = "retired"


UNDER_WAY = (State.BUILDING, State.COMPARING)


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version. `target` are the offsets at which it is compared, `expected` what the live one said there.

    `dropped` is the highest number of a version that was dropped while this one was live: no number is given twice, for
    another instance may still have that one open.
    """

    name: str
    number: int
    state: State
    format: int
    created_at: datetime
    ended_at: datetime | None = None
    target: dict[str, int] = {}
    expected: dict[str, int] = {}
    differences: tuple[str, ...] = ()
    dropped: int = 0


VERSIONS: Table[Version] = Table("versions", Version, "name")


class VersionError(Exception):
    """The versions do not stand so that this can be done. The text says how they stand."""


class NoVersionError(VersionError):
    """There is no version of that number."""


class Stores(Protocol):
    """The stores of versions, each with the tables of the views."""

    def open(self, version: int) -> Store:
        """Open the store of a version, and make it when it is missing."""

    async def drop(self, version: int) -> None:
        """Remove a version's store and all that is in it; nobody has it open."""


async def all_versions(reader: Reader) -> list[Version]:
    """Return every version, the newest first."""
    found = await reader.select(VERSIONS, Query(limit=10_000))
    return sorted(found, key=lambda version: -version.number)


def live_of(versions: Iterable[Version]) -> Version | None:
    """Return the version that answers."""
    return next((version for version in versions if version.state is State.LIVE), None)


def under_way(versions: Iterable[Version]) -> Version | None:
    """Return the version that is being built or compared."""
    return next((version for version in versions if version.state in UNDER_WAY), None)


async def first(transaction: Transaction, now: datetime) -> Version:
    """Return the live version, and make the first one when there is none."""
    versions = await all_versions(transaction)
    live = live_of(versions)
    if live is None:
        live = replace(_new(versions, now), state=State.LIVE)
        await transaction.save(VERSIONS, [live])
    return live


async def begin(transaction: Transaction, now: datetime) -> Version:
    """Begin to build another version.

    Raises:
        VersionError: when one is under way, or waits for a decision.
    """
    versions = await all_versions(transaction)
    for version in versions:
        if version.state in (*UNDER_WAY, State.DIFFERENT):
            raise VersionError(f"version {version.number} is {version.state} already; let it end, or drop it")
    version = _new(versions, now)
    await transaction.save(VERSIONS, [version])
    return version


async def compare_at(
    transaction: Transaction, number: int, target: Mapping[str, int], expected: Mapping[str, int]
) -> None:
    """Let a version that has caught up be compared at these offsets with what the live one says there."""
    version = await _the(transaction, number)
    if version.state is State.BUILDING:
        changed = replace(version, state=State.COMPARING, target=dict(target), expected=dict(expected))
        await transaction.save(VERSIONS, [changed])


async def compared(transaction: Transaction, number: int, found: Mapping[str, int], now: datetime) -> None:
    """Swap a version in that says the same as the live one, or let a person decide about one that does not."""
    version = await _the(transaction, number)
    if version.state is not State.COMPARING:
        return
    told = differences(version.expected, found)
    if told:
        changed = replace(version, state=State.DIFFERENT, differences=tuple(told[:DIFFERENCES_MAX]))
        await transaction.save(VERSIONS, [changed])
    else:
        await _swap(transaction, version, now)


async def build_on(transaction: Transaction, number: int, target: Mapping[str, int]) -> None:
    """Let a version that was built beyond these offsets catch up with the live one again: there is no comparing it."""
    version = await _the(transaction, number)
    if version.state is State.COMPARING and version.target == target:
        await transaction.save(VERSIONS, [replace(version, state=State.BUILDING, target={}, expected={})])


async def take_over(transaction: Transaction, number: int, now: datetime) -> None:
    """Swap a version in that has caught up where this code cannot read the live one: it cannot be compared with."""
    version = await _the(transaction, number)
    live = live_of(await all_versions(transaction))
    if version.state is State.BUILDING and live is not None and live.format != FORMAT:
        await _swap(transaction, version, now)


async def accept(transaction: Transaction, number: int, now: datetime) -> Version:
    """Swap a version in: one that is different from the live one, or a retired one, to go back to it.

    Raises:
        VersionError: when it is neither, or there is none of that number.
    """
    version = await _the(transaction, number)
    if version.state not in (State.DIFFERENT, State.RETIRED):
        raise VersionError(f"version {number} is {version.state}; only a different or a retired one can be made live")
    if version.format != FORMAT:
        raise VersionError(
            f"version {number} has format {version.format}, and this code reads {FORMAT}: build another one"
        )
    return await _swap(transaction, version, now)


async def forget(transaction: Transaction, number: int) -> Version:
    """Take a version off the catalogue; its store can be dropped then.

    Raises:
        VersionError: when it is the live one, or there is none of that number.
    """
    version = await _the(transaction, number)
    if version.state is State.LIVE:
        raise VersionError(f"version {number} is live and cannot be dropped")
    await transaction.delete(VERSIONS, [version.name])
    live = live_of(await all_versions(transaction))
    if live is not None:
        dropped = max(live.dropped, version.dropped, version.number)
        await transaction.save(VERSIONS, [replace(live, dropped=dropped)])
    return version


def differences(expected: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """Return where two digests differ, a sentence each."""
    return [
        f"{name}: the live version says {expected.get(name, 0)}, this one {found.get(name, 0)}"
        for name in sorted(expected.keys() | found.keys())
        if expected.get(name, 0) != found.get(name, 0)
    ]


async def _swap(transaction: Transaction, version: Version, now: datetime) -> Version:
    before = live_of(await all_versions(transaction))
    after = replace(version, state=State.LIVE, ended_at=None)
    retired = [replace(before, state=State.RETIRED, ended_at=now)] if before is not None else []
    await transaction.save(VERSIONS, [*retired, after])
    return after


async def _the(transaction: Transaction, number: int) -> Version:
    found = (await transaction.load(VERSIONS, [str(number)])).get(str(number))
    if found is None:
        raise NoVersionError(f"there is no version {number}")
    return found


def _new(versions: Iterable[Version], now: datetime) -> Version:
    number = max((max(version.number, version.dropped) for version in versions), default=0) + 1
    return Version(name=str(number), number=number, state=State.BUILDING, format=FORMAT, created_at=now)
