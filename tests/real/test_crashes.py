"""Real processes over Kafka and PostgreSQL, ended with SIGKILL at every named place; afterwards the books balance."""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from tests.crash.place import Place
from tests.crash.processes import born, settle
from tests.real.kafka import Broker
from tests.real.postgres import Postgres

from sagakit.adapters.kafka import KafkaSettings
from sagakit.runtime.failpoints import BROKER_NAMES, LEASE_NAMES, NAMES

pytestmark = pytest.mark.real

PASSES = (1, 2)
KILLS_AT_RANDOM = 6
SESSION_SECONDS = 1.0


@pytest.fixture(scope="module")
def schemas(session_postgres: Postgres) -> Iterator[str]:
    """Name a database with the schemas of a new shop, to be copied: that is quicker than to make them."""
    with session_postgres.fresh() as url:
        asyncio.run(Place(Path(), database_url=url).prepare())
        yield url.rpartition("/")[2]


@pytest.fixture
def place(kafka: Broker, postgres: Postgres, schemas: str, topic_prefix: str, tmp_path: Path) -> Iterator[Place]:
    """Topics and a database that are this test's own."""
    settings = KafkaSettings(
        bootstrap_servers=kafka.bootstrap_servers, topic_prefix=topic_prefix, session_seconds=SESSION_SECONDS
    )
    with copied(postgres, schemas, topic_prefix.strip("-")) as url:
        asyncio.run(Place(tmp_path, settings).prepare())
        yield Place(tmp_path, settings, url, time.time())


@contextmanager
def copied(postgres: Postgres, template: str, name: str) -> Iterator[str]:
    postgres.query("postgres", f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield postgres.url(name)
    finally:
        postgres.query("postgres", f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.mark.parametrize("failpoint", [*NAMES, *LEASE_NAMES, *BROKER_NAMES])
def test_whoever_is_killed_at_a_named_place_leaves_books_that_balance_after_the_restart(
    failpoint: str, place: Place
) -> None:
    for number, count in enumerate(PASSES):
        process = born(place, number, f"{failpoint}:{count}")
        process.join()
        assert process.exitcode == -signal.SIGKILL, f"{failpoint}:{count} ended with {process.exitcode}"
    settle(place, len(PASSES))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whoever_is_killed_at_any_moment_leaves_books_that_balance_after_the_restart(seed: int, place: Place) -> None:
    random = Random(seed)
    for number in range(KILLS_AT_RANDOM):
        process = born(place, number)
        process.join(0.3 + random.random() * 2.0)
        process.kill()
        process.join()
    settle(place, KILLS_AT_RANDOM)
