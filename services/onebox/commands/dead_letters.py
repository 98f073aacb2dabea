"""Dead letters: what could not be read or handled, and to have it come once more or let it be."""

import os
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from onebox.asking import confirm
from onebox.commands.options import DataDirOption, LimitOption, OutputOption
from onebox.errors import AnswerIsNo, BadInput, Conflict, NotFound, Unreachable
from onebox.layout import SERVICES
from onebox.moments import moment
from onebox.output import Column, Format, Output, plain
from onebox.session import start
from sagakit.core.control_contracts import DeadLetterData
from sagakit.runtime.dead_letters import (
    Because,
    DeadLetter,
    LetterGoneError,
    NotRedrivableError,
    Status,
    Wanted,
    content,
    discard,
    letters_of,
    redrive,
)

if TYPE_CHECKING:
    from sagakit.ports import Clock, Log

PROOF = "orders.events"
"""A topic of every shop: who does not have it has no shop."""
SERVICE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
AGO = re.compile(r"(\d{1,6})([smhd])")
AGO_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
RATE_MAX = 1000
ERROR_SHOWN = 60
SAMPLE = 20
"""So many letters are named before a person agrees."""

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The letter, by its id.")]
IdsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="ID", help="These letters, by their ids; or say which by the options.")
]
ServiceOption = Annotated[
    list[str] | None, typer.Option("--service", help="Only letters of this service; may be given often.")
]
ReasonOption = Annotated[
    str | None,
    typer.Option("--reason", help="Only letters with this reason: unreadable, unhandled, expired or refused."),
]
TypeOption = Annotated[str | None, typer.Option("--type", help="Only messages of this type, such as ChargePayment.")]
SagaOption = Annotated[str | None, typer.Option("--saga", help="Only letters of this saga, by its id.")]
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since", help="Only letters from this moment on, such as 2026-11-25T12:00Z or 2h for two hours ago."
    ),
]
UntilOption = Annotated[str | None, typer.Option("--until", help="Only letters before this moment.")]
ErrorOption = Annotated[
    str | None, typer.Option("--error-contains", help="Only letters with this in their error, in any case.")
]
WhyOption = Annotated[str, typer.Option("--reason-why", help="Why; it stands beside the letter with your name.")]
AllOption = Annotated[bool, typer.Option("--all", help="Every open letter, when nothing says which.")]
AgainOption = Annotated[bool, typer.Option("--again", help="Also letters about which something was decided before.")]
RateOption = Annotated[int, typer.Option("--rate", min=1, max=RATE_MAX, help="Letters per second at most.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only count the letters, and name some.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for scripts.")]


class Whole(msgspec.Struct, frozen=True):
    """A letter, and the record that is in it."""

    letter: DeadLetter
    record: DeadLetterData


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asks of which letters, and within which bounds."""

    becomes: Status
    wanted: Wanted
    services: tuple[str, ...] = SERVICES
    because: Because
    every: bool = False
    again: bool = False
    to: str = ""
    rate: int = 50
    dry_run: bool = False
    yes: bool = False

    @property
    def verb(self) -> str:
        """What it is called on the command line."""
        return "redrive" if self.becomes is Status.REDRIVEN else "discard"


def list_(
    service: ServiceOption = None,
    reason: ReasonOption = None,
    kind: TypeOption = None,
    saga: SagaOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    error: ErrorOption = None,
    status: Annotated[Status, typer.Option("--status", help="Only letters of which this became.")] = Status.OPEN,
    every: Annotated[bool, typer.Option("--all", help="Whatever became of them.")] = False,
    limit: LimitOption = 50,
    data_dir: DataDirOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """List dead letters, the newest first, and count them."""

    async def work() -> None:
        wanted = wanted_of(None, reason, kind, saga, since, until, error, None if every else status)
        services = services_of(service)
        async with opened_log(data_dir) as log:
            await list_letters(log, Output(output), services, wanted, limit)

    start(work)


def show(letter_id: IdArgument, data_dir: DataDirOption = None, output: OutputOption = Format.TABLE) -> None:
    """Show everything about one dead letter, with the message that is in it."""

    async def work() -> None:
        async with opened_log(data_dir) as log:
            await show_letter(log, Output(output), letter_id)

    start(work)


def redrive_(
    why: WhyOption,
    ids: IdsArgument = None,
    service: ServiceOption = None,
    reason: ReasonOption = None,
    kind: TypeOption = None,
    saga: SagaOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    error: ErrorOption = None,
    every: AllOption = False,
    again: AgainOption = False,
    to: Annotated[
        str | None, typer.Option("--to", help="The topic for letters that do not say where they came from.")
    ] = None,
    rate: RateOption = 50,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    data_dir: DataDirOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Publish messages once more, just as they were, where they came from.

    Whoever has handled such a message before passes it over; whoever could not handles it now.
    """

    async def work() -> None:
        asked = Asked(
            becomes=Status.REDRIVEN,
            wanted=wanted_of(ids, reason, kind, saga, since, until, error, None),
            services=services_of(service),
            because=because(why),
            every=every,
            again=again,
            to=to or "",
            rate=rate,
            dry_run=dry_run,
            yes=yes,
        )
        await _decide(asked, data_dir, Output(output))

    start(work)


