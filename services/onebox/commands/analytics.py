"""What the shop's figures are: report, windows, lists, a live view, and the recount."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onebox.commands.options import DataDirOption, LimitOption, OrderId, OutputOption
from onebox.errors import AnswerIsNo, NotFound, Unreachable
from onebox.moments import moment
from onebox.output import Column, Format, Output
from onebox.session import run, start
from sagakit.runtime.plain import plain

if TYPE_CHECKING:
    from onebox.client import Shop
    from onebox.figures import Figures, Window, Windows
    from onebox.recount.verdict import Verdict

SERVICE = "analytics"
LIST_LIMIT = 50
DIFFERENCES_SHOWN = 100
"""More than these are only counted."""
WATCH_SECONDS = 1.0


def report(output: OutputOption = Format.TABLE) -> None:
    """Report how the shop does: figures, by mode, reasons, durations, and the last windows that are not empty."""
    run(show_report, output)


def windows(
    metric: Annotated[
        str, typer.Option("--metric", "-m", help="What is counted, such as orders, revenue, successRate, durationP99.")
    ] = "orders",
    kind: Annotated[str, typer.Option("--type", "-t", help="tumbling, hopping, sliding or session.")] = "tumbling",
    size: Annotated[
        str | None, typer.Option(help="How long a window is, such as 90s, 5m, 1h, 1d; 1m if not given.")
    ] = None,
    step: Annotated[str | None, typer.Option(help="Of hopping windows: from one's begin to the next one's.")] = None,
    gap: Annotated[str | None, typer.Option(help="Of sessions: how long a silence ends one; 30m if not given.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", help="The first moment at which a window may begin, such as 2026-11-25T12:00Z."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="The moment before which it begins; now if not given.")
    ] = None,
    zone: Annotated[str, typer.Option("--tz", help="Whose days and hours, such as Europe/Paris.")] = "UTC",
    currency: Annotated[str | None, typer.Option(help="Of amounts; the service's own if not given.")] = None,
    user: Annotated[str | None, typer.Option(help="Of sessions: only this user's.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show one metric by windows of event time: as it is now, and as it was when each window closed."""
    asked = {"metric": metric, "type": kind, "size": size, "step": step, "gap": gap, "from": since, "to": until}
    more = {"tz": zone, "currency": currency, "userId": user}
    run(lambda shop, out: show_windows(shop, out, {**asked, **more}), output)


def order(order_id: OrderId, output: OutputOption = Format.TABLE) -> None:
    """Show one order joined with its payment, reservation and shipment, and what is missing."""
    run(lambda shop, out: show_order(shop, out, order_id), output)


def unmatched(
    min_age: Annotated[
        int, typer.Option("--min-age", min=0, help="Only what has waited for at least so many seconds.")
    ] = 0,
    limit: LimitOption = LIST_LIMIT,
    output: OutputOption = Format.TABLE,
) -> None:
    """List orders of which something is missing, the oldest first."""
    run(lambda shop, out: list_unmatched(shop, out, min_age, limit), output)


def high_value(limit: LimitOption = LIST_LIMIT, output: OutputOption = Format.TABLE) -> None:
    """List orders of high value, the newest first."""
    run(lambda shop, out: list_high_values(shop, out, limit), output)


def products(limit: LimitOption = LIST_LIMIT, output: OutputOption = Format.TABLE) -> None:
    """List products: how many were ordered and sold, and what they brought."""
    run(lambda shop, out: list_products(shop, out, limit), output)


def watch(
    once: Annotated[bool, typer.Option("--once", help="Print one picture and end, as into a pipe.")] = False,
) -> None:
    """Watch the figures live, with small plots, until Ctrl-C."""
    run(lambda shop, out: watch_figures(shop, out, once=once))


