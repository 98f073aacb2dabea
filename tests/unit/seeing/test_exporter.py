"""Spans on their way to a collector: all arrive while it is well, and none is worth a saga while it is not."""

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagakit.adapters.otel import OtlpSpans, encode
from sagakit.adapters.otel import exporter as exporting
from sagakit.core.traces import Place, Span, SpanKind, Value

SECONDS_MAX = 10.0


def span(number: int, service: str = "payment", error: str = "", **about: Value) -> Span:
    return Span(
        service=service,
        place=Place("af" * 16, f"{number:016x}"),
        parent_id="b7" * 8,
        name="process payment",
        kind=SpanKind.CONSUMER,
        begin=1_000_000_000,
        end=2_000_000_001,
        attributes={"saga.id": f"order-{number}", **about},
        links=(Place("cd" * 16, "ef" * 8),),
        error=error,
    )


@dataclass
class Collector:
    """Takes requests over HTTP and remembers their spans; it answers as it is told."""

    status: int = 200
    answer: str = "{}"
    more: str = ""
    requests: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    spans: list[dict[str, Any]] = field(default_factory=list)
    silent: bool = False
    port: int = 0
    tls: ssl.SSLContext | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while asked := await reader.readuntil(b"\r\n\r\n"):
                headers = dict(line.lower().split(": ", 1) for line in asked.decode().split("\r\n")[1:] if line)
                self.headers = headers
                body = gzip.decompress(await reader.readexactly(int(headers["content-length"])))
                self.requests += 1
                if self.silent:
                    await asyncio.Event().wait()
                if self.status == 200:
                    assert headers["content-type"] == "application/json"
                    told = json.loads(body)["resourceSpans"]
                    self.spans += [s for its in told for scope in its["scopeSpans"] for s in scope["spans"]]
                head = f"HTTP/1.1 {self.status} x\r\nContent-Length: {len(self.answer)}\r\n{self.more}\r\n"
                writer.write(f"{head}{self.answer}".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @property
    def ids(self) -> list[int]:
        return [int(its["spanId"], 16) for its in self.spans]


@asynccontextmanager
async def collecting(**its: Any) -> AsyncIterator[Collector]:  # noqa: ANN401 - as the collector has them
    collector = Collector(**its)
    server = await asyncio.start_server(collector.serve, "127.0.0.1", collector.port, ssl=collector.tls)
    collector.port = server.sockets[0].getsockname()[1]
    try:
        yield collector
    finally:
        server.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not holds():  # noqa: ASYNC110 - what is waited for rings no bell
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "EXPORT_SECONDS", 0.02)
    monkeypatch.setattr(exporting, "BACKOFF_SECONDS_MAX", 0.05)


async def test_a_span_arrives_as_otlp_has_it() -> None:
    async with collecting() as collector:
        spans = OtlpSpans(f"http://127.0.0.1:{collector.port}/")
        spans.start()
        spans.tell(span(1, error="refused", attempt=2, compensation=True, share=0.5))
        await until(lambda: bool(collector.spans))
        await spans.close()
    assert collector.spans == [
        {
            "traceId": "af" * 16,
            "spanId": "0000000000000001",
            "parentSpanId": "b7" * 8,
            "flags": 1,
            "name": "process payment",
            "kind": 5,
            "startTimeUnixNano": "1000000000",
            "endTimeUnixNano": "2000000001",
            "attributes": [
                {"key": "saga.id", "value": {"stringValue": "order-1"}},
                {"key": "attempt", "value": {"intValue": "2"}},
                {"key": "compensation", "value": {"boolValue": True}},
                {"key": "share", "value": {"doubleValue": 0.5}},
            ],
            "links": [{"traceId": "cd" * 16, "spanId": "ef" * 8, "flags": 1}],
            "status": {"code": 2, "message": "refused"},
        }
    ]
    assert spans.counts == {"exported": 1, "dropped": 0}


def about(service: str) -> dict[str, Value]:
    return {"service.name": service}