def discard_(
    why: WhyOption,
    ids: IdsArgument = None,
    service: ServiceOption = None,
    reason: ReasonOption = None,
    kind: TypeOption = None,
    saga: SagaOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    error: ErrorOption = None,
    every: AllOption = False,
    again: AgainOption = False,
    rate: RateOption = 50,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    data_dir: DataDirOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Put down that messages are not to come again; they stay readable as long as the log keeps them."""

    async def work() -> None:
        asked = Asked(
            becomes=Status.DISCARDED,
            wanted=wanted_of(ids, reason, kind, saga, since, until, error, None),
            services=services_of(service),
            because=because(why),
            every=every,
            again=again,
            rate=rate,
            dry_run=dry_run,
            yes=yes,
        )
        await _decide(asked, data_dir, Output(output))

    start(work)


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


async def list_letters(log: "Log", out: Output, services: Sequence[str], wanted: Wanted, limit: int) -> None:
    """Print the letters, the newest first, below how many there are."""
    letters = await _read(log, out, services)
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
    letters = await _read(log, out, SERVICES)
    (letter,) = _named(letters, [letter_id])
    try:
        whole = Whole(letter, await content(log, letter))
    except LetterGoneError as error:
        raise NotFound(str(error), "see which there are: sagactl dlq list --all") from None
    out.one(whole, letter.id, lambda: told(whole))


async def decide(log: "Log", out: Output, clock: "Clock", asked: Asked) -> None:
    """Do what is asked of each letter, the oldest first, and print what came of it.

    Raises:
        BadInput: when it is not said which letters, or a person does not agree.
        NotFound: when a letter of that id does not exist.
        Conflict: when something was decided about a named letter before.
        AnswerIsNo: when it could not be done to all of them.
        Unreachable: when the log went away in between.
    """
    letters = _asked_for(await _read(log, out, asked.services), asked)
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


def wanted_of(
    ids: Iterable[str] | None,
    reason: str | None,
    kind: str | None,
    saga: str | None,
    since: str | None,
    until: str | None,
    error: str | None,
    status: Status | None,
) -> Wanted:
    """Return which letters the options mean.

    Raises:
        BadInput: when a time means nothing.
    """
    return Wanted(
        ids=frozenset(ids or ()),
        status=status,
        reason=reason,
        type=kind,
        saga_id=saga,
        since=time_of("--since", since),
        until=time_of("--until", until),
        error_contains=error,
    )


def time_of(option: str, text: str | None, now: datetime | None = None) -> datetime | None:
    """Return the moment: RFC 3339, or so long ago.

    Raises:
        BadInput: when it is neither.
    """
    if text is None:
        return None
    try:
        if ago := AGO.fullmatch(text):
            return (now or datetime.now(UTC)) - timedelta(seconds=int(ago[1]) * AGO_SECONDS[ago[2]])
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        at = None
    if at is None or at.tzinfo is None:
        raise BadInput(f"{option} {text!r} is no moment", "write it like 2026-11-25T12:00Z, or 2h for two hours ago")
    return at


def services_of(names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the services whose letters are meant; all that a box has, when none is named.

    Raises:
        BadInput: when one has no name that a topic can have.
    """
    for name in names or ():
        if not SERVICE_NAME.fullmatch(name):
            raise BadInput(f"--service {name!r} is no name of a service", f"it is one of {', '.join(SERVICES)}")
    return tuple(dict.fromkeys(names)) if names else SERVICES


def because(why: str) -> Because:
    """Return who asks, and why.

    Raises:
        BadInput: when there is no reason.
    """
    from onebox.settings import ctl_settings

    if not why.strip():
        raise BadInput("--reason-why is empty", "say why; it stands beside the letter for whoever looks later")
    return Because(ctl_settings().actor, why.strip())


def topic_for(letter: DeadLetter) -> str:
    """Return the topic that messages of this type come to its service from; nothing when that is not certain."""
    from sagakit.runtime.topics import commands_topic
    from shop_contracts.carried import topics

    carrying = [topic for topic, kinds in topics().items() if letter.type in kinds]
    own = commands_topic(letter.service)
    if own in carrying:
        return own
    return carrying[0] if len(carrying) == 1 else ""


def origin(letter: DeadLetter) -> str:
    """Return the place where the record was; only the topic, when it was not in the log's hands any more."""
    return letter.topic or "-" if letter.offset < 0 else f"{letter.topic}-{letter.partition}@{letter.offset}"


def shortened(error: str) -> str:
    """Return the error in one line that fits a table."""
    line = plain(" ".join(error.split()))
    return line if len(line) <= ERROR_SHOWN else f"{line[: ERROR_SHOWN - 1]}…"


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
    return "\n".join(line.replace("\n", " ").rstrip() for line in lines)


async def _decide(asked: Asked, data_dir: Path | None, out: Output) -> None:
    from sagakit.runtime.clock import SystemClock

    async with opened_log(data_dir) as log:
        await decide(log, out, SystemClock(), asked)


async def _done_to_each(
    log: "Log", out: Output, clock: "Clock", asked: Asked, letters: Sequence[DeadLetter]
) -> Outcome:
    from sagakit.ports import LogUnavailableError
    from sagakit.runtime.dead_letters import Pace

    done: list[str] = []
    refused: list[Refusal] = []
    pace = Pace(clock, asked.rate)
    with out.progress(f"letters {asked.becomes}", len(letters)) as bar:
        for letter in letters:
            await pace.turn()
            try:
                if asked.becomes is Status.REDRIVEN:
                    to = asked.to or topic_for(letter)
                    _refuse_elsewhere(letter, letter.topic or to, asked.to)
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


def _refuse_elsewhere(letter: DeadLetter, topic: str, named: str) -> None:
    """Refuse a topic that the letter's service does not read: a person may write where the letter's author may not.

    Raises:
        NotRedrivableError: when the message would go to such a topic, and the person has not named it.
    """
    from onebox.wiring import ALL_ACCESS

    access = ALL_ACCESS.get(letter.service)
    if topic and access is not None and topic not in (*access.reads, named):
        raise NotRedrivableError(f"{letter.id}: it would go to {topic}, which {letter.service} does not read")


async def _read(log: "Log", out: Output, services: Iterable[str]) -> list[DeadLetter]:
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


async def _has_letters(log: "Log", out: Output, service: str) -> bool:
    """Tell whether a service has a topic of dead letters; where it has none, or nobody may see it, a person is told.

    Raises:
        LogUnavailableError: when no topic can be seen.
    """
    from sagakit.ports import LogUnavailableError
    from sagakit.runtime.topics import dead_letter_topic

    try:
        await log.identities([dead_letter_topic(service)])
    except LogUnavailableError as error:
        await log.identities([PROOF])
        out.note(f"{error}; until then no letters of {service} are seen")
        return False
    return True


def _asked_for(letters: Sequence[DeadLetter], asked: Asked) -> list[DeadLetter]:
    wanted = asked.wanted
    named = _named(letters, wanted.ids)
    fitting = [letter for letter in letters if wanted.fits(letter)]
    settled = [letter for letter in named if letter.status is not Status.OPEN]
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


def _named(letters: Sequence[DeadLetter], ids: Iterable[str]) -> list[DeadLetter]:
    by_id = {letter.id: letter for letter in letters}
    for letter_id in ids:
        if letter_id not in by_id:
            raise NotFound(f"there is no dead letter {letter_id!r}", "see which there are: sagactl dlq list --all")
    return [by_id[letter_id] for letter_id in ids]


def _counted(letters: Sequence[DeadLetter]) -> str:
    counts = ", ".join(f"{sum(letter.status is status for letter in letters)} {status}" for status in Status)
    open_ = [letter.service for letter in letters if letter.status is Status.OPEN]
    where = ", ".join(f"{service} {open_.count(service)}" for service in dict.fromkeys(open_))
    return f"{counts} ({where})" if where else counts


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


def _pretty(value: str) -> str:
    try:
        return msgspec.json.format(value, indent=2)
    except msgspec.DecodeError:
        return value
