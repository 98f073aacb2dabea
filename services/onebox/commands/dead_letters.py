"""Dead letters: what could not be read or handled, and to have it come once more or let it be."""

from pathlib import Path
from typing import Annotated

import typer

from onebox.commands.options import DataDirOption, LimitOption, OutputOption
from onebox.letters.asked import Asked, because, services_of, wanted_of
from onebox.letters.kept import opened_log
from onebox.letters.shown import list_letters, show_letter
from onebox.output import Format, Output
from onebox.session import start
from sagakit.runtime.dead_letters import Status

RATE_MAX = 1000

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
        str | None,
        typer.Option("--to", help="The topic for letters that do not say, or cannot show, where they came from."),
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


async def _decide(asked: Asked, data_dir: Path | None, out: Output) -> None:
    from onebox.letters.decided import decide
    from sagakit.runtime.clock import SystemClock

    async with opened_log(data_dir) as log:
        await decide(log, out, SystemClock(), asked)
