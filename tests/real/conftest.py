"""Real servers for tests: each is started when it is first asked for, and a test gets it whole."""

from collections.abc import Generator, Iterator
from uuid import uuid4

import pytest
from tests.real.engine import Engine
from tests.real.kafka import Broker, Cluster, one_broker, three_brokers
from tests.real.postgres import Postgres
from tests.real.secured_kafka import SecuredKafka, secured_broker
from tests.real.server import Server

from onebox.layout import PORTS


@pytest.fixture(scope="session")
def session_postgres(engine: Engine) -> Iterator[Postgres]:
    server = Postgres.create(engine)
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def session_kafka(engine: Engine) -> Iterator[Broker]:
    with one_broker(engine) as broker:
        yield broker


@pytest.fixture(scope="session")
def session_kafka_cluster(engine: Engine) -> Iterator[Cluster]:
    with three_brokers(engine) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def session_kafka_secured(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_broker(engine, tmp_path_factory.mktemp("certificates")) as secured:
        yield secured


@pytest.fixture
def postgres(session_postgres: Postgres) -> Postgres:
    """PostgreSQL, running, whatever the test before did to it."""
    session_postgres.mend()
    return session_postgres


@pytest.fixture
def database_url(postgres: Postgres) -> Iterator[str]:
    """The address of a database that is this test's own, and empty."""
    with postgres.fresh() as url:
        yield url


@pytest.fixture
def shop_database_url(postgres: Postgres) -> Iterator[str]:
    """An address with `{service}` in it: each service has a database that is this test's own, and empty."""
    with postgres.fresh(list(PORTS)) as url:
        yield url


@pytest.fixture
def kafka(session_kafka: Broker) -> Broker:
    """One broker, running."""
    session_kafka.mend()
    return session_kafka


@pytest.fixture
def kafka_cluster(session_kafka_cluster: Cluster) -> Cluster:
    """Three brokers, all of them running."""
    session_kafka_cluster.mend()
    return session_kafka_cluster


@pytest.fixture
def kafka_secured(session_kafka_secured: SecuredKafka) -> SecuredKafka:
    """The broker that trusts nobody, running."""
    session_kafka_secured.broker.mend()
    return session_kafka_secured


@pytest.fixture
def topic_prefix() -> str:
    """What the names of this test's own topics and groups begin with."""
    return f"t{uuid4().hex[:8]}-"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the last lines of the servers that a failed test asked for."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for server in {server.id: server for server in _servers(item)}.values():
            report.sections.append((f"the last lines of {server.name}", server.logs()))
    return report


def _servers(item: pytest.Function) -> Iterator[Server]:
    """Return the servers behind a test's fixtures, some of them more than once."""
    for asked in item.funcargs.values():
        match asked:
            case Server():
                yield asked
            case Cluster():
                yield from asked.brokers
            case SecuredKafka():
                yield asked.broker
            case _:
                pass
