"""The audit: do the services' books agree with how every saga ended?"""

from typing import TYPE_CHECKING, Annotated

import typer

from onebox.commands.options import OutputOption
from onebox.errors import AnswerIsNo
from onebox.output import Format, Output
from onebox.session import run

if TYPE_CHECKING:
    from onebox.audit import Verdict
    from onebox.client import Shop


def audit(
    sample: Annotated[
        int,
        typer.Option(min=0, help="Compare the lines of so many confirmed orders, evenly chosen; each is a request."),
    ] = 1000,
    every: Annotated[bool, typer.Option("--all-lines", help="Compare the lines of every confirmed order.")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Hold every ended saga against its payment, stock and shipment; ends with 1 when the books do not balance."""
    run(lambda shop, out: audit_shop(shop, out, None if every else sample), output)


async def audit_shop(shop: "Shop", out: Output, sample: int | None) -> None:
    """Print the verdict.

    Raises:
        AnswerIsNo: when the books do not balance.
    """
    from onebox.bookkeeping import account

    verdict = await verdict_of(shop, out, sample)
    out.one(verdict, "clean" if verdict.clean else "not-clean", lambda: account(verdict))
    if not verdict.clean:
        raise AnswerIsNo("the books do not balance", "look at what is named: sagactl describe ID, sagactl timeline ID")


async def verdict_of(shop: "Shop", out: Output, sample: int | None) -> "Verdict":
    """Return the verdict, with a bar while the books are read."""
    from onebox.bookkeeping import Reader

    with out.progress("records read", None) as show:
        return await Reader(shop, lambda read: show(read, None)).verdict(sample)
