"""The letters that a log keeps, of every service that is asked about, and those that a person means."""

import os
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from onebox.errors import BadInput, Conflict, NotFound
from onebox.layout import SERVICES
from onebox.letters.asked import Asked
from onebox.output import Output
from sagakit.ports import LogUnavailableError
from sagakit.runtime.dead_letters import DeadLetter, Status, Wanted, letters_of
from sagakit.runtime.plain import plain
from sagakit.runtime.topics import dead_letter_topic

if TYPE_CHECKING:
    from sagakit.ports import Log

PROOF = "orders.events"
"""A topic of every shop: who does not have it has no shop."""


@asynccontextmanager
async def opened_log(data_dir: Path | None) -> "AsyncIterator[Log]":
    """Open the log that the environment names, or that of a box, whether one runs on it or not.

    Raises:
        NotFound: when there is none.
        BadInput: when the file is another program's, or a variable means nothing.
        Unreachable: when it cannot be read or written now.
    """
    from onebox.opening import opened

    async with opened(data_dir, os.environ, [PROOF], "nothing was ever said there") as its:
        yield its.log


async def read(log: "Log", out: Output, services: Iterable[str]) -> list[DeadLetter]:
    """Return the letters of these services, the oldest first."""
    found: list[DeadLetter] = []
    for service in services:
        if not await _has_letters(log, out, service):
            continue
        letters = await letters_of(log, service)
        found += letters.all
        if letters.strange:
            out.note(f"{service}.dlq: {letters.strange} records are no dead letters and are passed over")
    return sorted(found, key=lambda letter: (letter.buried_at, letter.id))


def named(letters: Sequence[DeadLetter], ids: Iterable[str]) -> list[DeadLetter]:
    """Return those of these ids.

    Raises:
        NotFound: when there is none of one of them.
    """
    by_id = {letter.id: letter for letter in letters}
    for letter_id in ids:
        if letter_id not in by_id:
            raise NotFound(f"there is no dead letter {letter_id!r}", "see which there are: sagactl dlq list --all")
    return [by_id[letter_id] for letter_id in ids]


def asked_for(letters: Sequence[DeadLetter], asked: Asked) -> list[DeadLetter]:
    """Return the letters about which something is to be decided.

    Raises:
        BadInput: when it is not said which letters.
        NotFound: when a letter of a named id does not exist.
        Conflict: when something was decided about a named letter before.
    """
    wanted = asked.wanted
    by_name = named(letters, wanted.ids)
    fitting = [letter for letter in letters if wanted.fits(letter)]
    settled = [letter for letter in by_name if letter.status is not Status.OPEN]
    if settled and not asked.again:
        letter = settled[0]
        decision = letter.decision
        by = f" by {decision.actor}: {decision.reason}" if decision else ""
        cause = plain(f"{letter.id} was {letter.status}{by}", kept="")
        raise Conflict(cause, "add --again to decide about it once more")
    open_ = [letter for letter in fitting if asked.again or letter.status is Status.OPEN]
    without = asked.services == SERVICES and wanted == Wanted()
    if without and len(open_) > 1 and not asked.every:
        cause = f"{len(open_)} letters are open, and nothing says which of them are meant"
        raise BadInput(cause, "name them, narrow them with an option such as --reason, or add --all")
    return open_


async def _has_letters(log: "Log", out: Output, service: str) -> bool:
    """Tell whether a service has a topic of dead letters; where it has none, or nobody may see it, a person is told.

    Raises:
        LogUnavailableError: when no topic can be seen.
    """
    try:
        await log.identities([dead_letter_topic(service)])
    except LogUnavailableError as error:
        await log.identities([PROOF])
        out.note(f"{error}; until then no letters of {service} are seen")
        return False
    return True
