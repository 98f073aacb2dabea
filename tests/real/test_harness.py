"""What the harness promises to the tests that stand on it."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError
from tests.real.certificates import Authority
from tests.real.engine import OWNER, Engine, Owner, docker
from tests.real.kafka import Broker, Cluster
from tests.real.postgres import IMAGE as POSTGRES
from tests.real.postgres import PASSWORD, Postgres
from tests.real.secured_kafka import PASSWORDS, SecuredKafka
from tests.real.server import NotReadyError, Server
from typing_extensions import override

pytestmark = pytest.mark.real

ANSWER_SECONDS_MAX = 60.0
SILENCE_SECONDS = 1.0
STARTS = 8
"""So often something starts that would be missed in one start of three."""
SSL_REQUEST = bytes((0, 0, 0, 8, 4, 210, 22, 47))
"""What a client of PostgreSQL says first; the answer is S or N."""


async def produce(servers: str, topic: str, *values: bytes, **how: Any) -> None:  # noqa: ANN401
    async with asyncio.timeout(ANSWER_SECONDS_MAX):
        producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True, **how)
        try:
            await producer.start()
            for value in values:
                await producer.send_and_wait(topic, value, partition=0)
        finally:
            await producer.stop()


async def consume(servers: str, topic: str, count: int, **how: Any) -> list[bytes]:  # noqa: ANN401
    """Return the first values of a topic."""
    async with asyncio.timeout(ANSWER_SECONDS_MAX):
        consumer = AIOKafkaConsumer(bootstrap_servers=servers, **how)
        try:
            await consumer.start()
            partition = TopicPartition(topic, 0)
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            return [(await consumer.getone()).value for _ in range(count)]
        finally:
            await consumer.stop()


# PostgreSQL


def answer(postgres: Postgres) -> bytes:
    """Return what the server answers to a client that has just connected from this machine."""
    with socket.create_connection(("127.0.0.1", postgres.port), timeout=SILENCE_SECONDS) as connection:
        connection.sendall(SSL_REQUEST)
        return connection.recv(1)


async def test_postgres_accepts_and_waits_for_the_disk(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    asked = "SELECT current_setting('fsync'), current_setting('synchronous_commit'), current_database()"
    assert tuple(await connection.fetchrow(asked)) == ("on", "on", database_url.rpartition("/")[2])
    await connection.close()


async def test_postgres_refuses_a_wrong_password(postgres: Postgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.url().replace(PASSWORD, "guessed"))


def test_fresh_databases_are_empty_and_separate(postgres: Postgres) -> None:
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    with postgres.fresh() as one_url, postgres.fresh() as other_url:
        one, other = (url.rpartition("/")[2] for url in (one_url, other_url))
        postgres.query(one, "CREATE TABLE orders (id text)")
        assert postgres.query(one, tables) == "1"
        assert postgres.query(other, tables) == "0"
    assert not {one, other} & set(postgres.query("postgres", "SELECT datname FROM pg_database").split())


async def test_a_fresh_shop_has_a_database_for_each_service(shop_database_url: str) -> None:
    for service in ("order", "analytics"):
        address = shop_database_url.replace("{service}", service)
        connection = await asyncpg.connect(address)
        assert await connection.fetchval("SELECT current_database()") == address.rpartition("/")[2]
        await connection.close()


def test_what_postgres_committed_outlives_a_kill(postgres: Postgres) -> None:
    with postgres.fresh() as url:
        database = url.rpartition("/")[2]
        postgres.query(database, "CREATE TABLE orders (id text); INSERT INTO orders VALUES ('order-7')")
        postgres.kill()
        with pytest.raises(OSError, match=r"refused|reset"):
            answer(postgres)
        postgres.start()
        assert answer(postgres) == b"N"
        assert postgres.query(database, "SELECT id FROM orders") == "order-7"


def test_a_paused_postgres_is_silent_and_goes_on_later(postgres: Postgres) -> None:
    postgres.pause()
    with pytest.raises(TimeoutError):
        answer(postgres)
    postgres.unpause()
    assert answer(postgres) == b"N"


# Kafka


async def test_kafka_accepts_and_gives_back(kafka: Broker, topic_prefix: str) -> None:
    topic = f"{topic_prefix}orders"
    kafka.create_topic(topic, partitions=3, retention_ms=-1)
    await produce(kafka.bootstrap_servers, topic, b"one", b"two")
    assert await consume(kafka.bootstrap_servers, topic, 2) == [b"one", b"two"]
    kafka.delete_topic(topic)
    assert topic not in kafka.topics()


async def test_kafka_creates_no_topic_by_itself(kafka: Broker, topic_prefix: str) -> None:
    topic = f"{topic_prefix}misspelt"
    with pytest.raises((UnknownTopicOrPartitionError, TimeoutError)):
        async with asyncio.timeout(SILENCE_SECONDS):
            await produce(kafka.bootstrap_servers, topic, b"lost")
    assert topic not in kafka.topics()


End = Callable[[Broker], None]


@pytest.mark.parametrize("end", [Broker.kill, Broker.stop])
async def test_what_kafka_accepted_outlives_its_end(kafka: Broker, topic_prefix: str, end: End) -> None:
    topic = f"{topic_prefix}orders"
    kafka.create_topic(topic)
    await produce(kafka.bootstrap_servers, topic, b"one")
    end(kafka)
    with pytest.raises(KafkaConnectionError):
        await produce(kafka.bootstrap_servers, topic, b"lost")
    kafka.start()
    await produce(kafka.bootstrap_servers, topic, b"two")
    assert await consume(kafka.bootstrap_servers, topic, 2) == [b"one", b"two"]


async def test_a_paused_kafka_keeps_who_writes_waiting(kafka: Broker, topic_prefix: str) -> None:
    topic = f"{topic_prefix}orders"
    kafka.create_topic(topic)
    async with writing(kafka.bootstrap_servers) as producer:
        await producer.send_and_wait(topic, b"one")
        kafka.pause()
        sent = await producer.send(topic, b"two")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(sent), SILENCE_SECONDS)
        kafka.unpause()
        await asyncio.wait_for(sent, ANSWER_SECONDS_MAX)


@asynccontextmanager
async def writing(servers: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, acks="all", enable_idempotence=True, request_timeout_ms=120_000
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


# Three brokers


async def test_three_brokers_survive_the_death_of_the_one_that_leads(kafka_cluster: Cluster, topic_prefix: str) -> None:
    topic = f"{topic_prefix}orders"
    kafka_cluster.create_topic(topic)
    await produce(kafka_cluster.bootstrap_servers, topic, b"one")
    dead = kafka_cluster.leader(topic)
    dead.kill()
    await produce(kafka_cluster.bootstrap_servers, topic, b"two")
    assert await consume(kafka_cluster.bootstrap_servers, topic, 2) == [b"one", b"two"]
    assert kafka_cluster.leader(topic).port != dead.port
    kafka_cluster.mend()
    assert [broker.status() for broker in kafka_cluster.brokers] == ["running"] * 3


async def test_one_broker_of_three_accepts_nothing(kafka_cluster: Cluster, topic_prefix: str) -> None:
    topic = f"{topic_prefix}orders"
    kafka_cluster.create_topic(topic)
    async with writing(kafka_cluster.bootstrap_servers) as producer:
        await producer.send_and_wait(topic, b"one")
        for broker in kafka_cluster.brokers[1:]:
            broker.kill()
        sent = await producer.send(topic, b"two")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(sent), SILENCE_SECONDS)
        kafka_cluster.mend()
        await asyncio.wait_for(sent, ANSWER_SECONDS_MAX)
    assert await consume(kafka_cluster.bootstrap_servers, topic, 2) == [b"one", b"two"]


# The broker that trusts nobody


def password(secured: SecuredKafka, user: str, secret: str) -> dict[str, Any]:
    return {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": user,
        "sasl_plain_password": secret,
        "ssl_context": ssl.create_default_context(cafile=secured.ca_file),
    }


def certificate(secured: SecuredKafka, user: str) -> dict[str, Any]:
    held = secured.client(user)
    context = ssl.create_default_context(cafile=secured.ca_file)
    context.load_cert_chain(held.certificate, held.key)
    return {"security_protocol": "SSL", "ssl_context": context}


async def test_a_wrong_password_is_refused(kafka_secured: SecuredKafka, topic_prefix: str) -> None:
    topic, servers = f"{topic_prefix}orders", kafka_secured.password_servers
    kafka_secured.broker.create_topic(topic)
    kafka_secured.allow("order", "Write", on=f"topic={topic}")
    with pytest.raises(KafkaConnectionError):
        await produce(servers, topic, b"forged", **password(kafka_secured, "order", "guessed"))
    await produce(servers, topic, b"one", **password(kafka_secured, "order", PASSWORDS["order"]))


async def test_a_user_who_is_added_is_let_in(kafka_secured: SecuredKafka, topic_prefix: str) -> None:
    topic = f"{topic_prefix}orders"
    kafka_secured.broker.create_topic(topic)
    kafka_secured.add_user("payment", "payment-secret")
    kafka_secured.allow("payment", "Write", on=f"topic={topic_prefix}*")
    how = password(kafka_secured, "payment", "payment-secret")
    await produce(kafka_secured.password_servers, topic, b"one", **how)


async def test_a_server_whom_another_authority_signed_is_not_trusted(
    kafka_secured: SecuredKafka, topic_prefix: str, tmp_path: Path
) -> None:
    own = ssl.create_default_context(cafile=kafka_secured.ca_file)
    other = ssl.create_default_context(cafile=Authority.create(tmp_path, "other").own.certificate)
    assert greet(kafka_secured, own) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        greet(kafka_secured, other)
    how = password(kafka_secured, "order", PASSWORDS["order"]) | {"ssl_context": other}
    with pytest.raises(KafkaConnectionError):
        await produce(kafka_secured.password_servers, f"{topic_prefix}orders", b"one", **how)


def greet(secured: SecuredKafka, context: ssl.SSLContext) -> str | None:
    """Return the version of TLS that the server and this client agree on."""
    address = ("127.0.0.1", secured.broker.port)
    with (
        socket.create_connection(address, timeout=ANSWER_SECONDS_MAX) as connection,
        context.wrap_socket(connection, server_hostname="127.0.0.1") as secure,
    ):
        return secure.version()


async def test_a_client_without_a_certificate_is_refused_where_one_is_asked_for(
    kafka_secured: SecuredKafka, topic_prefix: str
) -> None:
    topic, servers = f"{topic_prefix}orders", kafka_secured.certificate_servers
    kafka_secured.broker.create_topic(topic)
    kafka_secured.allow("shipping", "Write", "Read", on=f"topic={topic}")
    nameless = {"security_protocol": "SSL", "ssl_context": ssl.create_default_context(cafile=kafka_secured.ca_file)}
    with pytest.raises(KafkaConnectionError):
        await produce(servers, topic, b"forged", **nameless)
    await produce(servers, topic, b"one", **certificate(kafka_secured, "shipping"))
    assert await consume(servers, topic, 1, **certificate(kafka_secured, "shipping")) == [b"one"]


async def test_what_no_rule_allows_is_refused(kafka_secured: SecuredKafka, topic_prefix: str) -> None:
    topic = f"{topic_prefix}orders"
    kafka_secured.broker.create_topic(topic)
    kafka_secured.allow("order", "Write", on=f"topic={topic}")
    # Kafka gives a producer its number as long as it may write somewhere, whichever tests ran before.
    kafka_secured.allow("order", "Write", on=f"topic={topic_prefix}payments")
    servers, how = kafka_secured.password_servers, password(kafka_secured, "order", PASSWORDS["order"])
    await produce(servers, topic, b"one", **how)
    with pytest.raises(TopicAuthorizationFailedError):
        await consume(servers, topic, 1, **how)
    kafka_secured.allow("order", "Read", on=f"topic={topic}")
    assert await consume(servers, topic, 1, **how) == [b"one"]
    kafka_secured.forbid("order", "Write", on=f"topic={topic}")
    with pytest.raises(TopicAuthorizationFailedError):
        await produce(servers, topic, b"two", **how)


# Whatever runs in a container


@dataclass(frozen=True, slots=True)
class Quick(Server):
    """It has said that it is ready before the engine knows that it runs."""

    @override
    def wait_until_ready(self) -> None:
        self.wait_for_line("ready")


def test_a_server_is_heard_that_is_ready_at_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten tests failed by it: Jaeger said in the eighth millisecond that it is ready, and never again."""
    monkeypatch.setattr("tests.real.server.READY_SECONDS_MAX", SILENCE_SECONDS)
    made = engine.create(POSTGRES, "quick", "sh", "-c", "echo ready; exec sleep 600", environment={})
    quick = Quick(engine, made, "quick")
    for _ in range(STARTS):
        quick.start()
        quick.kill()
    quick.remove()


