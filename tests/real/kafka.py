"""Kafka in containers: one broker, or three that lead themselves, each reached from this machine under its own port."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from tests.real.engine import Engine, free_port
from tests.real.kafka_properties import COMMON, CONTROLLER_PORT, INTERNAL_PORT, LOG_DIRS, alone, listening, together
from tests.real.server import Server
from typing_extensions import override

IMAGE = "apache/kafka:4.3.1"
BIN = "/opt/kafka/bin"
CLUSTER_ID = "c2FnYXBsYW5lLXRlc3RzIQ"
STARTED = "Kafka Server started"

# A broker of a test holds little and is started often: code is compiled once and quickly.
JVM = {
    "KAFKA_HEAP_OPTS": "-Xms192m -Xmx192m",
    "KAFKA_JVM_PERFORMANCE_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.awt.headless=true",
}

# Formats what is not formatted yet, and becomes the broker. The arguments are those of the format.
BECOME_BROKER = f"""set -eu
printf '%s\\n' "$SERVER_PROPERTIES" >/tmp/server.properties
[ -f {LOG_DIRS}/meta.properties ] ||
    {BIN}/kafka-storage.sh format --cluster-id {CLUSTER_ID} --config /tmp/server.properties "$@"
exec {BIN}/kafka-server-start.sh /tmp/server.properties
"""


@dataclass(frozen=True, slots=True)
class Broker(Server):
    """One broker, which is a controller too. `host` is its name among its own kind."""

    port: int
    host: str

    @classmethod
    def create(
        cls,
        engine: Engine,
        port: int,
        properties: Mapping[str, str],
        *,
        host: str = "127.0.0.1",
        more_ports: Sequence[int] = (),
        options: Sequence[str] = (),
        format_options: Sequence[str] = (),
    ) -> Self:
        """Make a broker that is not started yet."""
        lines = "\n".join(f"{name}={value}" for name, value in (COMMON | dict(properties)).items())
        container = engine.create(
            IMAGE,
            "kafka",
            "-c",
            BECOME_BROKER,
            "become-broker",
            *format_options,
            environment=JVM | {"SERVER_PROPERTIES": lines},
            ports=[port, *more_ports],
            options=["--entrypoint", "bash", *options],
        )
        return cls(engine, container, "kafka" if host == "127.0.0.1" else host, port, host)

    @property
    def bootstrap_servers(self) -> str:
        """Return the address for clients on this machine."""
        return f"127.0.0.1:{self.port}"

    @override
    def wait_until_ready(self) -> None:
        self.wait_for_line(STARTED)

    def create_topic(self, topic: str, partitions: int = 1, replication: int = 1, **config: str | int) -> None:
        """Create a topic; `config` has underscores where Kafka has dots."""
        settings = [f"--config={name.replace('_', '.')}={value}" for name, value in config.items()]
        sizes = ("--partitions", str(partitions), "--replication-factor", str(replication))
        self.command("kafka-topics", "--create", "--topic", topic, *sizes, *settings)

    def delete_topic(self, topic: str) -> None:
        self.command("kafka-topics", "--delete", "--topic", topic)

    def topics(self) -> list[str]:
        """Return the names of all topics but Kafka's own."""
        return self.command("kafka-topics", "--list", "--exclude-internal").split()

    def command(self, name: str, *arguments: str) -> str:
        """Return what one of Kafka's commands answers, on a listener that only the brokers can reach."""
        return self.execute(f"{BIN}/{name}.sh", "--bootstrap-server", f"{self.host}:{INTERNAL_PORT}", *arguments)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Three brokers: each record is on all of them, and two have to have it before it counts."""

    brokers: tuple[Broker, Broker, Broker]

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(broker.bootstrap_servers for broker in self.brokers)

    @property
    def running(self) -> Broker:
        """Return a broker that can be asked."""
        return next(broker for broker in self.brokers if broker.status() == "running")

    def start(self) -> None:
        """Start all brokers side by side and wait until each is ready; a broker alone has no quorum."""
        for broker in self.brokers:
            broker.start_only()
        for broker in self.brokers:
            broker.wait_until_ready()

    def mend(self) -> None:
        """Undo what a test did to any of them, also when it killed the quorum."""
        states = [broker.status() for broker in self.brokers]
        for broker, state in zip(self.brokers, states, strict=True):
            if state == "paused":
                broker.unpause()
            elif state != "running":
                broker.start_only()
        if set(states) != {"running"}:
            self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Return once every broker is ready and has every record that it should have."""
        for broker in self.brokers:
            broker.wait_until_ready()
        asked = (
            f"{BIN}/kafka-topics.sh --bootstrap-server kafka-1:{INTERNAL_PORT} --describe --under-replicated-partitions"
        )
        self.brokers[0].wait_for_command(f'lacking=$({asked}) && [ -z "$lacking" ]')

    def create_topic(self, topic: str, partitions: int = 1, replication: int = 3, **config: str | int) -> None:
        self.running.create_topic(topic, partitions, replication, **config)

    def leader(self, topic: str, partition: int = 0) -> Broker:
        """Return the broker that leads this partition now."""
        told = self.running.command("kafka-topics", "--describe", "--topic", topic)
        line = next(line for line in told.splitlines() if f"Partition: {partition}\t" in line)
        return self.brokers[int(line.partition("Leader: ")[2].split()[0]) - 1]


@contextmanager
def one_broker(engine: Engine) -> Iterator[Broker]:
    """Offer one broker without secrets."""
    port = free_port()
    listeners = listening("127.0.0.1", {"CLIENT": port}, {"CLIENT": "PLAINTEXT"})
    broker = Broker.create(engine, port, listeners | alone())
    broker.start()
    yield broker
    broker.remove()


@contextmanager
def three_brokers(engine: Engine) -> Iterator[Cluster]:
    """Offer three brokers without secrets."""
    voters = {"controller.quorum.voters": ",".join(f"{n}@kafka-{n}:{CONTROLLER_PORT}" for n in (1, 2, 3))}
    with engine.network() as network:

        def create(number: int) -> Broker:
            host, port = f"kafka-{number}", free_port()
            own = {"node.id": str(number)} | listening(host, {"CLIENT": port}, {"CLIENT": "PLAINTEXT"})
            options = ["--hostname", host, "--network", network, "--network-alias", host]
            return Broker.create(engine, port, own | voters | together(), host=host, options=options)

        cluster = Cluster((create(1), create(2), create(3)))
        cluster.start()
        yield cluster
        for broker in cluster.brokers:
            broker.remove()
