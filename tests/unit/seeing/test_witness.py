"""What a service tells and counts of its sagas: each thing once, under ids that follow from what happened."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import NoReturn

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.definitions.town import Town, short
from tests.unit.seeing.exposition import counting_buckets, families
from tests.unit.seeing.world import Told, World, silence, world

from onebox.wiring import ALL_ACCESS
from sagakit.core.traces import Span, root_of, trace_of
from sagakit.ports import Draft, LogUnavailableError
from sagakit.runtime import definitions
from sagakit.runtime import witness as witnessing
from sagakit.runtime.catalogue import ATTRIBUTES
from sagakit.runtime.gauges import YOUNG
from sagakit.runtime.loops import Steps
from sagakit.runtime.metrics import AtScrape
from sagakit.runtime.observation import program_version
from sagakit.runtime.retelling import Retelling
from sagakit.runtime.service import Service
from sagakit.runtime.topics import dead_letter_topic
from sagakit.runtime.witness import Witness
from shop_contracts.order_saga import ORDER_SAGA

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
DONE = {
    ("order", "saga begins"),
    ("payment", "process payment"),
    ("inventory", "process inventory"),
    ("shipping", "process shipping"),
    ("inventory", "process stock"),
    ("order", "saga ends"),
    ("notification", "process orders.events"),
}


def kinds(spans: list[Span]) -> set[tuple[str, str]]:
    return {(span.service, span.name) for span in spans}


async def values(its: World, name: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Return what a service counts, by the values of its labels in the order of their names."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(await its.scrape(name, "text/plain")):
        for sample in family.samples:
            labels = tuple(value for label, value in sorted(sample.labels.items()) if label != "le")
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


@pytest.mark.parametrize("mode", ["choreography", "orchestration"])
async def test_a_saga_that_succeeds_is_told_in_seven_spans_below_one_root(mode: str) -> None:
    its = await world()
    order = await its.order(mode=mode)
    await its.run()
    spans = its.told.of(order)
    assert kinds(spans) == DONE
    assert len(spans) == len(DONE)
    root = next(span for span in spans if span.name == "saga begins")
    assert (root.place.trace_id, root.place.span_id, root.parent_id) == (trace_of(order), root_of(order), "")
    assert {span.parent_id for span in spans if span is not root} == {root_of(order)}
    assert {span.place.trace_id for span in spans} == {trace_of(order)}
    assert max(Counter(span.place.span_id for span in spans).values()) == 1
    assert not [span for span in spans if span.error or span.end <= span.begin]


async def test_every_attribute_stands_in_the_catalogue() -> None:
    its = await world()
    order = await its.order()
    await its.run()
    assert {name for span in its.told.spans for name in span.attributes} <= ATTRIBUTES.keys()
    assert its.told.of(order)


async def test_a_compensation_is_told_with_a_link_to_what_it_takes_back() -> None:
    its = await world()
    order = await its.order(items=[{"productId": "pen", "quantity": 99, "price": 5}])
    await its.run()
    by_name = {span.name: span for span in its.told.of(order)}
    assert by_name["compensate payment"].links == (by_name["process payment"].place,)
    assert (by_name["process inventory"].error, by_name["saga ends"].error) == ("refused", "compensated")
    payment = await values(its, "payment")
    assert payment["saga_compensations_total"] == {
        ("order/1", "succeeded", "payment"): 1,
        ("order/1", "exhausted", "payment"): 0,
    }


async def test_a_saga_that_a_person_cancels_tells_of_the_request() -> None:
    its = await world()
    order = await its.order()
    await its.cancel(order)
    await its.run()
    spans = its.told.of(order)
    abort = next(span for span in spans if span.name == "abort")
    assert (abort.service, abort.error) == ("order", "CANCELLED")
    assert {span.error for span in spans if span.name.startswith("process") and span.error} <= {"barred"}


async def test_two_who_ask_a_saga_to_abort_under_one_id_are_two_spans() -> None:
    """Once the operator's request and the order service's were one span, and a viewer showed either of them."""
    its = await world()
    order = await its.order()
    await its.cancel(order)
    await its.run()
    places = dict.fromkeys(await its.services["order"].log.ends(["sagas.events"]), 0)
    [said] = [r for r in await its.services["order"].log.fetch(places, 10) if b'"AbortSaga"' in r.headers]
    told = Told()
    for service in ("order", "operator"):
        witness = Witness(service, lambda: [ORDER_SAGA])
        witness.spans = told
        witness.published([Draft(said.topic, said.key, spoken_by(service, said.headers), said.value)])
    assert [(span.service, span.name) for span in told.spans] == [("order", "abort"), ("operator", "abort")]
    assert len({span.place.span_id for span in told.spans}) == 2
    assert len({span.place.trace_id for span in told.spans}) == 1
    [first] = [span for span in its.told.of(order) if span.name == "abort"]
    assert told.spans[0] == first


def spoken_by(service: str, headers: bytes) -> bytes:
    said = {**msgspec.json.decode(headers, type=dict[str, str]), "ce_source": service}
    return msgspec.json.encode(said)


async def test_a_deadline_that_passes_is_counted_with_its_lateness() -> None:
    its = await world()
    participants = {name: its.services.pop(name) for name in ("payment", "inventory", "shipping")}
    order = await its.order(timeoutSeconds=60)
    await its.pass_seconds(62.5)
    its.services |= participants
    await its.run()
    found = await values(its, "order")
    assert sum(found["saga_timeouts_total"].values()) == 1
    assert sum(found["saga_timeout_lateness_seconds_sum"].values()) == pytest.approx(2.5, abs=0.1)
    abort = next(span for span in its.told.of(order) if span.name == "abort")
    assert (abort.end - abort.begin) / 1e9 == pytest.approx(2.5, abs=0.1)


async def test_sagas_are_counted_from_their_beginning_to_their_end() -> None:
    its = await world()
    done = [await its.order(mode=mode) for mode in ("choreography", "orchestration")]
    its.clock.moment += YOUNG
    before = await values(its, "order")
    assert sum(before["saga_active"].values()) == 2
    assert {labels[0] for labels in before["saga_instance_phase"]} == set(done)
    await its.run()
    found = await values(its, "order")
    assert found["saga_started_total"] == {("order/1", "choreography"): 1, ("order/1", "orchestration"): 1}
    assert {labels: n for labels, n in found["saga_finished_total"].items() if n} == {
        ("order/1", "choreography", "completed"): 1,
        ("order/1", "orchestration", "completed"): 1,
    }
    assert sum(found["saga_duration_seconds_count"].values()) == 2
    assert sum(found["saga_active"].values()) == 0
    assert "saga_instance_phase" not in found, "the series end with their sagas"
    assert found["saga_build_info"] == {("order", program_version()): 1}


async def test_only_a_saga_that_has_lived_for_two_seconds_has_series() -> None:
    its = await world()
    old = await its.order()
    its.clock.moment += YOUNG
    young = await its.order()
    found = await values(its, "order")
    assert sum(found["saga_active"].values()) == 2
    assert {labels[0] for labels in found["saga_instance_phase"]} == {old}
    assert found["saga_instance_series_dropped"] == {(): 0}, "a saga that is young is not dropped"
    its.clock.moment += YOUNG
    found = await values(its, "order")
    assert {labels[0] for labels in found["saga_instance_phase"]} == {old, young}


async def test_every_bucket_that_has_counted_a_saga_shows_one() -> None:
    its = await world()
    orders = {await its.order() for _ in range(3)}
    await its.run()
    counted = {"saga_duration_seconds": "order", "saga_step_duration_seconds": "payment"}
    for histogram, service in counted.items():
        [family] = [each for each in families(await its.scrape(service)) if each.name == histogram]
        buckets = [*counting_buckets(family)]
        assert buckets
        for bucket in buckets:
            assert bucket.exemplar is not None
            assert bucket.exemplar.labels["correlation_id"] in orders


async def test_counters_are_there_before_they_count() -> None:
    its = await world()
    found = await values(its, "order")
    assert set(found["saga_finished_total"].values()) == {0}
    assert set(found["saga_timeouts_total"].values()) == {0}
    assert set((await values(its, "payment"))["saga_compensations_total"].values()) == {0}


async def test_without_tracing_nothing_is_told_and_everything_counted() -> None:
    its = await world(traced=False)
    order = await its.order()
    await its.run()
    assert not its.told.spans
    assert sum((await values(its, "order"))["saga_finished_total"].values()) == 1
    assert "# {" not in await its.scrape("order")
    assert order


async def test_a_saga_that_is_not_sampled_is_told_by_nobody() -> None:
    its = await world(chosen=False)
    await its.order()
    unsampled = await its.order({"traceparent": f"{CALLER}-00"})
    sampled = await its.order({"traceparent": f"{CALLER}-01"})
    await its.run()
    assert not its.told.of(unsampled)
    assert kinds(its.told.of(sampled)) == DONE
    assert {span.attributes["saga.id"] for span in its.told.spans if "saga.id" in span.attributes} == {sampled}


async def test_the_caller_of_a_saga_is_above_its_root() -> None:
    its = await world()
    order = await its.order({"traceparent": f"{CALLER}-01"})
    await its.run()
    spans = its.told.of(order)
    assert {span.place.trace_id for span in spans} == {CALLER[3:35]}
    assert [span.parent_id for span in spans if span.name == "saga begins"] == [CALLER[36:]]
    assert {span.parent_id for span in spans if span.name != "saga begins"} == {root_of(order)}


async def test_who_listens_unhurried_tells_one_span_per_batch_with_links() -> None:
    its = await world()
    orders = [await its.order() for _ in range(3)]
    await its.run()
    polls = [span for span in its.told.spans if span.name.startswith("poll ")]
    assert {span.service for span in polls} == {"analytics"}
    roots = {span.place for span in its.told.spans if span.name == "saga begins"}
    assert {link for span in polls for link in span.links} == roots
    assert {root.trace_id for root in roots} == {trace_of(order) for order in orders}
    assert not {span.place.trace_id for span in polls} & {trace_of(order) for order in orders}


@pytest.mark.parametrize("name", ["order", "payment", "inventory", "shipping"])
async def test_what_a_killed_service_had_told_is_told_again_and_is_the_same(name: str) -> None:
    its = await world()
    await its.order()
    await its.order(mode="orchestration")
    await its.order(items=[{"productId": "pen", "quantity": 99, "price": 5}])
    await its.run()
    again, service = Told(), its.services[name]
    witness = Witness(name, lambda: [ORDER_SAGA])
    witness.spans = again
    topics = {"order": ["orders.events", "sagas.events"]}.get(name, [ORDER_SAGA.participant(name).events_topic])
    retelling = Retelling(witness, lambda: topics, service.log, its.clock, informed)
    assert not await retelling.step()
    first = {span.place: span for span in its.told.spans if span.service == name}
    assert {span.place: span for span in again.spans} == first
    told = len(again.spans)
    await retelling.step()
    assert len(again.spans) == told, "once is enough"
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AtScrape(witness.samples))
    assert not sum(sample.value for family in registry.collect() for sample in family.samples), "not counted again"


async def informed() -> bool:
    return True


OWN = "careful/1"


async def town_that_knows() -> Town:
    """Return a shop with a definition of its own, and stock on its shelves."""
    its = Town()
    await its.stock("pen", 10)
    await its.define(short("careful"))
    await its.knows(OWN)
    return its


def loop_of(service: Service, name: str) -> Steps:
    [its] = [loop.steps for loop in service.runner.loops if loop.steps.name == f"{service.name} {name}"]
    return its


async def counted(its: Town, metric: str) -> float:
    """Return what the order service has counted of sagas of the shop's own definition."""
    labels = {"definition": OWN}
    samples = AtScrape(its.services["order"].samples)
    found = [s for family in samples.collect() for s in family.samples if s.name == metric]
    return sum(sample.value for sample in found if labels.items() <= sample.labels.items())


