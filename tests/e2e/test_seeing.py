"""What is to be seen of sagas on a cluster: the whole of each in one trace, soon, and an answer to every question."""

import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from observability import questions
from observability.questions import Question
from tests.e2e.cluster import Body, until
from tests.e2e.release import Release
from tests.e2e.sagas import PRODUCT, Namespace, Saga, order_saga
from tests.e2e.seeing import JaegerInside, PrometheusInside
from tests.observability import test_live
from tests.observability.run import Seen
from tests.real.seeing.events import events_of_sagas
from tests.real.seeing.jaeger import Span, steps_of
from tests.real.seeing.test_traces import DONE, assert_whole
from tests.real.shop import say

from sagakit.core.traces import trace_of

LONG = 600
ORDERS = 200
KILLED_AFTER = 30
"""As many have ended when the leader and the payment service are killed: the others are anywhere."""
ENDED_SECONDS_MAX = 300.0
ARRIVED_SECONDS_MAX = 120.0
FOUND_SECONDS_MAX = 5.0
SPANS_MAX = 8
MODES = ("Choreography", "Orchestration")
IDLE = "Idle"
PARTICIPANTS = {"payment": "payment", "inventory": "inventory", "shipping": "shipping", "stock": "inventory"}
HEARS = {"order", "notification", "operator"}
"""They take part in every saga that is a resource."""

SHOWN_SECONDS_MAX = 90.0
OF_THE_OPERATOR = [each for each in questions.of_dashboards() if each.place.startswith("operator:")]
RECORDED = [each for each in test_live.RULES if each.place not in test_live.ALERTS]
OF_A_PROVIDER = r"saga_payment_provider_"
"""The built-in bank is no provider."""
NEVER_HERE = [OF_A_PROVIDER, *(its for its, why in test_live.MAY_BE_EMPTY.items() if why != test_live.OF_THE_OPERATOR)]
OF_THE_NODE = ("unable to retrieve container logs", "rpc error: ")
"""What a node says in place of a container that is gone."""

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("platform")]


