"""Dead letters as a list, and one with everything in it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from onebox.errors import NotFound
from onebox.layout import SERVICES
from onebox.letters.kept import named, read
from onebox.moments import moment
from onebox.output import Column, Output
from sagakit.core.control_contracts import DeadLetterData
from sagakit.runtime.dead_letters import DeadLetter, LetterGoneError, Status, Wanted, content
from sagakit.runtime.plain import plain

if TYPE_CHECKING:
    from sagakit.ports import Log

ERROR_SHOWN = 60


class Whole(msgspec.Struct, frozen=True):
    """A letter, and the record that is in it."""

    letter: DeadLetter
    record: DeadLetterData


async def list_letters(log: "Log", out: Output, services: Sequence[str], wanted: Wanted, limit: int) -> None:
    """Print the letters, the newest first, below how many there are."""
    letters = await read(log, out, services)
    fitting = [letter for letter in reversed(letters) if wanted.fits(letter)]
    shown = fitting[: limit or None]
    if out.for_people:
        out.say(_counted(letters))
    if shown or not out.for_people:
        columns = [
            Column[DeadLetter]("ID", lambda letter: letter.id),
            Column[DeadLetter]("WHEN", lambda letter: moment(letter.buried_at)),
            Column[DeadLetter]("STATUS", lambda letter: letter.status),
            Column[DeadLetter]("REASON", lambda letter: letter.reason),
            Column[DeadLetter]("TYPE", lambda letter: letter.type or "-"),
            Column[DeadLetter]("SAGA", lambda letter: letter.saga_id),
            Column[DeadLetter]("SERVICE", lambda letter: letter.service),
            Column[DeadLetter]("CAME FROM", origin),
            Column[DeadLetter]("ERROR", lambda letter: shortened(letter.error)),
        ]
        out.many(shown, lambda letter: letter.id, columns)
    if out.for_people and not shown:
        out.note("no such dead letters")
    elif len(shown) < len(fitting):
        out.note(f"{len(fitting) - len(shown)} more: --limit 0 shows all")


async def show_letter(log: "Log", out: Output, letter_id: str) -> None:
    """Print the letter, and the message in it.

    Raises:
        NotFound: when there is none of that id.
    """
    letters = await read(log, out, SERVICES)
    (letter,) = named(letters, [letter_id])
    try:
        whole = Whole(letter, await content(log, letter))
    except LetterGoneError as error:
        raise NotFound(str(error), "see which there are: sagactl dlq list --all") from None
    out.one(whole, letter.id, lambda: told(whole))


def told(whole: Whole) -> str:
    """Return the letter as a text."""
    from onebox.description import aligned

    letter, record = whole.letter, whole.record
    rows = [
        ("service", letter.service),
        ("buried", moment(letter.buried_at)),
        ("reason", letter.reason),
        ("error", " ".join(letter.error.split())),
        ("came from", origin(letter)),
        ("key", record.key if record.key is not None else "-"),
        ("saga", letter.saga_id),
        ("letter at", f"{letter.service}.dlq-{letter.letter_partition}@{letter.letter_offset}"),
    ]
    if letter.decision is not None:
        d = letter.decision
        rows.append((d.status, f"{moment(d.at)} by {d.actor}: {d.reason}"))
    headers = aligned(sorted(record.headers.items())) if record.headers else ["none"]
    lines = [
        f"{letter.id}  {letter.status}, {letter.type or 'of no type'}",
        *(f"  {line}" for line in aligned(rows)),
        "",
        "HEADERS",
        *(f"  {line}" for line in headers),
        "",
        "VALUE",
        *(f"  {line}" for line in _pretty(record.value).splitlines()),
    ]
    if record.value_base64 is not None or record.headers_base64 is not None:
        lines += ["", "The text does not tell every byte; -o json has the bytes themselves, in base64."]
    if record.cut:
        lines += ["", "The record is too large to be handled; the letter has its beginning only."]
    return "\n".join(line.replace("\n", " ").rstrip() for line in lines)


def origin(letter: DeadLetter) -> str:
    """Return the place where the record was; only the topic, when it was not in the log's hands any more."""
    return letter.topic or "-" if letter.offset < 0 else f"{letter.topic}-{letter.partition}@{letter.offset}"


def shortened(error: str) -> str:
    """Return the error in one line that fits a table."""
    line = plain(" ".join(error.split()))
    return line if len(line) <= ERROR_SHOWN else f"{line[: ERROR_SHOWN - 1]}…"


def _counted(letters: Sequence[DeadLetter]) -> str:
    counts = ", ".join(f"{sum(letter.status is status for letter in letters)} {status}" for status in Status)
    open_ = [letter.service for letter in letters if letter.status is Status.OPEN]
    where = ", ".join(f"{service} {open_.count(service)}" for service in dict.fromkeys(open_))
    return f"{counts} ({where})" if where else counts


def _pretty(value: str) -> str:
    try:
        return msgspec.json.format(value, indent=2)
    except msgspec.DecodeError:
        return value
