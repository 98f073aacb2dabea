"""The demonstration: ten orders on this machine, from the first to the audit."""

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onebox.commands.options import OutputOption
from onebox.errors import AnswerIsNo, BadInput, Failure, NotFound
from onebox.output import Column, Format, Output
from onebox.session import run, start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onebox.answers import SagaLine
    from onebox.client import Shop
    from onebox.demo import Joined, Planned, Summary
    from onebox.figures import Figures
    from onebox.layout import Layout
    from onebox.recount.verdict import Verdict as Recount

SEED = 3
"""Three confirmed and two compensated orders in each mode."""
LOOK_SECONDS = 0.1
DEMO_SECONDS_MAX = 60.0
COUNTED_SECONDS_MAX = 15.0
GRAFANA = "http://127.0.0.1:{port}/d/sagaplane-overview"
"""Where compose.yaml has it, with the overview of observability/dashboards."""
GRAFANA_PORT = "3000"


def demo(
    seed: Annotated[
        int, typer.Option(min=0, help="Decides keys, orders and luck; the same seed is the same demo.")
    ] = SEED,
    here: Annotated[
        bool, typer.Option("--here", help="In the shop that runs already, where the services are found.")
    ] = False,
    stay: Annotated[bool, typer.Option("--stay", help="Keep the services running afterwards, until Ctrl-C.")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Place ten orders in both modes, watch their sagas end, audit the books, and count all events twice.

    It needs nothing else to run, and leaves nothing behind. With --here the orders stay in the shop; the same command
    once more places no others, and their endings are those that the luck of that shop has in store.
    """
    if here:
        run(lambda shop, out: demo_here(shop, out, seed, stay=stay), output)
    else:
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


async def demo_here(shop: "Shop", out: Output, seed: int, *, stay: bool) -> None:
    """Place the ten orders in the shop that the environment names.

    Raises:
        AnswerIsNo: when a saga did not end, the books do not balance, or the analytics do not agree.
        BadInput: when the services are to be kept, which are not ours.
    """
    from onebox.answers import Order
    from onebox.bookkeeping import Reader
    from onebox.client import path_of
    from onebox.commands.analytics import figures
    from onebox.demo import plan, summary
    from onebox.hosting import stock_up

    if stay:
        raise BadInput("with --here the services run already, and go on", "leave out --stay")
    began = time.monotonic()
    await stock_up(shop)
    orders = plan(seed)
    before = await shop.find("order", path_of("orders", orders[0].order_id), Order)
    sagas, first = await watch(shop, out, orders, began)
    known = await joined_in_time(shop, sagas)
    verdict = await Reader(shop, lambda _: None).verdict()
    recount = await recount_here(out, [order.order_id for order in known])
    told = summary(seed, sagas, first if before is None else None, verdict, await figures(shop), recount, known)
    tell(out, told)
    if out.for_people:
        for line in await places_to_look(shop, sagas):
            out.say(line)
    if not told.good:
        raise AnswerIsNo("the demonstration did not end well", f"look again: sagactl demo --here --seed {seed}")


async def places_to_look(shop: "Shop", sagas: "Sequence[SagaLine]") -> list[str]:
    """Return where a browser shows one trace, of a saga that was taken back if there is one, and the dashboards."""
    from onebox.commands.trace import traced
    from onebox.jaeger import Jaeger

    chosen = next((saga for saga in sagas if saga.phase == "Compensated"), sagas[0])
    grafana = GRAFANA.format(port=os.environ.get("GRAFANA_PORT") or GRAFANA_PORT)
    boards = f"dashboards  {shop.settings.urls['analytics']}/, and in Grafana, where it runs: {grafana}"
    try:
        trace_id, _ = await traced(shop, chosen.saga_id)
    except NotFound:  # nobody asked for traces here
        return ["", boards]
    return ["", f"trace       {Jaeger(shop.settings).link(trace_id)}  ({chosen.saga_id}, {chosen.phase})", boards]


async def joined_in_time(shop: "Shop", sagas: "Sequence[SagaLine]") -> "list[Joined]":
    """Return what the analytics say of each order, once it is what the saga says, or it takes too long."""
    import asyncio

    from onebox.client import path_of
    from onebox.demo import joined
    from onebox.figures import JoinedOrder

    give_up = time.monotonic() + COUNTED_SECONDS_MAX
    while True:
        known = [
            joined(saga, await shop.find("analytics", path_of("analytics", "orders", saga.saga_id), JoinedOrder))
            for saga in sagas
        ]
        if all(order.agrees for order in known) or time.monotonic() > give_up:
            return known
        await asyncio.sleep(LOOK_SECONDS)


async def recount_here(out: Output, order_ids: "Sequence[str]") -> "Recount | None":
    """Return what the recount says, where the log and the views of this shop can be opened; else a person is told."""
    from onebox.commands.analytics import verdict_of

    try:
        return await verdict_of(out, None, holding=order_ids)
    except Failure as failure:
        out.note(f"the events were not counted again: {failure.cause}")
        return None


async def perform(shop: "Shop", out: Output, seed: int, began: float, directory: Path | None = None) -> "Summary":
    """Place the orders, show how their sagas end, and print the summary, the audit and the analytics.

    Where there is a directory with the box's files, the events in it are counted again.
    """
    from onebox.bookkeeping import Reader
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
    tell(out, told)
    return told


def tell(out: Output, told: "Summary") -> None:
    """Print the summary, the audit and the analytics."""
    from onebox.bookkeeping import account

    text = "\n".join(["", summed(told), "", account(told.audit), "", *analysed(told)])
    out.one(told, str(told.seed), lambda: text)


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
    from onebox.client import path_of

    first: float | None = None
    seen: list[SagaLine] = []
    placed: set[str] = set()

    async def look() -> bool:
        nonlocal first, seen
        found = {saga.saga_id: saga for saga in seen if saga.ended}
        for order in orders:
            if order.order_id in placed and order.order_id not in found:
                saga = await shop.find("order", path_of("sagas", order.order_id), SagaLine)
                found |= {order.order_id: saga} if saga is not None else {}
        seen = [found[order.order_id] for order in orders if order.order_id in found]
        if first is None and any(saga.ended for saga in seen):
            first = time.monotonic() - began
        show(seen)
        return len(seen) == len(orders) and all(saga.ended for saga in seen)

    with out.live(_columns({order.order_id: order.key for order in orders})) as show:
        for order in orders:
            key = {"Idempotency-Key": order.key}
            await shop.send("POST", "order", "/orders", Order, body=order.body, headers=key)
            placed.add(order.order_id)
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