def verify(
    data_dir: DataDirOption = None,
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="Of the views; by default the live one.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=0, help="How many differences are named; 0 for all.")
    ] = DIFFERENCES_SHOWN,
    output: OutputOption = Format.TABLE,
) -> None:
    """Count all events again with DuckDB and compare with the views; ends with 1 when anything differs."""
    start(lambda: verify_files(Output(output), data_dir, version, limit))


async def verify_files(out: Output, data_dir: Path | None, version: int | None, limit: int) -> None:
    """Print what the recount says.

    Raises:
        AnswerIsNo: when anything differs.
    """
    from onebox.recount.verdict import line, told

    verdict = await verdict_of(out, data_dir, version, limit)
    out.one(verdict, line(verdict), lambda: told(verdict))
    if not verdict.equal:
        raise AnswerIsNo(
            f"{verdict.differences_total} numbers of version {verdict.version} are not what the log says",
            "build another version and compare: sagactl analytics rebuild",
        )


async def verdict_of(
    out: Output,
    directory: Path | None,
    version: int | None = None,
    limit: int = DIFFERENCES_SHOWN,
    holding: Sequence[str] = (),
) -> "Verdict":
    """Return what the recount says of the box in the directory, or of what the environment names.

    Raises:
        NotFound: when the views there are of a shop without these orders.
    """
    from onebox.recount.opening import opened
    from onebox.recount.verification import recounted, unknown

    async with opened(directory, version, os.environ) as books:
        missing = await unknown(books, holding)
        if missing:
            raise NotFound(f"the views there do not have order {missing[0]}", "open those of the shop that was asked")
        with out.progress("events read", None) as bar:
            return await recounted(books, limit, bar)


async def show_report(shop: "Shop", out: Output) -> None:
    """Print the figures."""
    from onebox.report import report as text

    seen = await figures(shop)
    out.one(seen, str(seen.version), lambda: text(seen))


async def figures(shop: "Shop") -> "Figures":
    """Return the figures as of now."""
    from onebox.figures import Figures

    return await shop.get(SERVICE, "/analytics", Figures)


async def show_windows(shop: "Shop", out: Output, asked: dict[str, str | None]) -> None:
    """Print the windows of a metric."""
    from onebox.figures import Windows

    found = await shop.get(SERVICE, "/analytics/windows", Windows, asked)
    if not out.for_people:
        out.one(found, found.metric, lambda: "")
        return
    out.table(found.windows, _window_columns(found))
    if not found.windows:
        out.note("no such windows")


async def show_order(shop: "Shop", out: Output, order_id: str) -> None:
    """Print one order, joined."""
    from onebox.client import path_of
    from onebox.figures import JoinedOrder
    from onebox.report import joined

    found = await shop.get(SERVICE, path_of("analytics", "orders", order_id), JoinedOrder)
    out.one(found, found.order_id, lambda: joined(found))


async def list_unmatched(shop: "Shop", out: Output, min_age_seconds: int, limit: int) -> None:
    """Print the orders that wait for something."""
    from onebox.figures import Unmatched
    from onebox.report import seconds

    query = {"minAgeSeconds": min_age_seconds}
    found = await shop.some(SERVICE, "/analytics/unmatched", "items", Unmatched, query, limit)
    columns = [
        Column[Unmatched]("ORDER", lambda row: row.order_id),
        Column[Unmatched]("STATUS", lambda row: row.status, status=True),
        Column[Unmatched]("SINCE", lambda row: moment(row.since)),
        Column[Unmatched]("AGE", lambda row: seconds(row.age_seconds)),
        Column[Unmatched]("MISSING", lambda row: ", ".join(row.missing)),
    ]
    out.many(found, lambda row: row.order_id, columns)
    _tell_rest(out, len(found), limit, "orders")


