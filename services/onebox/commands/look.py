"""Looking: list, describe, timeline, graph, events, replay. Nothing here changes anything."""

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from onebox.commands.options import LimitOption, OrderId, OutputOption, PhaseOption, SagaId, WhyOption
from onebox.errors import AnswerIsNo, BadInput, Failure, NotFound
from onebox.moments import between, moment
from onebox.output import Column, Format, Output
from onebox.session import run

if TYPE_CHECKING:
    from onebox.answers import Entry, Saga
    from onebox.client import Shop
    from sagakit.core.definition import Saga as Definition

LIST_LIMIT = 50
DEFAULT_DEFINITION = "order/1"


class GraphFormat(enum.StrEnum):
    """How a graph is drawn."""

    ASCII = "ascii"
    MERMAID = "mermaid"


def list_(
    *,
    orders: Annotated[bool, typer.Option("--orders", help="List orders as a customer sees them.")] = False,
    phase: PhaseOption = None,
    reason: WhyOption = None,
    status: Annotated[str | None, typer.Option(help="With --orders: pending, confirmed or cancelled.")] = None,
    user: Annotated[str | None, typer.Option(help="With --orders: only orders of this user.")] = None,
    limit: LimitOption = LIST_LIMIT,
    output: OutputOption = Format.TABLE,
) -> None:
    """List sagas, or orders, the newest first."""
    if orders and (phase or reason):
        raise typer.BadParameter("--phase and --reason are about sagas; orders have --status and --user")
    if not orders and (status or user):
        raise typer.BadParameter("--status and --user are about orders; add --orders, or use --phase and --reason")
    if orders:
        run(lambda shop, out: list_orders(shop, out, status, user, limit), output)
    else:
        run(lambda shop, out: list_sagas(shop, out, phase, reason, limit), output)


def describe(saga_id: SagaId, output: OutputOption = Format.TABLE) -> None:
    """Explain a saga: how it stands, what it waits for, since when, until when, and what helps."""
    run(lambda shop, out: describe_saga(shop, out, saga_id), output)


