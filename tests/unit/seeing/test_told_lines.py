"""What goes wrong with one saga is a line that names it, wherever it went wrong; and dead letters say what they are."""

import logging
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.seeing.world import World, silence, world

from order_service.verbs import Verbs
from sagakit.core.messages import Message, message_id
from sagakit.core.traces import trace_of
from sagakit.hosting.logs import JsonLines
from sagakit.ports import Draft
from sagakit.runtime.participant import Participant
from sagakit.runtime.tracker import Tracker
from sagakit.runtime.wire import draft
from shop_contracts.order_saga import ORDER_SAGA

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def message(its: World, kind: str, saga_id: str, data: bytes, topic: str) -> Draft:
    return draft(
        topic,
        Message(
            id=message_id(saga_id, "", kind),
            type=kind,
            source="somebody",
            time=its.clock.now(),
            saga_id=saga_id,
            correlation_id=f"c-{saga_id}",
            causation_id="",
            definition=ORDER_SAGA.ref,
            traceparent=CALLER,
            data=msgspec.Raw(data),
        ),
    )


async def place(its: World, said: Draft) -> dict[str, object]:
    """Return where in the log a message stands that was published once."""
    log = its.services["order"].log
    places = dict.fromkeys(await log.ends([said.topic]), 0)
    [found] = [record for record in await log.fetch(places, 1000) if record.value == said.value]
    return {"topic": found.topic, "partition": found.partition, "offset": found.offset}


async def dead(its: World, name: str) -> dict[tuple[str, str, str], float]:
    """Return how many dead letters a service counts, by loop, topic and reason; those that are not none."""
    return {
        (sample.labels["loop"], sample.labels["topic"], sample.labels["reason"]): sample.value
        for family in text_string_to_metric_families(await its.scrape(name, "text/plain"))
        for sample in family.samples
        if sample.name == "saga_dlq_messages_total" and sample.value
    }


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[dict[str, Any]]:
    """Return the lines about sagas."""
    shown = [msgspec.json.decode(JsonLines("x", "0").format(its)) for its in caplog.records if its.levelno >= level]
    return [line for line in shown if "saga_id" in line]


async def test_a_request_to_abort_is_a_line_that_leads_to_its_span(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    its = await world()
    order = await its.order()
    await its.cancel(order)
    await its.run()
    [abort] = [span for span in its.told.of(order) if span.name == "abort"]
    [line] = [line for line in lines(caplog) if line["message"].startswith("asked to abort")]
    assert (line["saga_id"], line["trace_id"], line["span_id"]) == (order, trace_of(order), abort.place.span_id)


async def test_a_message_that_cannot_be_read_is_counted_by_topic_and_reason_and_told_with_its_saga(
    caplog: pytest.LogCaptureFixture,
) -> None:
    its = await world()
    bad = message(its, "NobodyKnowsThis", "order-7", b"{}", "orders.events")
    await its.services["payment"].log.publish([bad])
    await its.run()
    assert await dead(its, "payment") == {("payment consumer", "orders.events", "unreadable"): 1}
    line = next(line for line in lines(caplog) if line["message"].startswith("payment consumer cannot read"))
    assert (line["saga_id"], line["correlation_id"], line["trace_id"]) == ("order-7", "c-order-7", CALLER[3:35])
    assert line.items() >= (await place(its, bad)).items()


async def test_a_message_that_cannot_be_handled_is_told_with_where_it_was(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    its = await world()

    async def handle(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Participant, "handle", handle)
    order = await its.order()
    await its.run()
    line = next(line for line in lines(caplog) if line["message"].startswith("payment consumer cannot handle"))
    where = f"{line['topic']}-{line['partition']}@{line['offset']}"
    assert (line["saga_id"], line["message"]) == (order, f"payment consumer cannot handle {where}")


async def test_each_attempt_at_a_step_without_an_outcome_is_told_and_the_last_one_needs_a_person(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    its = await world()
    silence(its, "ChargePayment")
    order = await its.order(timeoutSeconds=600)
    for _ in range(10):
        await its.pass_seconds(20)
    told = [line for line in lines(caplog) if line["saga_id"] == order and "attempt" in line]
    assert {line["step"] for line in told} == {"payment"}
    assert [line["attempt"] for line in told] == [*range(1, 9), 8]
    assert told[-1]["message"] == "payment needs a person: it failed 8 times"


async def test_an_order_by_message_that_is_refused_is_counted_and_told_with_its_saga(
    caplog: pytest.LogCaptureFixture,
) -> None:
    its = await world()
    await its.services["order"].log.publish([message(its, "CreateOrder", "order-7", b'{"userId":7}', "order.commands")])
    await its.run()
    assert await dead(its, "order") == {("order-intake consumer", "order.commands", "refused"): 1}
    [line] = lines(caplog)
    assert (line["saga_id"], line["correlation_id"], line["topic"]) == ("order-7", "c-order-7", "order.commands")


async def test_what_waits_in_vain_is_counted_and_told_with_its_saga(caplog: pytest.LogCaptureFixture) -> None:
    its = await world()
    early = message(its, "PaymentRefunded", "order-7", b"{}", "payments.events")
    await its.services["order"].log.publish([early])
    await its.run()
    await its.pass_seconds(3601)
    assert ("order parking expiry", "", "expired") in await dead(its, "order")
    assert ("order-7", "payments.events") in {
        (line["saga_id"], line.get("topic")) for line in lines(caplog, logging.WARNING)
    }


async def test_a_bug_in_a_persons_wish_is_told_with_its_saga(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    its = await world()
    order = await its.order(correlationId="the-customers-own-7")

    async def wish(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Tracker, "wish", wish)
    async with its.client("order") as client:
        answer = await client.post(f"/orders/{order}/cancel", json={"reason": "changed my mind"})
    assert answer.status_code == 500
    [line] = lines(caplog, logging.ERROR)
    ids = {"saga_id": order, "correlation_id": "the-customers-own-7", "trace_id": trace_of(order)}
    assert ids.items() <= line.items()
    assert Verbs.ask.__name__ in line["error.traceback"]


async def test_a_counter_of_dead_letters_is_there_before_it_counts() -> None:
    its = await world()
    text = await its.scrape("payment", "text/plain")
    assert 'saga_dlq_messages_total{loop="payment consumer",reason="unhandled",topic="orders.events"} 0.0' in text
    assert 'saga_dlq_messages_total{loop="payment parking expiry",reason="expired",topic="orders.events"} 0.0' in text
