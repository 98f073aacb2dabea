"""What a program needs of a schema, and whether the schema lets this program run on it.

A schema only grows within a minor version, so that the program before keeps running beside the new one.
`kit_schema` names the oldest program that may still run on it.
"""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sagakit.adapters.postgres.connections import Address, Connection
from sagakit.adapters.postgres.errors import WrongDatabaseError
from sagakit.adapters.postgres.tables import DOC, REVISION, RowFormat
from sagakit.adapters.shared.queries import quoted

KIT: dict[str, tuple[str, ...]] = {
    "kit_schema": ("one", "written_by", "oldest"),
    "kit_facts": ("stream", "first_version", "last_version", "at", "facts_json"),
    "kit_claims": ("message_id", "at"),
    "kit_progress": ("consumer", "topic", "partition", "next_offset"),
    "kit_writers": ("writer", "commits", "at"),
    "kit_outbox": ("id", "size", "waiting", "drafts"),
}
"""The kit's own tables and their columns."""
APPLY = "run `sagactl database apply`"
COLUMNS = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema=$1"


def this_version() -> str:
    """Return the version of this program."""
    try:
        return version("sagaplane")
    except PackageNotFoundError:
        return "0.0.0"


def ordered(text: str) -> tuple[int, ...]:
    """Return a version as it is compared."""
    return tuple(int(part) if part.isdecimal() else 0 for part in text.split(".")[:3])


def needed(formats: Iterable[RowFormat[Any]]) -> dict[str, set[str]]:
    """Return the columns that this program needs, by table."""
    declared = {form.table.name: {form.table.key, *form.columns, DOC, REVISION} for form in formats}
    return {name: set(columns) for name, columns in KIT.items()} | declared


async def check(connection: Connection, address: Address, formats: Iterable[RowFormat[Any]]) -> None:
    """Make sure that everything needed is there, that a commit lasts, and that this program is not too old.

    Raises:
        WrongDatabaseError: with what is missing and what to do.
    """
    found: dict[str, set[str]] = {}
    for table, column in await connection.fetch(COLUMNS, address.schema):
        found.setdefault(table, set()).add(column)
    if not found:
        raise WrongDatabaseError(f"{address} is empty; {APPLY}")
    missing = [
        f"{table}.{column}"
        for table, columns in needed(formats).items()
        for column in sorted(columns - found.get(table, set()))
    ]
    if missing:
        raise WrongDatabaseError(f"{address} lacks {', '.join(missing[:5])}; {APPLY}")
    if await connection.fetchval("SHOW synchronous_commit") == "off":
        text = "a crash would lose commits whose messages are out; ALTER ROLE or DATABASE ... RESET synchronous_commit"
        raise WrongDatabaseError(f"{address} has synchronous_commit=off: {text}")
    oldest = await connection.fetchval(f"SELECT oldest FROM {quoted(address.schema)}.kit_schema")  # noqa: S608 - our own words
    refuse_old(address, oldest)


def refuse_old(address: Address, oldest: str | None) -> None:
    """Refuse to run on a schema that is not for a program as old as this one.

    Raises:
        WrongDatabaseError: when it is not.
    """
    if oldest is not None and ordered(this_version()) < ordered(oldest):
        text = f"{address} needs Sagaplane {oldest} or newer, and this is {this_version()}; upgrade this program"
        raise WrongDatabaseError(text)
