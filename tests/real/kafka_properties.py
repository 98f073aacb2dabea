"""What a broker of a test is told, as Kafka's properties."""

from collections.abc import Mapping

LOG_DIRS = "/var/lib/kafka/data/log"
CONTROLLER_PORT = 9093
INTERNAL_PORT = 9094

COMMON = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "INTERNAL",
    "log.dirs": LOG_DIRS,
    # A topic that nobody created is a mistake.
    "auto.create.topics.enable": "false",
    "unclean.leader.election.enable": "false",
    # A member that is killed is noticed as soon as its test says, and nobody waits for members who may still come.
    "group.min.session.timeout.ms": "100",
    "group.initial.rebalance.delay.ms": "0",
    # A broker that was killed is soon forgotten, for only then it may come back; one that is slow is not.
    "broker.heartbeat.interval.ms": "250",
    "broker.session.timeout.ms": "4000",
    # Small is quick.
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.num.partitions": "3",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": "4194304",
}


def listening(host: str, ports: Mapping[str, int], protocols: Mapping[str, str]) -> dict[str, str]:
    """Return where a broker listens: for its own kind at `host`, for clients at ports that are this machine's too."""
    inside = [f"INTERNAL://{host}:{INTERNAL_PORT}", f"CONTROLLER://{host}:{CONTROLLER_PORT}"]
    secured = {"INTERNAL": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"} | dict(protocols)
    return {
        "listeners": ",".join([*inside, *(f"{name}://:{port}" for name, port in ports.items())]),
        "advertised.listeners": ",".join([inside[0], *(f"{name}://127.0.0.1:{port}" for name, port in ports.items())]),
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in secured.items()),
    }


def alone() -> dict[str, str]:
    """Return what a broker is told that has no other."""
    return {
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{CONTROLLER_PORT}",
        **_copies(replication=1, in_sync=1),
    }


def together() -> dict[str, str]:
    """Return what three brokers are told: copies, and to notice soon that one of them is gone."""
    return {
        **_copies(replication=3, in_sync=2),
        "replica.lag.time.max.ms": "5000",
    }


def _copies(replication: int, in_sync: int) -> dict[str, str]:
    return {
        "default.replication.factor": str(replication),
        "min.insync.replicas": str(in_sync),
        "offsets.topic.replication.factor": str(replication),
        "transaction.state.log.replication.factor": str(replication),
        "transaction.state.log.min.isr": str(in_sync),
        "share.coordinator.state.topic.replication.factor": str(replication),
        "share.coordinator.state.topic.min.isr": str(in_sync),
    }
