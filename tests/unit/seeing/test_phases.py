"""A span says the phase that its message alone puts the saga in, and the root when the saga is due to be aborted."""

from collections.abc import Awaitable, Callable
from datetime import timedelta, timezone

import pytest
from tests.unit.seeing.world import World, silence, world

from saga_operator.tracker import Sagas
from sagakit.core.messages import Message
from sagakit.core.part import ABORT, RESUMED, SUSPENDED
from sagakit.runtime.catalogue import ATTRIBUTES, LISTEN_SPAN
from sagakit.runtime.wire import parse

SOLD_OUT = [{"productId": "pen", "quantity": 99, "price": 5}]
LISTENS = LISTEN_SPAN.name.format(topic="orders.events")
"""It has the message, and not its definition."""
TOPICS = ("orders.events", "payments.events", "inventory.events", "shipping.events", "sagas.events")
SILENT = {ABORT, SUSPENDED, RESUMED}
"""None of these says where a saga stands."""


async def succeeds(its: World) -> str:
    return await its.order()


async def is_orchestrated(its: World) -> str:
    return await its.order(mode="orchestration")


async def is_refused(its: World) -> str:
    return await its.order(items=SOLD_OUT)


async def is_cancelled(its: World) -> str:
    order = await its.order()
    await its.cancel(order)
    return order


async def is_killed(its: World) -> str:
    order = await its.order()
    for verb in ("suspend", "resume", "kill"):
        async with its.client("order") as client:
            (await client.post(f"/sagas/{order}/{verb}", json={"reason": "to see it"})).raise_for_status()
    return order


async def is_stuck(its: World) -> str:
    silence(its, "ChargePayment")
    order = await its.order(timeoutSeconds=600)
    for _ in range(10):
        await its.pass_seconds(20)
    return order


async def is_stuck_going_back(its: World) -> str:
    silence(its, "RefundPayment")
    order = await its.order(items=SOLD_OUT)
    for _ in range(10):
        await its.pass_seconds(20)
    return order


STORIES: dict[Callable[[World], Awaitable[str]], dict[str, str | None]] = {
    is_orchestrated: {"saga begins": "Pending", "process shipping": "Running", "saga ends": "Completed"},
    succeeds: {
        "saga begins": "Pending",
        "process payment": "Running",
        "process inventory": "Running",
        "process shipping": "Running",
        "process stock": "Running",
        "saga ends": "Completed",
    },
    is_refused: {
        "saga begins": "Pending",
        "process payment": "Running",
        "process inventory": "Compensating",
        "compensate payment": "Compensating",
        "saga ends": "Compensated",
    },
    is_cancelled: {"abort": None, "saga ends": "Compensated"},
    is_killed: {"SagaSuspended": None, "SagaResumed": None, "SagaKilled": "Killed", "saga ends": "Killed"},
    is_stuck: {"saga begins": "Pending", "stuck payment": "NeedsIntervention"},
    is_stuck_going_back: {"process inventory": "Compensating", "stuck payment": "NeedsIntervention"},
}


async def messages(its: World) -> dict[str, Message]:
    """Return everything that was said, by its id."""
    log = its.services["order"].log
    places = dict.fromkeys(await log.ends(TOPICS), 0)
    return {message.id: message for message in map(parse, await log.fetch(places, 1000))}


@pytest.mark.parametrize("story", STORIES)
async def test_the_phase_of_a_span_is_what_somebody_folds_who_has_heard_nothing_else(
    story: Callable[[World], Awaitable[str]],
) -> None:
    its = await world()
    order = await story(its)
    await its.run()
    said = await messages(its)
    told = [span for span in its.told.of(order) if span.name != LISTENS]
    for span in told:
        assert span.attributes.keys() <= ATTRIBUTES.keys()
        message = said[str(span.attributes["messaging.message.id"])]
        alone = None if message.type in SILENT else Sagas().hear(None, message).phase.value
        assert (span.name, span.attributes.get("saga.phase")) == (span.name, alone)
    assert STORIES[story].items() <= {span.name: span.attributes.get("saga.phase") for span in told}.items()


async def test_a_root_says_in_utc_when_its_saga_is_due_to_be_aborted() -> None:
    its = await world()
    due = (its.clock.now() + timedelta(minutes=5)).replace(microsecond=250_000)
    order = await its.order(deadline=due.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat())
    await its.run()
    shown = {span.name: span.attributes.get("saga.deadline") for span in its.told.of(order)}
    assert shown.pop("saga begins") == f"{due:%Y-%m-%dT%H:%M:%S}.250000Z"
    assert not any(shown.values()), "it is the same for all of them"
