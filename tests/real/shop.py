"""The whole shop as processes on real servers: started, disturbed, and held to account when all sagas have ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
from tests.real.engine import free_port
from tests.real.orders import Load

from onebox.layout import SERVICES

SAGACTL = Path(sys.executable).with_name("sagactl")
PARTITIONS = 4
SESSION_SECONDS = 3.0
READY_SECONDS_MAX = 180.0
SETTLED_SECONDS_MAX = 180.0
SERVED_SECONDS_MAX = 90.0
CLEAN_SECONDS_MAX = 120.0
COMMAND_SECONDS_MAX = 180.0
LINES_SHOWN = 25
LUCK = {"PAYMENT_SUCCESS_RATE": "0.9", "INVENTORY_SUCCESS_RATE": "0.9", "SHIPPING_SUCCESS_RATE": "0.9"}
"""Some sagas are compensated in every test."""
QUIET = {"ANALYTICS_REPORT_SECONDS": "0", "PYTHONUNBUFFERED": "1"}


class NotInTimeError(AssertionError):
    """Something did not become true. The text says what."""


def say(text: str) -> None:
    """Leave a figure for whoever reads the test's output."""
    sys.stdout.write(f"{text}\n")


def until(met: Callable[[], bool], seconds_max: float, what: str) -> float:
    """Return after how many seconds the condition was met.

    Raises:
        NotInTimeError: when it was not.
    """
    began = time.monotonic()
    while not met():
        if time.monotonic() - began > seconds_max:
            raise NotInTimeError(f"not within {seconds_max:g} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - began


@dataclass
class Instance:
    """One instance of a service, through all its lives."""

    service: str
    name: str
    port: int
    environment: dict[str, str]
    file: Path
    process: subprocess.Popen[bytes] | None = None
    _read: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it, for the first time or again, under the same name and port."""
        with self.file.open("ab") as output:
            self._read = self.file.stat().st_size
            self.process = subprocess.Popen(
                [SAGACTL, "service", self.service], env=self.environment, stdout=output, stderr=subprocess.STDOUT
            )

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.send(signal.SIGKILL)
        self.wait(5)

    def terminate(self, seconds_max: float) -> int:
        """Ask it to end, and return its exit code."""
        self.send(signal.SIGTERM)
        return self.wait(seconds_max)

    def wait(self, seconds_max: float) -> int:
        """Return its exit code once it has ended."""
        assert self.process is not None
        try:
            return self.process.wait(seconds_max)
        except subprocess.TimeoutExpired:
            raise NotInTimeError(f"{self.name} has not ended within {seconds_max:g} s") from None

    def get(self, path: str, seconds_max: float = 5.0) -> httpx.Response | None:
        """Return its answer, or None when it does not answer."""
        try:
            return httpx.get(f"{self.url}{path}", timeout=seconds_max, trust_env=False)
        except httpx.HTTPError:
            return None

    def is_ready(self) -> bool:
        answer = self.get("/readyz")
        return answer is not None and answer.status_code == httpx.codes.OK

    def reasons(self) -> list[str]:
        """Return why it is not ready; nothing when it is, or does not answer."""
        answer = self.get("/readyz")
        return [] if answer is None or answer.is_success else [*answer.json().get("reasons", [])]

    def wait_until_ready(self) -> None:
        """Return once it is ready; an end before that is told at once."""
        until(lambda: not self.alive or self.is_ready(), READY_SECONDS_MAX, f"{self.name} is ready: {self.reasons()}")
        assert self.alive, f"{self.name} ended before it was ready:\n{self.tail()}"

    def metric(self, name: str) -> float:
        """Return the sum of a metric's samples."""
        return sum(self._samples(name))

    def has_metric(self, name: str) -> bool:
        """Tell whether there is a sample."""
        return bool(self._samples(name))

    def _samples(self, name: str) -> list[float]:
        answer = self.get("/metrics")
        lines = answer.text.splitlines() if answer is not None else []
        return [float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))]

    def output(self) -> str:
        """Return everything that it printed."""
        return self.file.read_text(errors="replace") if self.file.exists() else ""

    def latest_output(self) -> str:
        """Return what it printed in its present or last life."""
        return self.file.read_bytes()[self._read :].decode(errors="replace")

    def tail(self) -> str:
        return "\n".join(self.output().splitlines()[-LINES_SHOWN:])