def test_what_a_server_said_before_it_ended_does_not_count(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.real.server.READY_SECONDS_MAX", SILENCE_SECONDS)
    says_it_once = "test -e /tmp/said || echo ready; touch /tmp/said; exec sleep 600"
    made = engine.create(POSTGRES, "quick", "sh", "-c", says_it_once, environment={})
    quick = Quick(engine, made, "quick")
    quick.start()
    quick.kill()
    with pytest.raises(NotReadyError, match="never said 'ready' and is running"):
        quick.start()
    quick.remove()


# What is left behind


LEAVER = """
import sys
from tests.real.engine import running_engine

with running_engine() as engine:
    container = engine.create("busybox:1.36", "leaver", "sleep", "600", environment={})
    from tests.real.engine import docker
    docker("start", container)
    docker("pause", container)
    print(container, engine.owner, flush=True)
    sys.stdin.read()
"""


def leftovers(owner: str) -> str:
    return docker("ps", "--all", "--quiet", "--filter", f"label={OWNER}={owner}")


def test_nothing_outlives_a_run_that_was_killed(engine: object) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LEAVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
    ) as run:
        assert run.stdout is not None
        container, owner = run.stdout.readline().split()
        assert container.startswith(leftovers(owner))
        run.kill()
        run.wait()
    end = time.monotonic() + ANSWER_SECONDS_MAX
    while leftovers(owner):
        assert time.monotonic() < end, "a container outlived its run"


def test_a_number_that_was_used_again_is_another_owner() -> None:
    me = Owner.me()
    assert not me.is_dead()
    assert Owner(me.host, me.pid, "1").is_dead()
    assert not Owner("elsewhere", me.pid, "1").is_dead()
    assert Owner.parse(str(me)) == me


def test_without_an_engine_one_line_says_what_to_do() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(
        [*command, "-k", "fresh_databases"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "DOCKER_HOST": "tcp://127.0.0.1:1"},
    )
    assert done.returncode == 1
    assert "1 error" in done.stdout
    assert "no container engine answers" in done.stdout
    assert "start dockerd, or leave these tests out with -m 'not real'" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
