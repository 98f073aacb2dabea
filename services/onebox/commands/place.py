"""Placing orders: from flags or a file, one or many, waiting for their sagas or not."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onebox.commands.options import ModeOption, OutputOption
from onebox.errors import AnswerIsNo, BadInput
from onebox.output import Column, Format, Output
from onebox.session import run
from sagakit.core.messages import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onebox.answers import Order, Placed
    from onebox.client import Shop
    from onebox.submission import OrderBody

COUNT_MAX = 1_000_000
WAIT_SECONDS = 0.05
WAIT_SECONDS_MAX = 1.0
ASKED_AT_ONCE = 16


def submit(
    file: Annotated[
        str | None, typer.Option("--file", "-f", help="Orders as JSON or JSON lines; - reads standard input.")
    ] = None,
    items: Annotated[
        list[str] | None, typer.Option("--item", "-i", help="A line as product:quantity:price; may be given often.")
    ] = None,
    user: Annotated[str, typer.Option(help="Whose order it is.")] = "user-1",
    currency: Annotated[str | None, typer.Option(help="ISO 4217; USD when none is given.")] = None,
    mode: ModeOption = Mode.CHOREOGRAPHY,
    timeout: Annotated[int | None, typer.Option(min=1, help="The saga's deadline, in seconds from now.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key: the same again places nothing new.")] = None,
    count: Annotated[int, typer.Option("--count", "-c", min=1, max=COUNT_MAX, help="So many of it.")] = 1,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Until all sagas ended; 1 when one was cancelled.")
    ] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Place orders, from flags or from a file."""
    if (file is None) == (not items):
        raise typer.BadParameter("give the order's lines with --item, or a file of orders with --file")
    if file is not None and count > 1:
        raise typer.BadParameter("--count repeats an order made of flags; a file has as many orders as are in it")
    order: dict[str, Any] = {"userId": user, "mode": mode, "currency": currency, "timeoutSeconds": timeout}
    given = {name: value for name, value in order.items() if value is not None}
    run(lambda shop, out: submit_orders(shop, out, file, items or [], given, key, count, wait=wait), output)


async def submit_orders(
    shop: "Shop",
    out: Output,
    file: str | None,
    items: "Sequence[str]",
    order: "OrderBody",
    key: str | None,
    count: int,
    *,
    wait: bool,
) -> None:
    """Place the orders and print them; with `wait`, as they ended.

    Raises:
        BadInput: when any was refused; the others are placed.
        AnswerIsNo: when it waited, and any was cancelled.
    """
    from uuid import uuid4

    from onebox.submission import keyed, parse_item, parse_orders, repeated

    own_key = key or uuid4().hex
    if file is not None:
        orders = keyed(parse_orders(_read(file), file), own_key)
    else:
        orders = repeated({**order, "items": [parse_item(item) for item in items]}, count, own_key)
    results = await place(shop, out, orders)
    placed = [result.order for result in results if result.order is not None]
    if wait:
        placed = await ended(shop, out, placed)
    if placed or not out.for_people:
        _show(out, placed)
    refused = [f"order {r.index + 1}: {r.problem.detail or r.problem.title}" for r in results if r.problem is not None]
    if refused:
        for line in refused[1:]:
            out.note(f"error: {line}")
        raise BadInput(f"{len(refused)} of {len(orders)} orders were refused; {refused[0]}", "the others are placed")
    cancelled = [each for each in placed if each.status == "cancelled"]
    if cancelled:
        reasons = ", ".join(sorted({each.cancellation_reason or "UNKNOWN" for each in cancelled}))
        raise AnswerIsNo(f"{len(cancelled)} of {len(placed)} orders were cancelled: {reasons}", "sagactl describe ID")


async def place(shop: "Shop", out: Output, orders: "Sequence[OrderBody]") -> "list[Placed]":
    """Place the orders, a batch after the other, and return what became of each."""
    from msgspec.structs import replace

    from onebox.answers import PlacedMany
    from onebox.submission import batches

    results: list[Placed] = []
    with out.progress("orders placed", len(orders)) as bar:
        for batch in batches(orders):
            answer = await shop.post("order", "/orders/batch", PlacedMany, {"orders": batch})
            results += [replace(each, index=len(results) + each.index) for each in _in_order(answer.results)]
            bar(len(results), None)
    return results


async def ended(shop: "Shop", out: Output, orders: "Sequence[Order]") -> "list[Order]":
    """Return the orders as they are when none is pending any more."""
    import asyncio

    known = {order.id: order for order in orders}
    pause = WAIT_SECONDS
    with out.progress("sagas ended", len(known)) as bar:
        while pending := [order.id for order in known.values() if order.status == "pending"]:
            bar(len(known) - len(pending), None)
            for order in await _look(shop, pending):
                known[order.id] = order
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, WAIT_SECONDS_MAX)
    return list(known.values())


async def _look(shop: "Shop", order_ids: "Sequence[str]") -> "list[Order]":
    """Return these orders as they stand, a few asked at once, so that no round takes the service for itself."""
    import asyncio

    from onebox.answers import Order
    from onebox.client import path_of

    found: list[Order] = []
    for first in range(0, len(order_ids), ASKED_AT_ONCE):
        some = order_ids[first : first + ASKED_AT_ONCE]
        found += await asyncio.gather(*(shop.get("order", path_of("orders", each), Order) for each in some))
    return found


def _in_order(results: "list[Placed]") -> "list[Placed]":
    return sorted(results, key=lambda each: each.index)


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise BadInput(
            f"{file} cannot be read: {error.strerror}", "check the name, or use - for standard input"
        ) from None


def _show(out: Output, orders: "list[Order]") -> None:
    from onebox.answers import Order

    columns = [
        Column[Order]("ORDER", lambda order: order.id),
        Column[Order]("STATUS", lambda order: order.status, status=True),
        Column[Order]("REASON", lambda order: order.cancellation_reason or "-"),
        Column[Order]("TOTAL", lambda order: f"{order.total} {order.currency}"),
        Column[Order]("MODE", lambda order: order.mode),
    ]
    out.many(orders, lambda order: order.id, columns)