@dataclass
class Shop:
    """All services, each in one or more instances, over one set of topics and databases."""

    environment: dict[str, str]
    directory: Path
    random: Random
    replication: int = 1
    settings: dict[str, dict[str, str]] = field(default_factory=dict)
    instances: dict[str, list[Instance]] = field(default_factory=lambda: {service: [] for service in SERVICES})
    load: Load | None = None

    def all(self) -> list[Instance]:
        return [instance for service in SERVICES for instance in self.instances[service]]

    def first(self, service: str) -> Instance:
        return self.instances[service][0]

    def prepare(self) -> None:
        """Make the topics and the schemas, on servers that a test before may have stopped."""
        sizes = ("--partitions", str(PARTITIONS), "--replication", str(self.replication))
        self._demand_command("topics", "apply", *sizes)
        self._demand_command("database", "apply")

    def add(self, service: str, **variables: str) -> Instance:
        """Start one more instance; beside those of its service it has variables of its own."""
        name = f"{service}-{len(self.instances[service])}"
        port = free_port()
        settings = self.settings.get(service, {})
        own = {"SAGAPLANE_INSTANCE": name, f"{service.upper()}_PORT": str(port), **settings, **variables}
        instance = Instance(service, name, port, {**self.environment, **own}, self.directory / f"{name}.log")
        self.instances[service].append(instance)
        instance.start()
        return instance

    def open(self, each: int = 1) -> None:
        """Start so many instances of each service, wait until all are ready, and fill the shelves."""
        for _ in range(each):
            for service in SERVICES:
                self.add(service)
        self.wait_until_ready()
        for product in Load.PRODUCTS:
            url = f"{self.first('inventory').url}/stock/{product}"
            stocked = httpx.put(url, json={"quantity": 1_000_000}, timeout=30, trust_env=False)
            stocked.raise_for_status()

    def wait_until_ready(self) -> None:
        for instance in self.all():
            instance.wait_until_ready()

    @contextmanager
    def under_load(self, per_second: float = 30.0) -> Iterator[Load]:
        """Have customers order in the background; afterwards each of them has had an answer."""
        addresses = [instance.url for instance in self.instances["order"]]
        self.load = Load(addresses, self.random.randrange(2**32), per_second, before=self.load)
        self.load.start()
        try:
            until(self.load.has_placed, 30, "the first order is placed")
            yield self.load
        finally:
            self.load.stop()

    def served_seconds(self, service: str, since: float, seconds_max: float = SERVED_SECONDS_MAX) -> float:
        """Return how long after a moment the first order was through that was placed later and needed the service."""
        assert self.load is not None
        load = self.load
        seen = {"notification": "/notifications/{}", "analytics": "/analytics/orders/{}"}.get(service)
        asked = self.first(service if seen else "order")

        def through(order_id: str) -> bool:
            answer = asked.get((seen or "/orders/{}").format(order_id))
            if answer is None or not answer.is_success:
                return False
            return bool(seen) or answer.json()["status"] == "confirmed"

        until(
            lambda: any(through(order_id) for order_id in load.placed_since(since)[:10]),
            seconds_max,
            f"an order that needs {service} ends",
        )
        return time.monotonic() - since

    def settle(self) -> None:
        """Return when no saga is unfinished and nothing waits to be published."""
        first = self.first("order")

        def ended() -> bool:
            answer = first.get("/orders?status=pending&limit=1")
            return answer is not None and answer.is_success and not answer.json()["orders"]

        try:
            until(ended, SETTLED_SECONDS_MAX, "every saga ends")
        except NotInTimeError as error:
            answer = first.get("/sagas?limit=5&phase=Running")
            raise NotInTimeError(f"{error}; {'' if answer is None else answer.text}") from None
        until(
            lambda: not any(instance.metric("saga_outbox_pending") for instance in self.all() if instance.alive),
            SETTLED_SECONDS_MAX,
            "every outbox is empty",
        )

    def demand_clean(self, dead_letters: int = 0) -> None:
        """Demand that the books balance, that every order exists once and has ended, and that nobody stumbled."""
        self.settle()
        self._demand_orders()
        self._demand_command("audit", "--all-lines")
        self._demand_command("analytics", "verify")
        listed = self.sagactl("dlq", "list", "-o", "json")
        assert listed.returncode == 0, listed.stderr
        letters = json.loads(listed.stdout)
        assert len(letters) == dead_letters, f"dead letters: {listed.stdout[:2000]}"
        for instance in self.all():
            assert "Traceback" not in instance.output(), f"{instance.name}:\n{_around_traceback(instance.output())}"

    def orders(self) -> Iterator[dict[str, Any]]:
        """Yield every order that the shop knows."""
        cursor = ""
        while True:
            answer = self.first("order").get(f"/orders?limit=1000{cursor}", 20)
            assert answer is not None
            assert answer.is_success, answer.text
            yield from answer.json()["orders"]
            following = answer.json().get("nextCursor")
            if not following:
                return
            cursor = f"&cursor={following}"

    def sagactl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command against the first instance of each service that lives."""
        addresses = {
            f"SAGACTL_{service.upper()}_URL": next((i.url for i in instances if i.alive), "http://127.0.0.1:1")
            for service, instances in self.instances.items()
        }
        return subprocess.run(
            [SAGACTL, *arguments],
            env={**self.environment, **addresses},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )

    def close(self) -> None:
        """End what still runs."""
        for instance in self.all():
            if instance.process is not None and instance.alive:
                instance.process.kill()
                instance.process.wait()

    def _demand_orders(self) -> None:
        found = list(self.orders())
        ids = [order["id"] for order in found]
        assert len(ids) == len(set(ids)), "an order is listed twice"
        placed = set(self.load.placed.values() if self.load is not None else ())
        lost, unasked = sorted(placed - set(ids)), sorted(set(ids) - placed)
        assert not lost + unasked, f"lost {len(lost)}: {lost[:5]}; unasked {len(unasked)}: {unasked[:5]}"
        assert not [order for order in found if order["status"] == "pending"]
        ends = {status: sum(order["status"] == status for order in found) for status in ("confirmed", "cancelled")}
        say(f"{len(found)} orders: {ends}")

    def _demand_command(self, *command: str) -> None:
        """Demand that a command finds nothing; what is on its way when it looks may arrive until it looks again."""
        done: list[subprocess.CompletedProcess[str]] = []

        def clean() -> bool:
            done.append(self.sagactl(*command))
            return done[-1].returncode == 0

        try:
            until(clean, CLEAN_SECONDS_MAX, f"sagactl {' '.join(command)} is clean")
        except NotInTimeError as error:
            raise NotInTimeError(f"{error}\n{done[-1].stdout[-3000:]}\n{done[-1].stderr[-2000:]}") from None


@contextmanager
def shop(
    bootstrap_servers: str,
    database_url: str,
    topic_prefix: str,
    directory: Path,
    *,
    seed: int,
    replication: int = 1,
    more: Mapping[str, str] | None = None,
    prepared: bool = True,
) -> Iterator[Shop]:
    """Offer a shop with topics and schemas and nobody in it yet; afterwards say what its processes said last."""
    say(f"seed {seed}")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "SAGAPLANE_KAFKA_TOPIC_PREFIX": topic_prefix,
        "SAGAPLANE_KAFKA_SESSION_SECONDS": str(SESSION_SECONDS),
        "SAGAPLANE_DATABASE_URL": database_url,
        **LUCK,
        **QUIET,
        **(more or {}),
    }
    its = Shop(environment, directory, Random(seed), replication)
    try:
        if prepared:
            its.prepare()
        yield its
    finally:
        for instance in its.all():
            say(f"--- the last lines of {instance.name}, {'alive' if instance.alive else 'ended'}")
            say(instance.tail())
        its.close()


def _around_traceback(text: str) -> str:
    lines: Sequence[str] = text.splitlines()
    at = next(number for number, line in enumerate(lines) if "Traceback" in line)
    return "\n".join(lines[max(0, at - 3) : at + 60])