def test_spans_are_told_by_their_services() -> None:
    told = json.loads(encode([span(1), span(2, "order"), span(3)], about))["resourceSpans"]
    by_service = {
        next(a["value"]["stringValue"] for a in its["resource"]["attributes"] if a["key"] == "service.name"): [
            its["spanId"][-1] for its in its["scopeSpans"][0]["spans"]
        ]
        for its in told
    }
    assert by_service == {"payment": ["1", "3"], "order": ["2"]}


@given(st.text(), st.integers(-(2**63), 2**63 - 1))
def test_whatever_an_attribute_holds_is_json(text: str, number: int) -> None:
    [its] = json.loads(encode([span(1, text=text, amount=number)], about))["resourceSpans"]
    found = {a["key"]: a["value"] for a in its["scopeSpans"][0]["spans"][0]["attributes"]}
    assert (found["text"], found["amount"]) == ({"stringValue": text}, {"intValue": str(number)})


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("http://c/otlp/v1/traces", "http://c/otlp/v1/traces"),
    ],
)
async def test_an_endpoint_is_a_collector_or_the_whole_address_of_its_traces(endpoint: str, url: str) -> None:
    spans = OtlpSpans(endpoint)
    assert spans.url == url
    await spans.close()


async def test_all_spans_arrive_in_batches_and_in_order() -> None:
    async with collecting() as collector:
        spans = OtlpSpans(f"http://127.0.0.1:{collector.port}")
        spans.start()
        for number in range(1000):
            spans.tell(span(number))
        await until(lambda: len(collector.spans) == 1000)
        await spans.close()
    assert collector.ids == [*range(1000)]
    assert collector.requests <= 4


async def test_what_waits_when_the_process_ends_is_sent() -> None:
    async with collecting() as collector:
        spans = OtlpSpans(f"http://127.0.0.1:{collector.port}/v1/traces")
        spans.start()
        spans.tell(span(1))
        await spans.close()
    assert collector.ids == [1]


@pytest.mark.parametrize("status", [429, 503])
async def test_a_collector_without_time_is_asked_again(status: int) -> None:
    async with collecting(status=status) as collector:
        spans = OtlpSpans(f"http://127.0.0.1:{collector.port}")
        spans.start()
        spans.tell(span(1))
        await until(lambda: collector.requests >= 2)
        collector.status = 200
        spans.tell(span(2))
        await until(lambda: len(collector.spans) == 2)
        await spans.close()
    assert collector.ids == [1, 2]
    assert spans.counts == {"exported": 2, "dropped": 0}


@pytest.mark.parametrize("status", [400, 301, 308])
async def test_spans_that_a_collector_refuses_or_sends_elsewhere_are_dropped_and_counted(status: int) -> None:
    async with collecting(status=status) as collector:
        spans = OtlpSpans(f"http://127.0.0.1:{collector.port}")
        spans.start()
        spans.tell(span(1))
        await until(lambda: spans.counts["dropped"] == 1)
        await spans.close()
    assert collector.requests == 1
    assert spans.counts["exported"] == 0


async def test_a_collector_that_is_away_costs_the_oldest_spans_beyond_the_bound() -> None:
    spans = OtlpSpans("http://127.0.0.1:9", queue_spans_max=10)
    spans.start()
    for number in range(25):
        spans.tell(span(number))
        await asyncio.sleep(0)
    await until(lambda: spans.counts["dropped"] >= 15)
    async with collecting() as collector:
        spans.url = f"http://127.0.0.1:{collector.port}/v1/traces"
        await until(lambda: len(collector.spans) == 10)
    await spans.close()
    assert collector.ids == [*range(15, 25)]
    assert spans.counts == {"exported": 10, "dropped": 15}


async def test_a_collector_that_is_silent_holds_nobody_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "CLOSE_SECONDS_MAX", 0.1)
    async with collecting(silent=True) as collector:
        spans = OtlpSpans(f"http://127.0.0.1:{collector.port}")
        spans.start()
        spans.tell(span(1))
        await until(lambda: collector.requests == 1)
        spans.tell(span(2))
        assert spans.waiting == 2, "with the one that is on its way"
        async with asyncio.timeout(SECONDS_MAX):
            await spans.close()
    assert (spans.counts, spans.waiting) == ({"exported": 0, "dropped": 2}, 0)


