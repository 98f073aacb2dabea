"""Prometheus: what it knows, wherever it is, and one in a container that scrapes a shop on this machine."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
from observability import questions
from tests.real.engine import Engine, docker, free_port
from tests.real.server import Server
from typing_extensions import override

from onebox.layout import Layout

IMAGE = "prom/prometheus:v2.42.0"
ANSWER_SECONDS_MAX = 10.0
WAIT_SECONDS_MAX = 60.0
CONFIGURATION = """
global: {scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s}
rule_files: [/etc/prometheus/rules/*.yaml]
scrape_configs:
"""
JOB = """
  - job_name: sagaplane-%s
    static_configs: [{targets: ["127.0.0.1:%d"]}]
"""

BETWEEN = (502, 503, 504)


class Measurements:
    """What a Prometheus knows, wherever it is."""

    __slots__ = ()

    @property
    def address(self) -> str:
        """Where it is asked."""
        raise NotImplementedError

    def ask(self, path: str, **asked: str | float) -> Any:  # noqa: ANN401 - what it answers is JSON
        """Return what it answers.

        Raises:
            AssertionError: when it takes the question for none.
            HTTPStatusError: when whoever is between is ill.
        """
        response = httpx.post(f"{self.address}/api/v1/{path}", data=asked, timeout=ANSWER_SECONDS_MAX, trust_env=False)
        if response.status_code in BETWEEN:
            response.raise_for_status()
        answer = response.json()
        assert answer["status"] == "success", f"{asked}: {answer.get('error')}"
        return answer["data"]

    def rules(self) -> list[Mapping[str, Any]]:
        """Return every rule, and how it fares."""
        answer = httpx.get(f"{self.address}/api/v1/rules", timeout=ANSWER_SECONDS_MAX, trust_env=False)
        return [rule for group in answer.json()["data"]["groups"] for rule in group["rules"]]

    def now(self, asks: str) -> list[Mapping[str, Any]]:
        """Return the series that there are now."""
        found: list[Mapping[str, Any]] = self.ask("query", query=asks)["result"]
        return found

    def between(self, asks: str, begin: float, end: float, step: float = 1) -> list[Mapping[str, Any]]:
        """Return the series that there were."""
        found: list[Mapping[str, Any]] = self.ask("query_range", query=asks, start=begin, end=end, step=step)["result"]
        return found

    def wait_for(self, asks: str) -> list[Mapping[str, Any]]:
        """Return the series once there are any."""
        end = time.monotonic() + WAIT_SECONDS_MAX
        while not (found := self.now(asks)):
            assert time.monotonic() < end, f"there never was {asks}"
            time.sleep(0.1)
        return found


@dataclass(frozen=True, slots=True)
class Prometheus(Measurements, Server):
    """One Prometheus, with everything in it."""

    port: int

    @classmethod
    def create(cls, engine: Engine, layout: Layout, place: Path) -> Self:
        """Make a server that is not started yet, for the shop at these ports; it shares the network of this machine."""
        port = free_port()
        rules = place / "rules"
        rules.mkdir(parents=True)
        for path in questions.HERE.glob("rules/*.yaml"):
            (rules / path.name).write_text(path.read_text())
        jobs = "".join(JOB % (service, layout.port(service)) for service in layout.services)
        (place / "prometheus.yml").write_text(CONFIGURATION + jobs)
        for path in (place, rules, *place.rglob("*.y*ml")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        flags = ("--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus")
        made = engine.create(
            IMAGE,
            "prometheus",
            *(*flags, "--enable-feature=exemplar-storage", f"--web.listen-address=127.0.0.1:{port}"),
            environment={},
            options=["--network=host"],
        )
        docker("cp", f"{place}/.", f"{made}:/etc/prometheus")
        return cls(engine, made, "prometheus", port)

    @override
    def wait_until_ready(self) -> None:
        self.wait_for_line("Server is ready to receive web requests")

    @property
    @override
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"
