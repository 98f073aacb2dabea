"""A saga in words: how it stands, what it waits for and until when, what helps, and each of its steps. No IO."""

from collections.abc import Iterator, Sequence

from onebox.answers import Answer, OrderDetail, Saga, Step, WaitingFor
from onebox.moments import between, distance, moment
from onebox.output import worded

HEAD = ("STEP", "STATE", "ATTEMPTS", "ANSWERED", "COMPENSATION", "NOTE")
STEP_VERBS = ("retry", "skip", "mark-done")


class Description(Answer, frozen=True, kw_only=True):
    """Everything that is known of a saga; its order is None where it is not an order's."""

    saga: Saga
    order: OrderDetail | None


def description(saga: Saga, order: OrderDetail | None) -> str:
    """Return the saga as a text."""
    facts = [f"  {line}" for line in aligned([*_facts(saga), *_order(order)])]
    lines = [_title(saga), *facts, "", *_why(saga), "", *_steps(saga)]
    # A reason has ends of lines where its author wants them; here each fact has one line, or it could say others.
    return "\n".join(line.replace("\n", " ").rstrip() for line in lines)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows as lines whose columns stand under each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _title(saga: Saga) -> str:
    reason = f" ({saga.reason})" if saga.reason else ""
    return f"{saga.saga_id}  {worded(saga.phase)}{reason}{', suspended' if saga.suspended else ''}"


def _facts(saga: Saga) -> list[tuple[str, str]]:
    rows = [("definition", f"{saga.definition}, {saga.mode}")]
    if saga.correlation_id != saga.saga_id:
        rows.append(("correlation", saga.correlation_id))
    if saga.started_at is not None:
        rows.append(("started", f"{moment(saga.started_at)}, {distance(saga.started_at, saga.as_of)}"))
    if saga.ended_at is not None:
        rows.append(("ended", f"{moment(saga.ended_at)}, it took {between(saga.started_at, saga.ended_at)}"))
    elif saga.deadline is not None:
        rows.append(("deadline", f"{moment(saga.deadline)}, {distance(saga.deadline, saga.as_of)}"))
    if saga.abort is not None:
        asked = f"{saga.abort.code} by {saga.abort.requested_by}: {saga.abort.reason}"
        rows.append(("abort asked", f"{moment(saga.abort.at)}, {asked}"))
    if saga.cancel_refused:
        rows.append(("cancel", "refused: its pivot was faster"))
    if saga.traceparent is not None:
        rows.append(("trace", saga.traceparent))
    return rows


def _order(order: OrderDetail | None) -> list[tuple[str, str]]:
    if order is None:
        return []
    what = ", ".join(f"{line.quantity} × {line.product_id}" for line in order.items or ())
    rows = [("order", f"{worded(order.status)}, {order.total} {order.currency} for {order.user_id}: {what}")]
    for name, effect in (("payment", order.payment), ("reservation", order.reservation), ("shipment", order.shipment)):
        if effect is not None:
            said = [str(effect[key]) for key in ("reason", "trackingNumber", "refundMethod") if effect.get(key)]
            rows.append((name, ", ".join([str(effect.get("status", "")), *said])))
    return rows


def _why(saga: Saga) -> Iterator[str]:
    """Yield what the saga waits for, since when, until when, and the commands that help."""
    waiting = saga.waiting_for
    if waiting is None:
        yield "It has ended and waits for nothing." if saga.ended else "It waits for nothing that is known."
        return
    yield f"{waiting.sentence}."
    yield from (f"  {line}" for line in aligned(_waits(saga, waiting)))


def _waits(saga: Saga, waiting: WaitingFor) -> list[tuple[str, str]]:
    rows = []
    if waiting.since is not None:
        rows.append(("since", f"{moment(waiting.since)}, {distance(waiting.since, saga.as_of)}"))
    until = f"{moment(waiting.until)}, {distance(waiting.until, saga.as_of)}" if waiting.until else "without limit"
    rows.append(("until", until))
    rows += [
        ("helps" if not number else "", _command(saga, waiting, verb)) for number, verb in enumerate(waiting.verbs)
    ]
    return rows or [("helps", "nothing but time")]


def _command(saga: Saga, waiting: WaitingFor, verb: str) -> str:
    step = f" --step {waiting.steps[0]}" if verb in STEP_VERBS and len(waiting.steps) == 1 else ""
    return f"sagactl {verb} {saga.saga_id}{step} --reason '…'"


def _steps(saga: Saga) -> list[str]:
    return aligned([HEAD, *(_step(saga, step) for step in saga.steps)])


def _step(saga: Saga, step: Step) -> tuple[str, ...]:
    state = f"{worded(step.state)}{', in doubt' if step.in_doubt else ''}"
    answered = f"+{between(saga.started_at, step.answered_at)}" if step.answered_at is not None else "-"
    undo = step.compensation
    undone = "-"
    if undo is not None and undo.done_at is not None:
        undone = f"{undo.command} +{between(saga.started_at, undo.done_at)}"
    elif undo is not None and (undo.attempts or undo.asked_at is not None):
        undone = f"{undo.command}, {undo.attempts} attempts"
    hand = f"by hand: {step.by_hand}" if step.by_hand else ""
    notes = [note for note in (step.code or "", step.reason or "", step.stuck or "", hand) if note]
    return step.name, state, str(step.attempts), answered, undone, "; ".join(dict.fromkeys(notes)) or "-"