def timeline(
    saga_id: SagaId,
    width: Annotated[int | None, typer.Option(min=60, help="Columns to draw in; by default the terminal's.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Draw a saga as a waterfall: which step took how long, and what was taken back."""
    run(lambda shop, out: show_timeline(shop, out, saga_id, width), output)


def graph(
    name: Annotated[
        str, typer.Argument(metavar="[DEFINITION|ID]", help="A definition such as order/1, or a saga.")
    ] = DEFAULT_DEFINITION,
    form: Annotated[GraphFormat, typer.Option("--format", "-f", help="Text for eyes, or Mermaid source.")] = (
        GraphFormat.ASCII
    ),
) -> None:
    """Draw a definition, or where one saga stands in its definition."""
    run(lambda shop, out: show_graph(shop, out, name, form))


def events(order_id: OrderId, output: OutputOption = Format.TABLE) -> None:
    """List everything that was said about an order, the oldest first."""
    run(lambda shop, out: list_events(shop, out, order_id), output)


def replay(order_id: OrderId, output: OutputOption = Format.TABLE) -> None:
    """Rebuild an order from its facts and compare; ends with 1 when what is stored differs."""
    run(lambda shop, out: replay_order(shop, out, order_id), output)


async def list_sagas(shop: "Shop", out: Output, phase: str | None, reason: str | None, limit: int) -> None:
    """Print sagas."""
    from onebox.answers import SagaLine

    found = await shop.some("order", "/sagas", "sagas", SagaLine, {"phase": phase, "reason": reason}, limit)
    columns = [
        Column[SagaLine]("SAGA", lambda saga: saga.saga_id),
        Column[SagaLine]("PHASE", lambda saga: saga.phase, status=True),
        Column[SagaLine]("REASON", lambda saga: saga.reason or "-"),
        Column[SagaLine]("MODE", lambda saga: saga.mode),
        Column[SagaLine]("SUSPENDED", lambda saga: "yes" if saga.suspended else "-"),
        Column[SagaLine]("STARTED", lambda saga: moment(saga.started_at)),
        Column[SagaLine]("TOOK", lambda saga: between(saga.started_at, saga.ended_at)),
    ]
    names = await shop.names([saga.saga_id for saga in found]) if out.for_people else None
    if names is not None:
        columns.insert(1, Column[SagaLine]("RESOURCE", lambda saga: names.get(saga.saga_id, "-")))
    out.many(found, lambda saga: saga.saga_id, columns)
    _tell_rest(out, len(found), limit, "sagas")


async def list_orders(shop: "Shop", out: Output, status: str | None, user: str | None, limit: int) -> None:
    """Print orders."""
    from onebox.answers import Order

    found = await shop.some("order", "/orders", "orders", Order, {"status": status, "userId": user}, limit)
    columns = [
        Column[Order]("ORDER", lambda order: order.id),
        Column[Order]("STATUS", lambda order: order.status, status=True),
        Column[Order]("REASON", lambda order: order.cancellation_reason or "-"),
        Column[Order]("TOTAL", lambda order: f"{order.total} {order.currency}"),
        Column[Order]("USER", lambda order: order.user_id),
        Column[Order]("MODE", lambda order: order.mode),
        Column[Order]("PLACED", lambda order: moment(order.created_at)),
    ]
    out.many(found, lambda order: order.id, columns)
    _tell_rest(out, len(found), limit, "orders")


async def describe_saga(shop: "Shop", out: Output, saga_id: str) -> None:
    """Print a saga with everything that is known of it."""
    from onebox.answers import OrderDetail
    from onebox.client import path_of
    from onebox.description import Description, description

    saga = await _saga(shop, saga_id)
    order = await shop.find("order", path_of("orders", saga.saga_id), OrderDetail)
    out.one(Description(saga=saga, order=order), saga.saga_id, lambda: description(saga, order))


async def show_timeline(shop: "Shop", out: Output, saga_id: str, width: int | None) -> None:
    """Print a saga's waterfall."""
    import shutil

    from onebox.timeline import Timeline, rows, waterfall

    saga = await _saga(shop, saga_id)
    history = await _history(shop, saga.saga_id)
    definition = await find_definition(shop, saga.definition)
    stages = [[step.name for step in stage] for stage in definition.stages]
    found = rows(saga, history, stages)
    told = Timeline(saga_id=saga.saga_id, phase=saga.phase, reason=saga.reason, rows=found)
    columns = width or shutil.get_terminal_size().columns
    out.one(told, saga.saga_id, lambda: waterfall(saga, found, columns))


async def show_graph(shop: "Shop", out: Output, name: str, form: GraphFormat) -> None:
    """Print a definition, or a saga within its definition."""
    from onebox.graph import Standing, mermaid, tree

    saga: Saga | None = None
    definition = await _definition_named(shop, name)
    if definition is None:
        saga = await _saga(shop, name)
        definition = await find_definition(shop, saga.definition)
    standing = Standing(saga.saga_id, saga.phase, {step.name: step.state for step in saga.steps}) if saga else None
    out.say((tree if form is GraphFormat.ASCII else mermaid)(definition, standing))


async def list_events(shop: "Shop", out: Output, order_id: str) -> None:
    """Print an order's messages."""
    from onebox.answers import Event, Events
    from onebox.client import path_of
    from onebox.output import encode

    told = await shop.get("order", f"{path_of('orders', order_id)}/events", Events)
    columns = [
        Column[Event]("VERSION", lambda event: str(event.version)),
        Column[Event]("AT", lambda event: moment(event.at)),
        Column[Event]("TYPE", lambda event: event.type),
        Column[Event]("STEP", lambda event: event.step or "-"),
        Column[Event]("DATA", lambda event: encode(event.data).decode()),
    ]
    out.many(told.events, lambda event: f"{order_id}/{event.version}", columns)


async def replay_order(shop: "Shop", out: Output, order_id: str) -> None:
    """Print whether an order is what its facts amount to."""
    from onebox.answers import Replay
    from onebox.client import path_of

    told = await shop.post("order", f"{path_of('orders', order_id)}/replay", Replay, {})
    same = f"✔ {order_id}: what is stored is what its {told.facts} facts amount to"
    lines = [f"{d.record}.{d.field}: the facts say {d.rebuilt!r}, stored is {d.stored!r}" for d in told.differences]
    out.one(told, order_id, lambda: same if told.equal else "\n".join([f"✖ {order_id} differs", *lines]))
    if not told.equal:
        raise AnswerIsNo(f"{order_id} is not what its facts amount to", "somebody wrote past the log: find out who")


async def find_definition(shop: "Shop", ref: str) -> "Definition":
    """Return the definition of this name and version.

    Raises:
        NotFound: when neither the order service nor sagactl knows it.
    """
    found = await _definition_named(shop, ref)
    if found is None:
        raise NotFound(f"the definition {ref} is not known", "sagactl graph order/1 draws the one that always is")
    return found


async def _definition_named(shop: "Shop", ref: str) -> "Definition | None":
    """Return the definition of this name, if it is one: sagactl's own, or one that the order service knows."""
    from onebox.answers import DefinitionAnswer
    from onebox.client import path_of
    from sagakit.core.definition import DefinitionError
    from sagakit.core.definition_data import from_data
    from shop_contracts.order_saga import ORDER_SAGA

    if ref in (ORDER_SAGA.ref, ORDER_SAGA.name):
        return ORDER_SAGA
    name, slash, version = ref.partition("/")
    if not slash:
        return None
    try:
        found = await shop.find("order", path_of("definitions", name, version), DefinitionAnswer)
        return from_data(found.definition) if found is not None else None
    except DefinitionError as error:
        raise Failure(f"the definition {ref} cannot mean anything here: {error}", "versions may not match") from None


async def _saga(shop: "Shop", saga_id: str) -> "Saga":
    from onebox.answers import Saga
    from onebox.client import path_of

    if not saga_id:
        raise BadInput("an empty id names no saga", "see which there are: sagactl list")
    return await shop.get("order", path_of("sagas", saga_id), Saga)


async def _history(shop: "Shop", saga_id: str) -> "list[Entry]":
    from onebox.answers import Entry
    from onebox.client import path_of

    path = f"{path_of('sagas', saga_id)}/history"
    return await shop.some("order", path, "facts", Entry)


def _tell_rest(out: Output, shown: int, limit: int, what: str) -> None:
    if out.for_people and not shown:
        out.note(f"no such {what}; place an order: sagactl submit --item prod-1:1:9.99")
    elif out.for_people and shown == limit:
        out.note(f"the newest {limit} {what}; more with --limit")