async def test_what_was_told_of_a_saga_of_ones_own_definition_is_told_again_once_that_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once it was passed over where the definition was read later than the log, and the saga stayed without a root."""
    monkeypatch.setattr(definitions, "PATIENCE_SECONDS", 0.001)
    its, told = await town_that_knows(), Told()
    its.services["order"].trace(Told(), lambda _: True, "sagaplane")
    order = await its.order(definition=OWN)
    await its.ended(order)
    its.open("order")
    service = its.services["order"]
    service.trace(told, lambda _: True, "sagaplane")
    retelling = loop_of(service, "retelling")
    await retelling.step()
    assert not told.of(order)
    while await loop_of(service, "definitions").step():
        pass
    await retelling.step()
    assert {span.name for span in told.of(order)} == {"saga begins", "saga ends"}


async def test_what_was_left_in_the_outbox_is_counted_and_told_once_its_definition_is_loaded() -> None:
    """Once a saga that a killed process had begun was finished without having been started, in the figures."""
    its, told = await town_that_knows(), Told()
    its.services["order"].trace(Told(), lambda _: True, "sagaplane")
    order = await its.order(definition=OWN)
    its.open("order")
    service = its.services["order"]
    service.trace(told, lambda _: True, "sagaplane")
    assert await loop_of(service, "relay").step()
    assert await counted(its, "saga_started_total") == 0
    while await loop_of(service, "definitions").step():
        pass
    assert await counted(its, "saga_started_total") == 1
    assert [span.name for span in told.of(order)] == ["saga begins"]
    assert await counted(its, "saga_started_total") == 1, "once is enough"


async def test_what_is_said_before_the_definitions_are_loaded_waits_only_as_far_as_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(witnessing, "EARLY_MESSAGES_MAX", 1)
    its = await world()
    await its.order()
    await its.order()
    await its.run()
    log, told = its.services["order"].log, Told()
    records = await log.fetch(dict.fromkeys(await log.ends(["orders.events"]), 0), 10)
    begun = [Draft(r.topic, r.key, r.headers, r.value) for r in records if b'"OrderCreated"' in r.headers]
    witness = Witness("order", lambda: [ORDER_SAGA], lambda: False)
    witness.spans = told
    witness.published(begun[:1])
    assert not told.spans
    witness.published(begun[1:])
    assert [span.name for span in told.spans] == ["saga begins"] * 2


async def leaderless(topics: Iterable[str]) -> NoReturn:
    raise LogUnavailableError(f"{min(topics)}-0: no leader")


async def test_each_service_may_read_what_it_tells_again_and_its_dead_letters() -> None:
    its = await world()
    for name, service in its.services.items():
        assert {*service.seen.own_topics(), dead_letter_topic(name)} <= {*ALL_ACCESS[name].reads}, name


async def test_what_is_long_gone_is_not_told_again() -> None:
    its = await world()
    await its.order()
    await its.run()
    await its.pass_seconds(600)
    again, service = Told(), its.services["order"]
    witness = Witness("order", lambda: [ORDER_SAGA])
    witness.spans = again
    await Retelling(witness, lambda: ["orders.events"], service.log, its.clock, informed).step()
    assert not again.spans


async def test_what_a_log_without_a_leader_keeps_back_is_told_when_it_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the first failure was the last try, so that an election at the start cost spans."""
    its = await world()
    await its.order()
    await its.run()
    again, service = Told(), its.services["payment"]
    witness = Witness("payment", lambda: [ORDER_SAGA])
    witness.spans = again
    retelling = Retelling(witness, lambda: ["payments.events"], service.log, its.clock, informed)
    with monkeypatch.context() as away:
        away.setattr(service.log, "ends", leaderless)
        await retelling.step()
    assert not again.spans
    await its.pass_seconds(59)
    await retelling.step()
    assert [span.name for span in again.spans] == ["process payment"]


