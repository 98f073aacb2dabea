"""Steering one saga: the verbs. Each is in the saga's history, with who and why."""

from typing import TYPE_CHECKING, Annotated

import typer

from onebox.asking import confirm
from onebox.commands.options import OutputOption, ReasonOption, SagaId, StepOption
from onebox.errors import BadInput
from onebox.output import Format, Output
from onebox.session import guarded, run
from sagakit.core.facts import Verb

if TYPE_CHECKING:
    from onebox.client import Shop


def retry(saga_id: SagaId, reason: ReasonOption, step: StepOption = None, output: OutputOption = Format.TABLE) -> None:
    """Try a stuck step again."""
    run(lambda shop, out: ask(shop, out, saga_id, Verb.RETRY, reason, step), output)


def skip(saga_id: SagaId, reason: ReasonOption, step: StepOption = None, output: OutputOption = Format.TABLE) -> None:
    """Go on without what a stuck step would have done."""
    run(lambda shop, out: ask(shop, out, saga_id, Verb.SKIP, reason, step), output)


def mark_done(
    saga_id: SagaId, reason: ReasonOption, step: StepOption = None, output: OutputOption = Format.TABLE
) -> None:
    """Take a stuck step as done, because somebody did it by hand."""
    run(lambda shop, out: ask(shop, out, saga_id, Verb.MARK_DONE, reason, step), output)


def cancel(saga_id: SagaId, reason: ReasonOption, output: OutputOption = Format.TABLE) -> None:
    """Ask a saga to stop: what happened is taken back, unless its pivot was faster."""
    run(lambda shop, out: ask(shop, out, saga_id, Verb.CANCEL, reason), output)


def kill(
    saga_id: SagaId,
    reason: ReasonOption,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for scripts.")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """End a saga and leave everything as it is: nothing is taken back. The last resort."""
    if not yes:
        guarded(lambda: think(saga_id))
    run(lambda shop, out: ask(shop, out, saga_id, Verb.KILL, reason), output)


def suspend(saga_id: SagaId, reason: ReasonOption, output: OutputOption = Format.TABLE) -> None:
    """Hold the steps that have not begun; compensation, cancel and the deadline go on."""
    run(lambda shop, out: ask(shop, out, saga_id, Verb.SUSPEND, reason), output)


def resume(saga_id: SagaId, reason: ReasonOption, output: OutputOption = Format.TABLE) -> None:
    """Let the steps that were held begin."""
    run(lambda shop, out: ask(shop, out, saga_id, Verb.RESUME, reason), output)


def think(saga_id: str) -> None:
    """Let a person think once more before money and stock are left where they are."""
    confirm(
        "kill asks before it leaves money and stock as they are",
        f"{saga_id} will end as it is: no refund, no release. Type its id to kill it: ",
        saga_id,
        BadInput("not killed", "cancel takes back what happened: sagactl cancel ID --reason …"),
    )


async def ask(shop: "Shop", out: Output, saga_id: str, verb: Verb, reason: str, step: str | None = None) -> None:
    """Ask for the verb, and print what it did."""
    from onebox.answers import VerbDone
    from onebox.client import path_of

    body = {"reason": reason} if step is None else {"reason": reason, "step": step}
    done = await shop.post("order", f"{path_of('sagas', saga_id)}/{verb}", VerbDone, body)
    asked = f"✔ {done.saga_id}: {done.sentence}; it is {done.phase}"
    out.one(done, done.saga_id, lambda: asked if done.effect else f"· {done.sentence}")