async def test_a_collector_hears_the_headers_that_it_asks_for() -> None:
    async with collecting() as collector:
        spans = OtlpSpans(f"http://127.0.0.1:{collector.port}", headers={"x-tenant": "shop", "content-type": "x/y"})
        spans.start()
        spans.tell(span(1))
        await until(lambda: bool(collector.spans))
        await spans.close()
    assert (collector.headers["x-tenant"], collector.headers["content-type"]) == ("shop", "application/json")


async def told(number: int, **its: Any) -> OtlpSpans:  # noqa: ANN401 - as the collector has them
    """Return what became of so many spans, one in each request, with a collector that answers so."""
    async with collecting(**its) as collector:
        spans = OtlpSpans(f"http://127.0.0.1:{collector.port}")
        spans.start()
        for requests in range(1, number + 1):
            spans.tell(span(requests))
            await until(lambda least=requests: collector.requests >= least and not spans.waiting)  # type: ignore[misc]
        await spans.close()
    return spans


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "{}",
        '{"partialSuccess": null}',
        '{"partialSuccess": {"rejectedSpans": null, "errorMessage": null}}',
        '{"partialSuccess": {"errorMessage": "slow down"}}',
        '{"id": 1}',
    ],
)
async def test_spans_that_a_collector_takes_are_exported(answer: str) -> None:
    assert (await told(1, answer=answer)).counts == {"exported": 1, "dropped": 0}


async def test_a_collector_may_answer_as_protocol_buffers() -> None:
    its = {"answer": "\x0a\x00", "more": "Content-Type: application/x-protobuf\r\n"}
    assert (await told(1, **its)).counts == {"exported": 1, "dropped": 0}


@pytest.mark.parametrize("rejected", ['"1"', "1", "999"])
async def test_spans_that_a_collector_rejects_of_those_it_was_sent_are_dropped(
    rejected: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = f'{{"partialSuccess": {{"rejectedSpans": {rejected}, "errorMessage": "over the quota"}}}}'
    assert (await told(1, answer=answer)).counts == {"exported": 0, "dropped": 1}
    assert "refuses 1 spans: over the quota" in caplog.text


async def test_a_page_that_answers_at_every_path_is_no_collector(caplog: pytest.LogCaptureFixture) -> None:
    assert (await told(1, answer="<html>Welcome</html>")).counts == {"exported": 0, "dropped": 1}
    assert "200 with what is no answer of OTLP: <html>Welcome" in caplog.text


async def test_a_refusal_that_comes_with_every_batch_is_told_once_in_a_while(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await told(3, status=401)).counts == {"exported": 0, "dropped": 3}
    assert caplog.text.count("refuses") == 1
    monkeypatch.setattr(exporting, "REFUSAL_SECONDS", 0.0)
    await told(3, status=401)
    assert caplog.text.count("refuses") == 1 + 3


async def test_it_is_told_when_spans_are_taken_after_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    async with collecting(status=403) as collector:
        spans = OtlpSpans(f"http://127.0.0.1:{collector.port}")
        spans.start()
        for number, status in enumerate((403, 403, 200, 200), 1):
            collector.status = status
            spans.tell(span(number))
            await until(lambda: not spans.waiting)
        await spans.close()
    assert caplog.text.count("takes spans again; 2 were dropped") == 1


async def test_a_collector_that_asks_to_be_left_alone_is_left_alone() -> None:
    async with collecting(status=429, more="Retry-After: 120\r\n") as collector:
        spans = OtlpSpans(f"http://127.0.0.1:{collector.port}")
        for number in range(2 * exporting.BATCH_SPANS_MAX):
            spans.tell(span(number))
        async with asyncio.timeout(SECONDS_MAX):
            await spans._send_all()
        assert 100 < spans._pause() <= 120
        collector.more = "Retry-After: 99999999999999\r\n"
        await spans._send_all()
        assert 200 < spans._pause() <= exporting.ASKED_SECONDS_MAX
        collector.more = "Retry-After: Fri, 01 Jan 2027 00:00:00 GMT\r\n"
        await spans._send_all()
        assert spans._pause() <= 1, "a date is not read"
        await spans.close()
