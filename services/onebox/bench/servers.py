"""A broker and a database for a measurement, in containers of their own, durable, and what CPU they have used."""

import asyncio
import os
import re
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

POSTGRES, KAFKA = "postgres:15", "apache/kafka:4.3.1"
HEAP = "-Xms768m -Xmx768m"
POSTGRES_OPTIONS = ("shared_buffers=2GB", "max_wal_size=4GB", "checkpoint_timeout=15min")
"""Nothing of it touches durability: `fsync` and `synchronous_commit` are on."""
START_SECONDS_MAX = 90.0
DATABASES = ("order", "payment", "inventory", "shipping", "notification", "analytics")
SERVERS = ("kafka", "postgres")
"""Which of what uses CPU is no process of ours."""
PASSWORD = "bench"  # noqa: S105 - of a container that lives for one measurement


class ServersError(Exception):
    """A container cannot be started. The text says what the engine said."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Both servers, by the names of their containers and by their ports on this machine."""

    postgres: str
    postgres_port: int
    kafka: str
    kafka_port: int

    @property
    def brokers(self) -> str:
        """The address of the broker."""
        return f"127.0.0.1:{self.kafka_port}"

    def database_url(self, prefix: str) -> str:
        """Return the address of the databases that `fresh` made."""
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.postgres_port}/{prefix}_{{service}}"

    async def fresh(self, prefix: str) -> None:
        """Make empty databases whose names begin with this prefix, on a server that has nothing left to write."""
        for name in DATABASES:
            await self._sql(f'CREATE DATABASE "{prefix}_{name}"')
        await self._sql("CHECKPOINT")

    async def forget(self, prefix: str) -> None:
        """Remove them, so that nobody tidies them up during the next measurement."""
        for name in DATABASES:
            await self._sql(f'DROP DATABASE IF EXISTS "{prefix}_{name}" WITH (FORCE)')

    async def _sql(self, statement: str) -> None:
        await docker("exec", self.postgres, "psql", "-U", "postgres", "-qc", statement)

    async def facts(self) -> str:
        """Return the settings of durability that are in force, as the servers tell them."""
        which = "name IN ('fsync', 'synchronous_commit')"
        asked = f"SELECT string_agg(name || '=' || setting, ' ') FROM pg_settings WHERE {which}"  # noqa: S608 - our words
        told = await docker("exec", self.postgres, "psql", "-U", "postgres", "-Atc", asked)
        return (
            f"PostgreSQL {told.strip()}; Kafka acks=all, idempotent producers, one broker, page cache as Kafka ships it"
        )

    async def sizes(self, prefix: str) -> dict[str, float]:
        """Return how many bytes there are in each database, and in all topics, of this prefix."""
        asked = f"SELECT datname, pg_database_size(datname) FROM pg_database WHERE datname LIKE '{prefix}_%'"  # noqa: S608 - our words
        told = await docker("exec", self.postgres, "psql", "-U", "postgres", "-AtF", " ", "-c", asked)
        rows = sorted(line.split() for line in told.splitlines())
        found = {f"bytes in database {name.removeprefix(f'{prefix}_')}": float(size) for name, size in rows}
        looked = ("find", "/", "-xdev", "-path", f"*/{prefix}.*/*.log", "-exec", "stat", "-c", "%s", "{}", "+")
        segments = await docker("exec", self.kafka, *looked, check=False)
        return {**found, "bytes in the log": float(sum(map(int, segments.split())))}

    async def cpu_seconds(self) -> dict[str, float]:
        """Return what each server has used since it began."""
        return dict(zip(SERVERS, [await _cpu(self.kafka), await _cpu(self.postgres)], strict=True))


@asynccontextmanager
async def servers() -> AsyncIterator[Servers]:
    """Run both servers, and remove them in the end.

    Raises:
        ServersError: when there is no container engine, or a server does not start.
    """
    name = f"sagaplane-bench-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    its = Servers(f"{name}-postgres", free_port(), f"{name}-kafka", free_port())
    try:
        await _start(its)
        yield its
    finally:
        await docker("rm", "--force", "--volumes", its.postgres, its.kafka, check=False)


async def docker(*arguments: str, check: bool = True) -> str:
    """Run the engine's command line and return what it printed.

    Raises:
        ServersError: when it fails, unless that is to be ignored.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            "docker", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError:
        raise ServersError("there is no container engine: install Docker, and start it") from None
    out, error = await process.communicate()
    if check and process.returncode:
        raise ServersError(f"docker {arguments[0]}: {error.decode(errors='replace').strip()}")
    return out.decode(errors="replace")


async def _start(its: Servers) -> None:
    options = [part for option in POSTGRES_OPTIONS for part in ("-c", option)]
    port = f"127.0.0.1:{its.postgres_port}:5432"
    await docker(
        *("run", "--detach", "--name", its.postgres, "--publish", port, "--shm-size", "256m"),
        *("--env", f"POSTGRES_PASSWORD={PASSWORD}", POSTGRES, "-c", "max_connections=200", *options),
    )
    host = f"HOST://:{its.kafka_port}"
    settings = {
        "KAFKA_HEAP_OPTS": HEAP,
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": f"BROKER://:9092,CONTROLLER://:9093,{host}",
        "KAFKA_ADVERTISED_LISTENERS": f"BROKER://localhost:9092,HOST://127.0.0.1:{its.kafka_port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT,HOST:PLAINTEXT",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "BROKER",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    }
    environment = [part for name, value in settings.items() for part in ("--env", f"{name}={value}")]
    await docker(
        *("run", "--detach", "--name", its.kafka, "--publish", f"127.0.0.1:{its.kafka_port}:{its.kafka_port}"),
        *environment,
        KAFKA,
    )
    async with asyncio.timeout(START_SECONDS_MAX):
        await _until("accepting", "exec", its.postgres, "pg_isready", "-h", "127.0.0.1")
        await _until("Kafka Server started", "logs", its.kafka)


async def _until(word: str, *question: str) -> None:
    while word not in await docker(*question, check=False):  # noqa: ASYNC110 - a container calls nobody
        await asyncio.sleep(0.3)


async def _cpu(container: str) -> float:
    """Return the CPU seconds of a container, from its control group of either version."""
    files = "/sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpuacct/cpuacct.usage"
    told = await docker("exec", container, "sh", "-c", f"cat {files} 2>/dev/null", check=False)
    if found := re.search(r"usage_usec (\d+)", told):
        return int(found[1]) / 1e6
    numbers = re.findall(r"^(\d+)$", told, re.MULTILINE)
    return int(numbers[-1]) / 1e9 if numbers else float("nan")


def process_cpu(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
