"""Jaeger: what it knows of traces, wherever it is, and one in a container that keeps them in memory."""

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Self

import httpx
from tests.real.engine import Engine, free_port
from tests.real.server import Server
from typing_extensions import override

IMAGE = "jaegertracing/jaeger:2.13.0"
TAKES, ANSWERS = 4318, 16_686
SECONDS_MAX = 15.0


@dataclass(frozen=True, slots=True)
class Span:
    """One span, as Jaeger gives it back."""

    id: str
    parent: str
    name: str
    service: str
    tags: dict[str, Any]
    links: tuple[str, ...]
    microseconds: int
    warnings: tuple[str, ...]


class Traces:
    """What a Jaeger knows, wherever it is."""

    __slots__ = ()

    @property
    def address(self) -> str:
        """Where it is asked."""
        raise NotImplementedError

    def trace(self, trace_id: str) -> list[Span]:
        """Return the spans of a trace; none, when it knows nothing of it."""
        answer = httpx.get(f"{self.address}/api/traces/{trace_id}", timeout=SECONDS_MAX)
        if answer.status_code == 404:
            return []
        traces = answer.raise_for_status().json()["data"]
        assert len(traces) == 1, f"{len(traces)} traces of one id"
        services = {key: process["serviceName"] for key, process in traces[0]["processes"].items()}
        return [_span(span, services) for span in traces[0]["spans"]]

    def traces_of(self, correlation_id: str) -> list[str]:
        """Return the ids of the traces that are found by a correlation id."""
        now = int(time.time() * 1_000_000)
        asked: dict[str, str | int] = {
            "service": "order",
            "tags": f'{{"saga.correlation_id":"{correlation_id}"}}',
            "start": now - 3_600_000_000,
            "end": now + 3_600_000_000,
            "limit": 20,
        }
        answer = httpx.get(f"{self.address}/api/traces", params=asked, timeout=SECONDS_MAX)
        return [trace["traceID"] for trace in answer.raise_for_status().json()["data"] or []]

    def settled(
        self, trace_id: str, last: str = "saga ends", *, steps: Collection[str] = (), services: Collection[str] = ()
    ) -> list[Span]:
        """Return the spans of a trace once the last is among them, and those of these steps and of these services.

        Each service sends its own, and not when others do.
        """
        end = time.monotonic() + SECONDS_MAX
        while True:
            spans = self.trace(trace_id)
            lacks = {last} - {span.name for span in spans} | {*steps} - steps_of(spans)
            lacks |= {*services} - {span.service for span in spans}
            if not lacks:
                return spans
            assert time.monotonic() < end, f"{trace_id} lacks {sorted(lacks)}: {[span.name for span in spans]}"
            time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Jaeger(Traces, Server):
    """One Jaeger, with everything in it."""

    takes: int
    answers: int

    @classmethod
    def create(cls, engine: Engine) -> Self:
        """Make a server that is not started yet."""
        takes, answers = free_port(), free_port()
        published = [f"--publish=127.0.0.1:{ours}:{its}" for ours, its in ((takes, TAKES), (answers, ANSWERS))]
        made = engine.create(IMAGE, "jaeger", environment={}, options=published)
        return cls(engine, made, "jaeger", takes, answers)

    @override
    def wait_until_ready(self) -> None:
        self.wait_for_line("Everything is ready")

    @property
    def endpoint(self) -> str:
        """Where it takes spans."""
        return f"http://127.0.0.1:{self.takes}"

    @property
    @override
    def address(self) -> str:
        return f"http://127.0.0.1:{self.answers}"


def steps_of(spans: Iterable[Span]) -> set[str]:
    """Return the steps that somebody has done, by these spans."""
    return {its.tags["saga.step"] for its in spans if its.name.startswith("process ") and "saga.step" in its.tags}


def _span(found: dict[str, Any], services: dict[str, str]) -> Span:
    references = found.get("references", [])
    parents = [its["spanID"] for its in references if its["refType"] == "CHILD_OF"]
    return Span(
        id=found["spanID"],
        parent=parents[0] if parents else "",
        name=found["operationName"],
        service=services[found["processID"]],
        tags={tag["key"]: tag["value"] for tag in found["tags"]},
        links=tuple(its["spanID"] for its in references if its["refType"] == "FOLLOWS_FROM"),
        microseconds=found["duration"],
        warnings=tuple(found.get("warnings") or ()),
    )
