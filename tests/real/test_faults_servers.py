"""Brokers and databases are killed and started again under load; afterwards the books balance."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.real.kafka import Broker, Cluster
from tests.real.postgres import Postgres
from tests.real.server import Server
from tests.real.shop import Shop, say, shop

from onebox.layout import SERVICES

pytestmark = pytest.mark.real

SERVED_SECONDS_MAX = 45.0


@pytest.fixture
def its(kafka: Broker, shop_database_url: str, topic_prefix: str, tmp_path: Path) -> Iterator[Shop]:
    with shop(kafka.bootstrap_servers, shop_database_url, topic_prefix, tmp_path, seed=3) as opened:
        yield opened


def test_a_broker_that_is_killed_and_started_again_loses_nothing(its: Shop, kafka: Broker) -> None:
    its.open()
    with its.under_load():
        its.served_seconds("order", time.monotonic())
        _disturb(its, "the broker is killed and back", lambda: _again(kafka, kafka.kill))
    its.demand_clean()


def test_one_of_three_brokers_may_die_and_come_back(
    kafka_cluster: Cluster, shop_database_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    servers = kafka_cluster.bootstrap_servers
    with shop(servers, shop_database_url, topic_prefix, tmp_path, seed=4, replication=3) as its:
        its.open()
        broker = its.random.choice(kafka_cluster.brokers)
        with its.under_load():
            its.served_seconds("order", time.monotonic())
            _disturb(its, f"{broker.name} is killed", broker.kill)
            broker.start_only()
            _disturb(its, f"{broker.name} is back", kafka_cluster.wait_until_whole)
        its.demand_clean()


def test_a_database_that_is_restarted_loses_nothing(its: Shop, postgres: Postgres) -> None:
    its.open()
    with its.under_load() as load:
        its.served_seconds("order", time.monotonic())
        _disturb(its, "the database is restarted", lambda: _again(postgres, postgres.stop))
        _disturb(its, "the database is killed and back", lambda: _again(postgres, postgres.kill))
        say(f"{load.retries} requests were tried again")
    its.demand_clean()


def _again(server: Server, end: Callable[[], None]) -> None:
    end()
    server.start()


def _disturb(its: Shop, what: str, do: Callable[[], None]) -> None:
    """Do it, and wait until each service has served an order that was placed afterwards."""
    do()
    done_at = time.monotonic()
    served = {service: its.served_seconds(service, done_at, SERVED_SECONDS_MAX) for service in SERVICES}
    say(f"{what}: served {', '.join(f'{service} {seconds:.1f} s' for service, seconds in served.items())} later")
    its.wait_until_ready()
