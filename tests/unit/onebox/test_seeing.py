"""trace, metrics, top and doctor against a shop that runs, and whoever else answers at the address of a server."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import pytest
from tests.unit.onebox.conftest import Sagactl
from tests.unit.onebox.live_shop import LiveShop
from tests.unit.onebox.test_failures import stranger

from onebox.cli import execute
from onebox.client import Shop
from onebox.commands import top
from onebox.commands.top import pictures
from onebox.errors import ExitCode
from onebox.layout import SERVICES
from onebox.output import Format, Output
from onebox.settings import CtlSettings
from sagakit.core.traces import root_of, trace_of

SKIPS = ("--skip", "kubernetes", "--skip", "log", "--skip", "stores")
NOWHERE = "http://127.0.0.1:1"


@contextmanager
def answering(body: object, status: str = "200 OK") -> Iterator[str]:
    """Answer this to everybody."""
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    with stranger(f"{head}Connection: close\r\n\r\n".encode() + content) as (url, _):
        yield url


def jaegers(saga_id: str, *more: dict[str, object]) -> dict[str, object]:
    """Return how Jaeger answers with a trace of the root of a saga, and of more spans."""
    spans = [spoken(saga_id), *more]
    processes = {"p1": {"serviceName": "order", "tags": []}, "p2": {"serviceName": "order", "tags": []}}
    trace = {"traceID": trace_of(saga_id), "spans": spans, "processes": processes}
    return {"data": [trace], "total": 0, "limit": 0, "offset": 0, "errors": None}


def spoken(saga_id: str, name: str = "saga begins", span_id: str = "", process: str = "p1") -> dict[str, object]:
    """Return a span of a saga; without an id, one that somebody else told."""
    tags = [
        {"key": "saga.id", "type": "string", "value": saga_id},
        {"key": "saga.correlation_id", "type": "string", "value": f"{saga_id}-called"},
        {"key": "saga.outcome", "type": "string", "value": "completed" if name == "saga ends" else ""},
    ]
    return {
        "traceID": trace_of(saga_id),
        "spanID": span_id or root_of(saga_id),
        "operationName": name,
        "references": [],
        "startTime": 1_767_268_800_000_000,
        "duration": 0,
        "tags": tags if saga_id else [],
        "processID": process,
        "warnings": None,
    }


@pytest.fixture
def saga(sagactl: Sagactl, pens: None) -> str:
    del pens
    return sagactl("submit", "--item", "pen:1:1", "--wait", "-o", "name").out.strip()


def test_a_saga_that_nobody_traced_is_no_riddle(sagactl: Sagactl, saga: str) -> None:
    answer = sagactl("trace", saga)
    assert answer.code == ExitCode.NOT_FOUND
    assert answer.err.splitlines()[0] == f"error: {saga} is not traced: nobody asked for that when it began"
    assert "SAGAPLANE_TRACES_ENDPOINT" in answer.err


def test_a_trace_is_found_by_its_own_id_and_told_as_json(sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(jaegers("order-7")) as url:
        monkeypatch.setenv("SAGACTL_JAEGER_URL", url)
        told = json.loads(sagactl("trace", trace_of("order-7"), "-o", "json").out)
    assert (told["sagaId"], told["correlationId"]) == ("order-7", "order-7-called")
    assert told["url"] == f"{url}/trace/{trace_of('order-7')}"
    assert [span["name"] for span in told["spans"]] == ["saga begins"]


def test_jaeger_alone_is_asked_while_the_order_service_is_away(
    sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGACTL_ORDER_URL", NOWHERE)
    with answering(jaegers("order-7")) as url:
        monkeypatch.setenv("SAGACTL_JAEGER_URL", url)
        answer = sagactl("trace", "order-7")
    assert answer.code == ExitCode.OK
    assert "Jaeger alone is asked" in answer.err
    assert answer.out.startswith("order-7  (order-7-called)  1 spans of 1 services")


@pytest.mark.parametrize("asked", ["order-8", "order-8-called"])
def test_a_saga_is_shown_without_the_others_that_one_caller_began_in_the_same_trace(
    asked: str, sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the first saga of the trace headed it, and its end was told of each."""
    more = (spoken("order-7", "saga ends", "e7"), spoken("order-8"), spoken("", "checkout", "c0"))
    monkeypatch.setenv("SAGACTL_ORDER_URL", NOWHERE)
    with answering(jaegers("order-7", *more)) as url:
        monkeypatch.setenv("SAGACTL_JAEGER_URL", url)
        told = json.loads(sagactl("trace", asked, "-o", "json").out)
        drawn = sagactl("trace", asked).out
        whole = sagactl("trace", "f" * 32).out
    assert told["sagaId"] == "order-8"
    assert sorted((span["name"], span["sagaId"]) for span in told["spans"]) == [
        ("checkout", ""),
        ("saga begins", "order-8"),
    ]
    assert drawn.startswith("order-8  (order-8-called)  2 spans of 1 services\n")
    assert "It has no end yet" in drawn
    assert whole.startswith("order-7  (order-7-called)  ✔ Completed  4 spans of 1 services, 2 sagas\n")


