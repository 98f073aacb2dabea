"""One saga's trace, from Jaeger: a waterfall in the terminal, and the link that shows it in a browser."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from onebox.commands.options import OutputOption, SagaId
from onebox.errors import BadInput, NotFound, Unreachable
from onebox.output import Format, Output
from onebox.session import run

if TYPE_CHECKING:
    from onebox.client import Shop
    from onebox.jaeger import Found, Jaeger

TRACE_ID = re.compile(r"[0-9a-f]{32}")
SAMPLED = "set SAGAPLANE_TRACES_ENDPOINT for the services, or raise SAGAPLANE_TRACES_SAMPLE; it holds for new sagas"


def trace(
    saga_id: SagaId,
    width: Annotated[int | None, typer.Option(min=60, help="Columns to draw in; by default the terminal's.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Draw a saga's trace as Jaeger has it, and print its link; a trace id of 32 hexadecimal digits does as well.

    Jaeger is found at http://127.0.0.1:16686, or where SAGACTL_JAEGER_URL says.
    """
    run(lambda shop, out: show_trace(shop, out, saga_id, width), output)


async def show_trace(shop: "Shop", out: Output, saga_id: str, width: int | None) -> None:
    """Print the trace.

    Raises:
        NotFound: when there is no such saga, it is not traced, or Jaeger does not have its trace.
        Unreachable: when Jaeger does not answer.
    """
    import shutil

    from onebox.jaeger import Jaeger
    from onebox.waterfall import Trace, waterfall

    if not saga_id:
        raise BadInput("an empty id names no saga", "see which there are: sagactl list")
    jaeger = Jaeger(shop.settings)
    found = await _found(shop, out, jaeger, saga_id)
    told = Trace(
        trace_id=found.trace_id,
        saga_id=found.saga_id or saga_id,
        correlation_id=found.correlation_id or saga_id,
        url=jaeger.link(found.trace_id),
        spans=found.spans,
    )
    out.one(told, told.trace_id, lambda: waterfall(told, width or shutil.get_terminal_size().columns))


async def _found(shop: "Shop", out: Output, jaeger: "Jaeger", saga_id: str) -> "Found":
    """Return the trace of a saga that the order service knows; Jaeger alone is asked when that is away."""
    from onebox.jaeger import ARRIVES

    try:
        trace_id, whose = await traced(shop, saga_id)
    except Unreachable as failure:
        out.note(f"{failure.cause}; Jaeger alone is asked")
        found = await _searched(jaeger, saga_id)
        if found is None:
            raise NotFound(f"Jaeger knows no saga {saga_id!r}", f"{failure.remedy}; or: {ARRIVES}") from None
        return found
    found = await jaeger.trace(trace_id, whose)
    if found is None:
        raise NotFound(f"Jaeger has no trace {trace_id} of {saga_id}", ARRIVES)
    return found


async def traced(shop: "Shop", saga_id: str) -> tuple[str, str]:
    """Return the id of the saga's trace, and the saga's; of a trace that was asked for by its own id, no saga's.

    Raises:
        NotFound: when there is no such saga, or it is not traced.
    """
    from onebox.answers import Saga
    from onebox.client import path_of
    from sagakit.core.traces import sampled, trace_of

    try:
        saga = await shop.get("order", path_of("sagas", saga_id), Saga)
    except NotFound:
        if TRACE_ID.fullmatch(saga_id):
            return saga_id, ""
        raise
    if saga.traceparent is None:
        raise NotFound(f"{saga.saga_id} is not traced: nobody asked for that when it began", SAMPLED)
    if not sampled(saga.traceparent):
        raise NotFound(f"{saga.saga_id} is not traced: its caller said so", "place orders with a sampled traceparent")
    return trace_of(saga.saga_id, saga.traceparent), saga.saga_id


async def _searched(jaeger: "Jaeger", saga_id: str) -> "Found | None":
    """Return the trace whose id follows from this one, or is it; else the one in which it is a correlation id."""
    from sagakit.core.traces import trace_of

    found = await jaeger.trace(trace_of(saga_id), saga_id)
    if found is None and TRACE_ID.fullmatch(saga_id):
        found = await jaeger.trace(saga_id)
    if found is None:
        searched = await jaeger.search(saga_id)
        found = await jaeger.trace(searched, saga_id) if searched is not None else None
    return found
