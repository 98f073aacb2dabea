"""How many may be served at once; who asks beyond that is refused at once, and may ask again.

A connection without a request in hand costs next to nothing and is closed for whoever comes, so that idle ones keep
nobody out. What is spared is answered in any crowd: a busy service is not restarted for being busy, and can be seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

CROWDED = "sagaplane.crowded"
"""The mark of a request beyond those that may be in hand at once, among the extensions of its scope."""
SPARE_CONNECTIONS = 64
"""So many more may be open than in use: idle ones, and those that ask for what is spared."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections may have a request in hand, and how many of these an answer without end."""

    connections: int = 500
    streams: int = 100


LIMITS = Limits()


class Connection(Protocol):
    """One connection, to whomever."""

    def end(self) -> None:
        """Close it."""


class Places:
    """The connections of one server, and which of them rest: those rested longest first."""

    def __init__(self, used_max: int) -> None:
        """Nobody is here; so many may be in use at once."""
        self._used_max = used_max
        self._open: set[Connection] = set()
        self._resting: dict[Connection, None] = {}

    def come(self, connection: Connection) -> None:
        """Have one more, for which the one that has rested longest goes when there are too many."""
        self._open.add(connection)
        self._resting[connection] = None
        if len(self._open) > self._used_max + SPARE_CONNECTIONS:
            longest = next(iter(self._resting))
            self._resting.pop(longest)
            longest.end()

    def use(self, connection: Connection) -> bool:
        """Have a request in hand; tell whether that is one too many."""
        self._resting.pop(connection, None)
        return len(self._open) - len(self._resting) > self._used_max

    def rest(self, connection: Connection) -> None:
        """Have none in hand any more, and nothing to be taken."""
        self._resting[connection] = None

    def go(self, connection: Connection) -> None:
        """Have it no longer."""
        self._open.discard(connection)
        self._resting.pop(connection, None)


def is_crowded(scope: Mapping[str, Any]) -> bool:
    """Tell whether a request is one too many."""
    return CROWDED in (scope.get("extensions") or ())