def test_a_saga_of_which_jaeger_has_no_span_is_not_another_of_its_trace(
    sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGACTL_ORDER_URL", NOWHERE)
    with answering(jaegers("order-7")) as url:
        monkeypatch.setenv("SAGACTL_JAEGER_URL", url)
        assert sagactl("trace", "order-9").code == ExitCode.NOT_FOUND


def test_a_span_that_two_processes_told_is_shown_once(sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(jaegers("order-7", spoken("order-7", process="p2"))) as url:
        monkeypatch.setenv("SAGACTL_JAEGER_URL", url)
        answer = sagactl("trace", trace_of("order-7"))
    assert answer.out.startswith("order-7  (order-7-called)  1 spans of 1 services\n")


def test_what_jaeger_does_not_have_may_come_yet(sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = {"data": None, "errors": [{"code": 404, "msg": "trace not found"}]}
    with answering(nothing, "404 Not Found") as url:
        monkeypatch.setenv("SAGACTL_JAEGER_URL", url)
        answer = sagactl("trace", "f" * 32)
    assert answer.code == ExitCode.NOT_FOUND
    assert "try again" in answer.err


@pytest.mark.parametrize("words", [("trace",), ("metrics",)], ids=" ".join)
def test_an_id_that_names_nothing_is_refused(words: tuple[str, ...], sagactl: Sagactl) -> None:
    assert sagactl(*words, "").code == ExitCode.USAGE
    assert sagactl(*words, "nobody").code == ExitCode.NOT_FOUND


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", b"SSH-2.0-OpenSSH_9.2\r\n"],
    ids=["silence", "other JSON", "no HTTP"],
)
def test_a_stranger_is_no_jaeger(answer: bytes, sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch) -> None:
    with stranger(answer) as (url, _):
        monkeypatch.setenv("SAGACTL_JAEGER_URL", url)
        found = sagactl("trace", "f" * 32)
    assert found.code == ExitCode.UNREACHABLE
    cause, remedy = found.err.splitlines()
    assert url in cause
    assert "SAGACTL_JAEGER_URL" in remedy


@pytest.mark.parametrize("url", [NOWHERE, "http://127.0.0.1:none"])
def test_a_jaeger_that_is_not_there_is_named_with_what_to_do(
    url: str, sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGACTL_JAEGER_URL", url)
    answer = sagactl("trace", "f" * 32)
    assert answer.code == ExitCode.UNREACHABLE
    assert answer.err.startswith(f"error: Jaeger at {url} ")
    assert "SAGACTL_JAEGER_URL" in answer.err.splitlines()[1]


@pytest.mark.parametrize("variable", ["SAGACTL_JAEGER_URL", "SAGACTL_PROMETHEUS_URL"])
def test_what_is_no_address_is_refused(variable: str, sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "localhost:1")
    answer = sagactl("list")
    assert answer.code == ExitCode.USAGE
    assert answer.err.startswith(f"error: {variable} is 'localhost:1'")


def test_metrics_of_a_saga_that_has_ended_say_so(sagactl: Sagactl, saga: str) -> None:
    answer = sagactl("metrics", saga)
    assert answer.code == ExitCode.OK
    assert "told by /metrics of 6 services" in answer.out
    assert "It has no series: it has ended" in answer.out
    assert json.loads(sagactl("metrics", saga, "-o", "json").out)["phase"] == "Completed"


def test_metrics_leave_out_a_service_that_is_away(sagactl: Sagactl, saga: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGACTL_PAYMENT_URL", NOWHERE)
    answer = sagactl("metrics", saga)
    assert answer.code == ExitCode.OK
    assert "told by /metrics of 5 services" in answer.out
    assert answer.err.startswith(f"left out: the payment service at {NOWHERE} refuses connections")


def test_prometheus_alone_is_asked_while_the_order_service_is_away(
    sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGACTL_ORDER_URL", NOWHERE)
    monkeypatch.setenv("SAGACTL_PROMETHEUS_URL", NOWHERE)
    answer = sagactl("metrics", "order-7")
    assert answer.code == ExitCode.UNREACHABLE
    note, cause, remedy = answer.err.splitlines()
    assert "Prometheus alone is asked" in note
    assert cause == f"error: Prometheus at {NOWHERE} refuses connections"
    assert "SAGACTL_PROMETHEUS_URL" in remedy


def test_top_shows_one_picture_to_a_pipe(sagactl: Sagactl, saga: str) -> None:
    assert saga
    answer = sagactl("top", "--every", "0.1")
    assert answer.code == ExitCode.OK
    assert "6 of 6 services answer" in answer.out
    assert answer.out.count("SERVICE ") == 1
    told = json.loads(sagactl("top", "--every", "0.1", "-o", "json").out)
    assert {line["service"] for line in told["services"]} == {*SERVICES}
    assert {line["phase"] for line in told["phases"]} == {"Pending", "Running", "Compensating", "NeedsIntervention"}


def test_top_names_who_is_away_and_shows_the_others(sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGACTL_PAYMENT_URL", NOWHERE)
    answer = sagactl("top", "--once", "--every", "0.1")
    assert answer.code == ExitCode.OK
    assert "5 of 6 services answer" in answer.out
    assert f"✖ the payment service at {NOWHERE} refuses connections" in answer.out


def test_top_of_a_shop_that_does_not_run_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for service in SERVICES:
        monkeypatch.setenv(f"SAGACTL_{service.upper()}_URL", NOWHERE)
    assert execute(["top", "--once"]) == ExitCode.UNREACHABLE
    cause, remedy = capsys.readouterr().err.splitlines()
    assert cause.startswith("error: no service answers; the order service")
    assert "sagactl dev" in remedy


def test_top_does_not_wait_for_a_service_that_hangs(sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "ANSWER_SECONDS_MAX", 0.5)
    with stranger(None) as (url, _):
        monkeypatch.setenv("SAGACTL_PAYMENT_URL", url)
        began = monotonic()
        answer = sagactl("top", "--once", "--every", "0.1")
    assert monotonic() - began < CtlSettings({}).timeout_seconds
    assert "5 of 6 services answer" in answer.out
    assert "✖ the payment service did not answer within 0.5 s" in answer.out


async def test_top_shows_one_picture_where_nothing_can_be_written_over(
    shop: LiveShop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def in_vain(*_: object) -> None:
        raise AssertionError("they are shown when they end")

    monkeypatch.setattr(top, "pictures", in_vain)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    urls = {name: f"http://127.0.0.1:{its.port}" for name, its in shop.services.items()}
    async with Shop(CtlSettings(urls)) as watched, asyncio.timeout(20):
        await top.watch(watched, Output(Format.TABLE), 0.1, once=False)
    assert capsys.readouterr().out.count("6 of 6 services answer") == 1


@pytest.mark.parametrize("words", [("--every", "0"), ("--every", "soon")], ids=" ".join)
def test_top_cannot_look_without_a_pause(words: tuple[str, ...], sagactl: Sagactl) -> None:
    assert sagactl("top", *words).code == ExitCode.USAGE


async def test_top_goes_on_while_everybody_is_away_and_shows_when_they_are_back(shop: LiveShop) -> None:
    urls = {name: f"http://127.0.0.1:{its.port}" for name, its in shop.services.items()}
    away = CtlSettings(dict.fromkeys(urls, NOWHERE))
    for settings, words in ((away, "0 of 6 services answer"), (CtlSettings(urls), "6 of 6 services answer")):
        shown: asyncio.Queue[str] = asyncio.Queue()
        async with Shop(settings) as watched, asyncio.timeout(20):
            watching = asyncio.create_task(pictures(watched, shown.put_nowait, 0.01))
            assert words in await shown.get()
            assert "rates over" in await shown.get()
            watching.cancel()


def test_doctor_finds_a_shop_that_is_well(sagactl: Sagactl) -> None:
    answer = sagactl("doctor", *SKIPS)
    assert answer.code == ExitCode.OK
    lines = answer.out.splitlines()
    assert len(lines) == len(SERVICES) + 1
    assert all(line.startswith("✔") for line in lines)


def test_doctor_says_in_a_line_each_what_is_wrong_and_ends_with_1(
    sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = {"title": "Not ready", "status": 503, "detail": "payment relay: the disk is full"}
    monkeypatch.setenv("SAGACTL_SHIPPING_URL", NOWHERE)
    with answering(problem, "503 Service Unavailable") as url:
        monkeypatch.setenv("SAGACTL_PAYMENT_URL", url)
        answer = sagactl("doctor", *SKIPS)
    assert answer.code == ExitCode.NO
    payment, shipping = [line for line in answer.out.splitlines() if line.startswith("✖")]
    assert "the payment service cannot serve now: payment relay: the disk is full; try again" in payment
    assert f"the shipping service at {NOWHERE} refuses connections; start it with `sagactl dev`" in shipping
    assert answer.err.startswith("error: 2 of 7 things are wrong")


def test_doctor_tells_machines_the_same(sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGACTL_PAYMENT_URL", NOWHERE)
    answer = sagactl("doctor", *SKIPS, "-o", "jsonl")
    assert answer.code == ExitCode.NO
    told = [json.loads(line) for line in answer.out.splitlines()]
    assert [its["about"] for its in told if its["verdict"] == "wrong"] == ["payment"]
    assert all(its["remedy"] for its in told if its["verdict"] == "wrong")