def mixed(word: str, count: int) -> list[Body]:
    """Return OrderSagas in both modes: of five, one is declined and one is of a product that is out of stock."""
    return [
        order_saga(
            f"{word}-{number}",
            mode=MODES[number % 2],
            price="20000.00" if number % 5 == 3 else "10.00",
            product="prod-sold-out" if number % 5 == 4 else PRODUCT,
            timeoutSeconds=LONG,
        )
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def traced(session_release: Release) -> Release:
    """The platform, with every saga traced."""
    traces = session_release.values()["traces"]
    if not traces["endpoint"] or float(traces["sample"]) != 1:
        session_release.set_values("--set=traces.endpoint=http://collector:4318", "--set=traces.sample=1")
    return session_release


@pytest.fixture(scope="module")
def jaeger(traced: Release) -> JaegerInside:
    return JaegerInside(traced)


def answered(its: Saga) -> set[str]:
    """Return the steps of a saga that somebody answered."""
    return {name for name, state in its.steps.items() if state != IDLE}


def services(its: Saga) -> set[str]:
    """Return who took part in a saga."""
    return HEARS | {PARTICIPANTS[step] for step in answered(its)}


def arrived_spans(jaeger: JaegerInside, sagas: list[Saga]) -> dict[str, list[Span]]:
    """Return the spans of each saga once Jaeger has heard everybody about each step, and of its end.

    Each service sends its own, every second, and later when that failed.
    """
    left: dict[str, set[str]] = {}
    spans_of: dict[str, list[Span]] = {}

    def lacking(its: Saga) -> set[str]:
        spans = spans_of[its.name] = jaeger.trace(its.status["traceId"])
        lacks = services(its) - {span.service for span in spans} | answered(its) - steps_of(spans)
        return lacks | {"saga ends"} - {span.name for span in spans}

    def arrived() -> bool:
        waiting = [its for its in sagas if left.get(its.name, {""})]
        left.update({its.name: lacking(its) for its in waiting})
        return not any(left.values())

    def told() -> str:
        return f"the traces are whole; they lack { ({name: lacks for name, lacks in left.items() if lacks}) }"

    until(arrived, ARRIVED_SECONDS_MAX, told)
    return spans_of


def demand_whole(its: Saga, spans: list[Span]) -> None:
    """Demand that the trace has what happened in the saga, once, below one root, and not more."""
    assert_whole(spans, its.saga_id)
    assert {span.service for span in spans} == services(its), its.name
    assert steps_of(spans) == answered(its), its.name
    (place,) = [span for span in spans if span.service == "operator"]
    assert place.tags["saga.resource"] == f"{its.body['metadata']['namespace']}/{its.name}"
    if its.phase == "Completed":
        assert {span.service for span in spans} == DONE | {"operator"}
        assert len(spans) <= SPANS_MAX, [span.name for span in spans]


def test_two_hundred_sagas_each_have_one_whole_trace_though_the_leader_and_a_service_are_killed(
    release: Release, room: Namespace, jaeger: JaegerInside
) -> None:
    before = {*release.logs.text().splitlines()}
    leader, (payment,) = release.wait_for_leader(), release.pod_names("payment")

    def ended() -> int:
        return sum(its.ended for its in room.sagas() if its.name.startswith("mixed-"))

    with ThreadPoolExecutor(1) as pool:
        applying = pool.submit(room.apply, *mixed("mixed", ORDERS))
        until(lambda: ended() >= KILLED_AFTER, ENDED_SECONDS_MAX, f"{KILLED_AFTER} sagas have ended")
        release.kill(leader, payment)
        applying.result()
    killed_at = ended()
    assert killed_at < ORDERS, "all had ended before anybody was killed"
    sagas = room.wait_all_ended("mixed-", ORDERS, ENDED_SECONDS_MAX)
    release.wait_for_leader(other_than=leader)
    phases = Counter(its.phase for its in sagas)
    say(f"{ORDERS} sagas, {killed_at} of them ended when the leader and payment were killed: {dict(phases)}")
    assert phases == {"Completed": ORDERS * 3 // 5, "Compensated": ORDERS * 2 // 5}
    assert [its.status["traceId"] for its in sagas] == [trace_of(its.saga_id) for its in sagas]
    spans_of = arrived_spans(jaeger, sagas)
    for its in sagas:
        demand_whole(its, spans_of[its.name])
        until(
            lambda its=its: jaeger.traces_of(its.saga_id) == [its.status["traceId"]],  # type: ignore[misc]
            FOUND_SECONDS_MAX,
            f"one correlation id, one trace: {its.name}",
        )
    since = [line.partition(": ")[2] for line in release.logs.text().splitlines() if line not in before]
    assert since, "the operators say something"
    lines = [line for line in since if not line.startswith(OF_THE_NODE)]
    events_of_sagas(lines, {its.saga_id: its.status["traceId"] for its in sagas})


def test_a_saga_that_runs_is_found_by_its_correlation_id_within_five_seconds(
    release: Release, room: Namespace, jaeger: JaegerInside
) -> None:
    word = f"the-customers-own-{uuid4().hex[:8]}"
    with release.without("payment"):
        began = time.monotonic()
        room.create(order_saga("runs", correlationId=word, timeoutSeconds=LONG))
        until(lambda: bool(jaeger.traces_of(word)), FOUND_SECONDS_MAX, f"the trace of {word} is found")
        seconds = time.monotonic() - began
        say(f"found {seconds:.1f} s after it was made")
        assert seconds < FOUND_SECONDS_MAX
        its = room.wait_for("runs", lambda its: "traceId" in its.status, what="a trace")
        assert not its.ended, "it still runs"
        shown = room.kubectl("get", "ordersaga", "runs", "--output=jsonpath={.status.traceId}")
        assert jaeger.traces_of(word) == [shown]
        assert "saga begins" in {span.name for span in jaeger.trace(shown)}
    room.wait_for_phase("runs", "Completed")


@pytest.fixture(scope="module")
def seen(session_release: Release, room: Namespace) -> Seen:
    """Prometheus, after some sagas that it saw."""
    session_release.wait_until_ready()
    session_release.stock_up()
    prometheus, begin = PrometheusInside(session_release), time.time()
    with session_release.without("shipping"):
        room.apply(order_saga("lives", timeoutSeconds=LONG))
        lives = "saga_instance_deadline_timestamp_seconds"
        until(lambda: bool(prometheus.now(lives)), SHOWN_SECONDS_MAX, "a saga that lives has series of its own")
    room.wait_for_phase("lives", "Completed")
    room.apply(*mixed("measured", 20))
    sagas = room.wait_all_ended("measured-", 20, ENDED_SECONDS_MAX)
    asks = f"sum(increase(saga_operator_messages_total[1m])) > {len(sagas)}"
    until(lambda: bool(prometheus.now(asks)), SHOWN_SECONDS_MAX, asks)

    def so_far() -> Seen:
        return Seen(prometheus, begin, time.time(), sagas[0].saga_id)

    for rule in RECORDED:
        until(lambda rule=rule: bool(so_far().told(rule.place)), SHOWN_SECONDS_MAX, rule.place)  # type: ignore[misc]
    return so_far()


def excused(asks: str) -> bool:
    """Tell whether a question has no answer here either; what the operator is asked has one."""
    return any(re.search(pattern, asks) for pattern in NEVER_HERE)


@pytest.mark.parametrize("question", OF_THE_OPERATOR, ids=lambda its: f"{its.place} {its.asks[:20]}")
def test_a_panel_of_the_operator_shows_something(seen: Seen, question: Question) -> None:
    asks = question.filled({**test_live.values(seen), "__rate_interval": "1m", "__range": "5m"})
    assert seen.told(asks) or excused(question.asks), f"{question.place}: nothing for {asks}"


@pytest.mark.parametrize("rule", RECORDED, ids=lambda its: its.place)
def test_a_rule_records_something(seen: Seen, rule: Question) -> None:
    assert seen.told(rule.place)


@pytest.mark.parametrize(("alert", "name"), sorted({*test_live.series_of_alerts()}))
def test_what_an_alert_is_about_is_there(seen: Seen, alert: str, name: str) -> None:
    assert seen.told(name) or excused(name), f"{alert}: there is no {name}"


def test_prometheus_takes_the_rules_and_evaluates_each_without_an_error(seen: Seen) -> None:
    rules = seen.prometheus.rules()
    assert {rule["name"] for rule in rules} == {question.place for question in test_live.RULES}
    assert not [rule["name"] for rule in rules if rule["health"] != "ok"]


def test_both_operators_are_scraped_and_one_of_them_leads(session_release: Release, seen: Seen) -> None:
    addresses = {f"{pod['status']['podIP']}:8080" for pod in session_release.pods("operator")}
    assert len(addresses) == 2
    leads = 'saga_operator_is_leader{job="sagaplane-operator"}'

    def scraped() -> bool:
        now = {series["metric"]["instance"]: series["value"][1] for series in seen.prometheus.now(leads)}
        up = seen.prometheus.now('up{job="sagaplane-operator"} == 1')
        lead = sorted(now.get(address, "") for address in addresses) == ["0", "1"]
        return lead and {series["metric"]["instance"] for series in up} == addresses

    until(scraped, SHOWN_SECONDS_MAX, f"Prometheus scrapes {addresses}, of which one leads")