async def test_a_log_that_stays_away_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    its = await world()
    service = its.services["payment"]
    retelling = Retelling(Witness("payment", list), lambda: ["payments.events"], service.log, its.clock, informed)
    monkeypatch.setattr(service.log, "ends", leaderless)
    for _ in range(4):
        await retelling.step()
        its.clock.moment += timedelta(seconds=30)
    assert [record.getMessage() for record in caplog.records if record.name.endswith("retelling")] == [
        "what was said before this start is not in the traces: payments.events-0: no leader"
    ]


async def test_a_message_that_is_no_news_is_counted() -> None:
    its = await world()
    await its.order()
    await its.run()
    log = its.services["payment"].log
    places = dict.fromkeys(await log.ends(["orders.events"]), 0)
    records = await log.fetch(places, 10)
    await log.publish([Draft(r.topic, r.key, r.headers, r.value) for r in records])
    await its.run()
    assert (await values(its, "payment"))["saga_message_duplicates_total"][("payment consumer", "orders.events")] >= 1


async def test_how_long_a_step_waited_is_told_apart_from_how_long_it_took() -> None:
    its = await world()
    participants = {name: its.services.pop(name) for name in ("payment", "inventory", "shipping")}
    await its.order(timeoutSeconds=60)
    await its.pass_seconds(2)
    its.services |= participants
    await its.run()
    found = await values(its, "payment")
    assert found["saga_step_schedule_to_start_seconds_count"] == {("order/1", "payment"): 1}
    assert sum(found["saga_step_schedule_to_start_seconds_sum"].values()) == pytest.approx(2, abs=0.1)


