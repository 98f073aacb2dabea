"""Letters decided about one after another, the oldest first, once a person agrees; and what came of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from onebox.asking import confirm
from onebox.errors import AnswerIsNo, BadInput, Unreachable
from onebox.letters.asked import Asked
from onebox.letters.destination import refuse_made_up, topic_for
from onebox.letters.kept import asked_for, read
from onebox.letters.shown import shortened
from onebox.output import Output
from sagakit.ports import LogUnavailableError
from sagakit.runtime.dead_letters import (
    DeadLetter,
    LetterGoneError,
    NotRedrivableError,
    Pace,
    Status,
    discard,
    redrive,
)
from sagakit.runtime.plain import plain

if TYPE_CHECKING:
    from sagakit.ports import Clock, Log

SAMPLE = 20
"""So many letters are named before a person agrees."""


class Refusal(msgspec.Struct, frozen=True):
    """A letter to which it could not be done, and why."""

    id: str
    reason: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was asked of how many letters, and what came of it. Nothing is done by a dry run."""

    verb: str
    total: int
    done: int
    dry_run: bool = False
    letters: list[str]
    refused: list[Refusal] = []


async def decide(log: "Log", out: Output, clock: "Clock", asked: Asked) -> None:
    """Do what is asked of each letter, the oldest first, and print what came of it.

    Raises:
        BadInput: when it is not said which letters, or a person does not agree.
        NotFound: when a letter of that id does not exist.
        Conflict: when something was decided about a named letter before.
        AnswerIsNo: when it could not be done to all of them.
        Unreachable: when the log went away in between.
    """
    letters = asked_for(await read(log, out, asked.services), asked)
    if asked.dry_run:
        names = [letter.id for letter in letters]
        outcome = Outcome(verb=asked.verb, total=len(letters), done=0, dry_run=True, letters=names)
        out.one(outcome, "\n".join(names), lambda: _would(asked, letters))
        return
    if letters and not asked.yes:
        confirm(
            f"{asked.verb} asks first",
            f"{_would(asked, letters)}\nType {len(letters)} to {asked.verb} them: ",
            str(len(letters)),
            BadInput(f"nothing was {asked.becomes}", f"see what it would be: sagactl dlq {asked.verb} --dry-run …"),
        )
    outcome = await _done_to_each(log, out, clock, asked, letters)
    out.one(outcome, "\n".join(outcome.letters), lambda: _told_outcome(asked, outcome))
    if outcome.refused:
        raise AnswerIsNo(
            f"{len(outcome.refused)} of {outcome.total} letters could not be {asked.becomes}",
            "see why: sagactl dlq show ID",
        )


async def _done_to_each(
    log: "Log", out: Output, clock: "Clock", asked: Asked, letters: Sequence[DeadLetter]
) -> Outcome:
    done: list[str] = []
    refused: list[Refusal] = []
    pace = Pace(clock, asked.rate)
    with out.progress(f"letters {asked.becomes}", len(letters)) as bar:
        for letter in letters:
            await pace.turn()
            try:
                if asked.becomes is Status.REDRIVEN:
                    to = asked.to or topic_for(letter)
                    await refuse_made_up(log, letter, letter.topic or to, asked.to)
                    await redrive(log, letter, asked.because, clock.now(), to)
                else:
                    await discard(log, letter, asked.because, clock.now())
            except (NotRedrivableError, LetterGoneError) as error:
                refused.append(Refusal(letter.id, str(error)))
            except LogUnavailableError as error:
                told = f"{len(done)} of {len(letters)} were {asked.becomes} before: {error}"
                raise Unreachable(told, "the others are open still; the same command goes on with them") from None
            else:
                done.append(letter.id)
            bar(len(done) + len(refused), len(letters))
    return Outcome(verb=asked.verb, total=len(letters), done=len(done), letters=done, refused=refused)


def _would(asked: Asked, letters: Sequence[DeadLetter]) -> str:
    some = [
        plain(f"  {letter.id}  {letter.service}  {letter.type or '-'}  {shortened(letter.error)}", kept="")
        for letter in letters[:SAMPLE]
    ]
    more = ["  …"] if len(letters) > SAMPLE else []
    return "\n".join([f"{len(letters)} letters would be {asked.becomes}", *some, *more])


def _told_outcome(asked: Asked, outcome: Outcome) -> str:
    if not outcome.total:
        return f"no such dead letters; nothing was {asked.becomes}"
    mark = "✔" if outcome.done == outcome.total else "✖"
    lines = [f"  {refusal.reason}" for refusal in outcome.refused]
    return "\n".join([f"{mark} {outcome.done} of {outcome.total} letters {asked.becomes}", *lines])
