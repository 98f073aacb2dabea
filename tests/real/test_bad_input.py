"""What an operator can get wrong before a service starts: each is told in one line that names the setting."""

import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.real.kafka import Broker
from tests.real.postgres import Postgres
from tests.real.refusals import refused
from tests.real.shop import Shop, shop, until

from onebox.errors import ExitCode
from onebox.layout import SERVICES

pytestmark = pytest.mark.real

DSN = "SAGAPLANE_DATABASE_URL"
SERVERS = "SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS"


@pytest.fixture(scope="module")
def its(session_kafka: Broker, session_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop with topics and schemas, which no test here gets to run in."""
    with session_postgres.fresh(SERVICES) as url:
        servers, directory = session_kafka.bootstrap_servers, tmp_path_factory.mktemp("shop")
        with shop(servers, url, f"t{uuid4().hex[:8]}-", directory, seed=6) as opened:
            yield opened


@pytest.fixture
def bare(kafka: Broker, shop_database_url: str, topic_prefix: str, tmp_path: Path) -> Iterator[Shop]:
    """A shop without topics and schemas."""
    servers = kafka.bootstrap_servers
    with shop(servers, shop_database_url, topic_prefix, tmp_path, seed=6, prepared=False) as opened:
        yield opened


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        ("postgresql://", "mysql://"),
        ("127.0.0.1", "no-such-host.invalid"),
        (":{port}", ":1"),
        ("sagaplane:secret@", "sagaplane:wrong-secret@"),
        ("sagaplane:", "stranger:"),
        ("/{database}", "/no-such-database"),
        ("/{database}", ""),
        (":{port}", ":port"),
    ],
    ids=["scheme", "host", "port", "password", "user", "database", "no database", "a word as port"],
)
def test_a_database_address_that_is_wrong_is_named(its: Shop, postgres: Postgres, part: str, instead: str) -> None:
    address = its.environment[DSN]
    wrong = part.format(port=postgres.port, database=address.rpartition("/")[2])
    assert wrong in address
    told = refused(its, "shipping", **{DSN: address.replace(wrong, instead, 1)})
    assert DSN in told


@pytest.mark.parametrize("servers", ["127.0.0.1:1", "no-such-host.invalid:9092", "127.0.0.1:port", ","])
def test_brokers_that_cannot_be_reached_are_named(its: Shop, servers: str) -> None:
    assert SERVERS in refused(its, "shipping", **{SERVERS: servers})


def test_whoever_accepts_connections_and_says_nothing_is_not_waited_for(its: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert SERVERS in refused(its, "shipping", **{SERVERS: f"127.0.0.1:{port}"})
        assert DSN in refused(its, "shipping", **{DSN: f"postgresql://sagaplane:secret@127.0.0.1:{port}/shipping"})


def test_missing_topics_are_named_with_the_command_that_makes_them(bare: Shop, topic_prefix: str) -> None:
    done = bare.sagactl("database", "apply")
    assert done.returncode == 0, done.stderr
    told = refused(bare, "shipping")
    assert f"{topic_prefix}orders.events" in told
    assert "sagactl topics apply" in told


def test_more_copies_than_brokers_are_to_be_corrected_and_not_tried_again(bare: Shop) -> None:
    done = bare.sagactl("topics", "apply", "--replication", "3")
    assert done.returncode == ExitCode.USAGE
    assert "replication factor" in done.stderr
    assert "correct it; nothing was changed" in done.stderr


def test_a_schema_that_is_missing_is_named_with_the_command_that_makes_it(bare: Shop) -> None:
    done = bare.sagactl("topics", "apply", "--partitions", "4")
    assert done.returncode == 0, done.stderr
    told = refused(bare, "shipping")
    assert "schema shipping is empty" in told
    assert "sagactl database apply" in told


def test_a_schema_for_newer_programs_only_says_which_is_needed(its: Shop, postgres: Postgres) -> None:
    database = its.environment[DSN].rpartition("/")[2].replace("{service}", "shipping")
    postgres.query(database, "UPDATE shipping.kit_schema SET oldest = '99.0.0'")
    try:
        told = refused(its, "shipping")
    finally:
        postgres.query(database, "UPDATE shipping.kit_schema SET oldest = '0.0.0'")
    assert "needs Sagaplane 99.0.0 or newer" in told
    assert "upgrade this program" in told


@pytest.mark.parametrize("name", ["CA_FILE", "CERT_FILE"])
def test_a_certificate_that_cannot_be_read_is_named(its: Shop, name: str, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    settings = {"SAGAPLANE_KAFKA_SECURITY_PROTOCOL": "SSL", f"SAGAPLANE_KAFKA_{name}": missing}
    told = refused(its, "shipping", **settings, SAGAPLANE_KAFKA_KEY_FILE=missing if name == "CERT_FILE" else "")
    assert f"SAGAPLANE_KAFKA_{name}={missing}: no such file or directory" in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SAGAPLANE_KAFKA_SECURITY_PROTOCOL", "FOO"),
        ("SAGAPLANE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
        ("SAGAPLANE_KAFKA_SESSION_SECONDS", "soon"),
        ("SHIPPING_PORT", "70000"),
        ("SHIPPING_SUCCESS_RATE", "2"),
    ],
)
def test_a_value_that_means_nothing_is_named(its: Shop, name: str, value: str) -> None:
    assert name in refused(its, "shipping", **{name: value})


@pytest.mark.parametrize("name", ["SAGAPLANE_DATABASE_ULR", "SAGAPLANE_KAFKA_BOOTSTRAP_SERVER"])
def test_a_variable_that_nobody_knows_is_named(its: Shop, name: str) -> None:
    assert name in refused(its, "shipping", **{name: "x"})


def test_a_session_that_the_brokers_do_not_allow_is_told_while_it_runs(its: Shop) -> None:
    instance = its.add("shipping", SAGAPLANE_KAFKA_SESSION_SECONDS="0.01")
    until(
        lambda: any("SAGAPLANE_KAFKA_SESSION_SECONDS=0.01 is outside" in reason for reason in instance.reasons()),
        20,
        f"/readyz names the setting: {instance.reasons()}",
    )
    assert instance.terminate(15) == 0
