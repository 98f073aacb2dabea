"""PostgreSQL's errors in the words of the ports, by their SQLSTATE (PostgreSQL documentation, appendix A)."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from sagakit.ports import StoreUnavailableError

LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""The connection is of no use any more."""
UNAVAILABLE_CLASSES = ("08", "26", "53", "57", "58", "XX")
"""What no record is to blame for; 26 is a prepared statement that a pooler has lost, and XX a damaged table."""
UNAVAILABLE_STATES = ("25006", "25P03", "25P04", "42P05", "55000", "55P03")
"""A standby that takes no writes, a transaction that idled or took too long, a prepared statement that a pooler gave to
another, a server that is not in the state for it, a lock that was waited for too long."""
CONFLICT_STATES = ("40001", "40P01")
SCHEMA_STATES = ("3F000", "42P01", "42703")
SETTING_CLASSES = ("28", "3D", "42501")


class WrongDatabaseError(StoreUnavailableError):
    """The database is not what this program needs. The text says what to do; nothing was changed."""


class ConflictError(Exception):
    """A rival changed what this transaction relied on. It is taken back and its works are run again."""


def state_of(error: BaseException) -> str:
    """Return the SQLSTATE of an error of the server; nothing for any other."""
    return str(getattr(error, "sqlstate", None) or "")


def line_of(error: BaseException) -> str:
    """Return what an error says, in one line: the server adds details and hints in others."""
    return "; ".join(str(error).splitlines()) or type(error).__name__


def is_lost(error: BaseException) -> bool:
    """Tell whether the connection is of no use after this error; a value that cannot be sent does not harm it."""
    lost = isinstance(error, LOST) and not isinstance(error, ValueError)
    return lost or state_of(error).startswith(("08", "57P")) or state_of(error) in ("25P03", "25006")


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Raise what PostgreSQL says as the ports say it; `place` names the database without its password.

    Raises:
        StoreUnavailableError: when it cannot be reached, is full or is shutting down.
        ConflictError: when a rival was faster.
        WrongDatabaseError: when it is there, but not as this program needs it.
    """
    try:
        yield
    except (asyncpg.PostgresError, *LOST) as error:
        raise in_our_words(error, place) from error


def in_our_words(error: BaseException, place: str) -> Exception:
    """Return the error as the ports name it; one that is nobody's fault but ours stays as it is."""
    state, text = state_of(error), line_of(error)
    if state in CONFLICT_STATES:
        return ConflictError(text)
    if state in SCHEMA_STATES:
        return WrongDatabaseError(f"{place}: {text}; run `sagactl database apply`")
    if state.startswith(SETTING_CLASSES):
        return WrongDatabaseError(f"{place}: {text}; correct SAGAPLANE_DATABASE_URL, or what it is granted")
    if is_lost(error) or state.startswith(UNAVAILABLE_CLASSES) or state in UNAVAILABLE_STATES:
        return StoreUnavailableError(f"{place}: {text}")
    assert isinstance(error, Exception), "only exceptions are caught here"
    return error
