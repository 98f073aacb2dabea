"""The demonstration: ten orders on this machine, from the first to the audit."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onebox.commands.options import OutputOption
from onebox.errors import AnswerIsNo
from onebox.output import Column, Format, Output
from onebox.session import start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onebox.answers import SagaLine
    from onebox.client import Shop
    from onebox.demo import Planned, Summary
    from onebox.figures import Figures
    from onebox.layout import Layout

SEED = 3
"""Three confirmed and two compensated orders in each mode."""
LOOK_SECONDS = 0.1
DEMO_SECONDS_MAX = 60.0
COUNTED_SECONDS_MAX = 15.0


def demo(
    seed: Annotated[
        int, typer.Option(min=0, help="Decides keys, orders and luck; the same seed is the same demo.")
    ] = SEED,
    stay: Annotated[bool, typer.Option("--stay", help="Keep the services running afterwards, until Ctrl-C.")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Place ten orders in both modes, watch their sagas end, audit the books, and count all events twice.

    It needs nothing else to run.
    """
    start(lambda: run_demo(Output(output), seed, stay=stay))


async def run_demo(out: Output, seed: int, *, stay: bool) -> None:
    """Run a box for ten orders.

    Raises:
        AnswerIsNo: when a saga did not end, the books do not balance, or the analytics do not agree.
    """
    from onebox.demo import environment
    from onebox.hosting import hosted, until_ended
    from onebox.premises import free_layout

    began = time.monotonic()
    layout = free_layout()
    with tempfile.TemporaryDirectory(prefix="sagaplane-demo-") as directory:
        out.note(f"starting the services in {directory}; seed {seed} decides keys, orders and luck …")
        async with hosted(Path(directory), layout, environment=environment(seed)) as (box, shop):
            told = await perform(shop, out, seed, began, Path(directory))
            if stay:
                out.say(where_to_look(layout))
                await until_ended(box)
    if out.for_people and not stay:
        out.say("\nNext: look around while it runs with `sagactl demo --stay`, or keep a shop with `sagactl dev`.")
    if not told.good:
        raise AnswerIsNo("the demonstration did not end well", f"the same once more: sagactl demo --seed {seed}")


async def perform(shop: "Shop", out: Output, seed: int, began: float, directory: Path | None = None) -> "Summary":
    """Place the orders, show how their sagas end, and print the summary, the audit and the analytics.

    Where there is a directory with the box's files, the events in it are counted again.
    """
    from onebox.bookkeeping import Reader, account
    from onebox.commands.analytics import verdict_of
    from onebox.demo import plan, summary
    from onebox.hosting import stock_up

    await stock_up(shop)
    orders = plan(seed)
    sagas, first = await watch(shop, out, orders, began)
    verdict = await Reader(shop, lambda _: None).verdict(None)
    figures = await counted(shop, len(orders))
    recount = await verdict_of(out, directory) if directory is not None else None
    told = summary(seed, sagas, first, verdict, figures, recount)
    out.one(told, str(seed), lambda: "\n".join(["", summed(told), "", account(verdict), "", *analysed(told)]))
    return told


async def counted(shop: "Shop", orders: int) -> "Figures":
    """Return the figures once they have every event of so many orders, or it takes too long."""
    import asyncio

    from onebox.commands.analytics import figures
    from onebox.figures import Unmatched

    give_up = time.monotonic() + COUNTED_SECONDS_MAX
    while True:
        waiting = await shop.some("analytics", "/analytics/unmatched", "items", Unmatched, None, 1)
        seen = await figures(shop)
        done = seen.total_orders >= orders and not seen.pending_orders and not seen.lag_seconds and not waiting
        if done or time.monotonic() > give_up:
            return seen
        await asyncio.sleep(LOOK_SECONDS)


async def watch(
    shop: "Shop", out: Output, orders: "Sequence[Planned]", began: float
) -> "tuple[list[SagaLine], float | None]":
    """Place the orders and show their sagas until all have ended, or it takes too long.

    Returns them, and how many seconds after the beginning the first one had ended.
    """
    import asyncio

    from onebox.answers import Order, SagaLine

    first: float | None = None
    seen: list[SagaLine] = []

    async def look() -> bool:
        nonlocal first, seen
        found = {s.saga_id: s for s in await shop.some("order", "/sagas", "sagas", SagaLine, None, len(orders))}
        seen = [found[order.order_id] for order in orders if order.order_id in found]
        if first is None and any(saga.ended for saga in seen):
            first = time.monotonic() - began
        show(seen)
        return len(seen) == len(orders) and all(saga.ended for saga in seen)

    with out.live(_columns({order.order_id: order.key for order in orders})) as show:
        for order in orders:
            key = {"Idempotency-Key": order.key}
            await shop.send("POST", "order", "/orders", Order, body=order.body, headers=key)
            await look()
        give_up = time.monotonic() + DEMO_SECONDS_MAX
        while not await look() and time.monotonic() < give_up:  # noqa: ASYNC110 - the services are asked, they call nobody
            await asyncio.sleep(LOOK_SECONDS)
    return seen, first


def summed(told: "Summary") -> str:
    """Return the summary as a text."""
    from onebox.description import aligned

    rows = [("MODE", "CONFIRMED", "COMPENSATED", "REASONS")]
    for mode in told.modes:
        reasons = ", ".join(f"{count} × {reason}" for reason, count in mode.reasons.items()) or "-"
        rows.append((mode.mode, f"✔ {mode.confirmed}", f"↩ {mode.compensated}", reasons))
    unfinished = sum(mode.unfinished for mode in told.modes)
    late = [f"✖ {unfinished} sagas did not end within {DEMO_SECONDS_MAX:.0f} s"] if unfinished else []
    first = told.first_ended_seconds
    speed = [f"the first saga had ended {first:.1f} s after the start"] if first is not None else []
    return "\n".join([*aligned(rows), *late, *speed])


def analysed(told: "Summary") -> "list[str]":
    """Return what the analytics say, and whether that is so."""
    from onebox.recount.verdict import line
    from onebox.report import report

    agree = [] if told.agrees else ["✖ the analytics do not have the orders as their sagas ended"]
    return [report(told.analytics), "", *agree, *([line(told.recount)] if told.recount is not None else [])]


def where_to_look(layout: "Layout") -> str:
    """Return the commands to go on with while the services run."""
    from onebox.premises import environment_of

    exports = [f"  export {name}={url}" for name, url in environment_of(layout).items()]
    commands = ("  sagactl list", "  sagactl timeline ID", "  sagactl describe ID", "  sagactl analytics watch")
    pages = (f"  {layout.url('order')}/docs", f"  {layout.url('analytics')}/  the dashboard")
    return "\n".join(["", "The services run until Ctrl-C. Next, in another terminal:", *exports, *pages, *commands])


def _columns(keys: dict[str, str]) -> "list[Column[SagaLine]]":
    from onebox.answers import SagaLine
    from onebox.moments import between

    return [
        Column[SagaLine]("KEY", lambda saga: keys[saga.saga_id]),
        Column[SagaLine]("SAGA", lambda saga: saga.saga_id),
        Column[SagaLine]("MODE", lambda saga: saga.mode),
        Column[SagaLine]("PHASE", lambda saga: saga.phase, status=True),
        Column[SagaLine]("REASON", lambda saga: saga.reason or "-"),
        Column[SagaLine]("TOOK", lambda saga: between(saga.started_at, saga.ended_at)),
    ]