async def list_high_values(shop: "Shop", out: Output, limit: int) -> None:
    """Print the orders of high value."""
    from onebox.figures import HighValue
    from onebox.report import known

    found = await shop.some(SERVICE, "/analytics/high-value", "items", HighValue, None, limit)
    columns = [
        Column[HighValue]("ORDER", lambda row: row.order_id),
        Column[HighValue]("STATUS", lambda row: row.status, status=True),
        Column[HighValue]("TOTAL", lambda row: f"{row.total} {row.currency}"),
        Column[HighValue]("USER", lambda row: ", ".join([row.user_id, *known(row.profile)])),
        Column[HighValue]("PLACED", lambda row: moment(row.placed_at)),
        Column[HighValue]("FLAGS", lambda row: ", ".join(row.flags) or "-"),
    ]
    out.many(found, lambda row: row.order_id, columns)
    _tell_rest(out, len(found), limit, "orders")


async def list_products(shop: "Shop", out: Output, limit: int) -> None:
    """Print products."""
    from onebox.figures import Product
    from onebox.report import amounts

    found = await shop.some(SERVICE, "/analytics/products", "items", Product, None, limit)
    columns = [
        Column[Product]("PRODUCT", lambda row: row.product_id),
        Column[Product]("ORDERS", lambda row: str(row.orders)),
        Column[Product]("CONFIRMED", lambda row: str(row.confirmed)),
        Column[Product]("CANCELLED", lambda row: str(row.cancelled)),
        Column[Product]("QUANTITY", lambda row: str(row.quantity)),
        Column[Product]("SOLD", lambda row: str(row.sold)),
        Column[Product]("VALUE", lambda row: amounts(row.value)),
        Column[Product]("REVENUE", lambda row: amounts(row.revenue)),
    ]
    out.many(found, lambda row: row.product_id, columns)
    _tell_rest(out, len(found), limit, "products")


async def watch_figures(shop: "Shop", out: Output, *, once: bool) -> None:
    """Show the figures until Ctrl-C; once, where nobody watches or that was asked for."""
    import asyncio
    import signal

    from onebox.plots import frame

    if once or not sys.stdout.isatty():
        out.say(frame(await figures(shop)))
        return
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as live:
        watching = asyncio.create_task(pictures(shop, lambda text: live.update(Text(plain(text)), refresh=True)))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, watching.cancel)
        with suppress(asyncio.CancelledError):
            await watching


async def pictures(shop: "Shop", show: Callable[[str], None], pause_seconds: float = WATCH_SECONDS) -> None:
    """Show a picture of the figures again and again, also while the service is away; it ends by being cancelled."""
    import asyncio

    from onebox.plots import frame

    last = "nothing was seen yet"
    while True:
        try:
            last = frame(await figures(shop))
            show(last)
        except Unreachable as failure:
            show(f"{last}\n\n✖ {failure.cause}; trying again …")
        await asyncio.sleep(pause_seconds)


def _window_columns(found: "Windows") -> "list[Column[Window]]":
    from onebox.figures import Window

    def text(value: object) -> str:
        return "-" if value is None else str(value)

    unit = found.currency or "" if found.unit == "money" else found.unit if found.unit != found.metric else ""
    columns = [
        Column[Window]("BEGINS", lambda window: moment(window.start)),
        Column[Window]("ENDS", lambda window: moment(window.end)),
        Column[Window](f"{found.metric} {unit}".strip().upper(), lambda window: text(window.now)),
        Column[Window]("AT CLOSE", lambda window: text(window.at_close)),
        Column[Window]("LATE", lambda window: str(window.late_count)),
        Column[Window]("CLOSED", lambda window: "yes" if window.final else "-"),
    ]
    if any(window.user_id for window in found.windows):
        columns.insert(2, Column[Window]("USER", lambda window: window.user_id or "-"))
    return columns


def _tell_rest(out: Output, shown: int, limit: int, what: str) -> None:
    if out.for_people and not shown:
        out.note(f"no such {what}")
    elif out.for_people and shown == limit:
        out.note(f"there may be more {what}: --limit 0 shows all")