async def test_attempts_at_a_step_and_at_its_compensation_are_counted_by_how_they_ended() -> None:
    its = await world()
    await its.order()
    await its.order(items=[{"productId": "pen", "quantity": 99, "price": 5}])
    await its.run()
    payment, inventory = await values(its, "payment"), await values(its, "inventory")
    assert payment["saga_step_attempts_total"] == {
        ("ChargePayment", "order/1", "succeeded", "payment"): 2,
        ("ChargePayment", "order/1", "refused", "payment"): 0,
        ("ChargePayment", "order/1", "unknown", "payment"): 0,
        ("ChargePayment", "order/1", "exhausted", "payment"): 0,
        ("RefundPayment", "order/1", "succeeded", "payment"): 1,
        ("RefundPayment", "order/1", "unknown", "payment"): 0,
        ("RefundPayment", "order/1", "exhausted", "payment"): 0,
    }
    ended = {labels[0:3:2]: number for labels, number in inventory["saga_step_attempts_total"].items() if number}
    assert ended == {
        ("ReserveInventory", "succeeded"): 1,
        ("ReserveInventory", "refused"): 1,
        ("ConsumeReservation", "succeeded"): 1,
    }


@pytest.mark.parametrize("command", ["ChargePayment", "RefundPayment"])
async def test_an_attempt_without_an_outcome_is_unknown_until_the_last_one_which_is_exhausted(command: str) -> None:
    its = await world()
    silence(its, command)
    await its.order(items=[{"productId": "pen", "quantity": 99, "price": 5}], timeoutSeconds=600)
    for _ in range(10):
        await its.pass_seconds(20)
    found = await values(its, "payment")
    attempts = {labels[0:3:2]: n for labels, n in found["saga_step_attempts_total"].items() if n and command in labels}
    assert attempts == {(command, "unknown"): 7, (command, "exhausted"): 1}
    assert found["saga_step_stuck_total"] == {("order/1", "payment"): float(command == "ChargePayment")}
    assert found["saga_compensation_exhausted_total"] == {("order/1", "payment"): float(command == "RefundPayment")}


async def test_messages_are_counted_and_how_far_they_are_behind_is_told_by_topic() -> None:
    its = await world()
    await its.order()
    await its.run()
    found = await values(its, "payment")
    assert found["saga_messages_sent_total"] == {
        ("payment relay", "payments.events"): 1,
        ("payment relay", "payment.dlq"): 0,
    }
    heard = found["saga_messages_consumed_total"]
    assert heard["payment consumer", "orders.events"] >= 1
    assert heard["payment consumer", "payment.commands"] == 0
    assert found["saga_event_lag_seconds"].keys() == heard.keys()
    timed = found["messaging_process_duration_seconds_count"]
    assert sum(n for labels, n in timed.items() if labels[1:2] == ("payment",)) >= 1
    assert sum(found["messaging_client_operation_duration_seconds_count"].values()) >= 1
