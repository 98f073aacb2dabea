"""The database of a participant comes back as it was earlier, with the log ahead: nothing is taken back for that.

It hears again what it had acted on, and without a look at its own words it would refuse what is past its deadline.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.real.kafka import Broker
from tests.real.postgres import Postgres
from tests.real.shop import Shop, shop, until

from onebox.wiring import ALL_ACCESS

pytestmark = pytest.mark.real

SERVICE = "shipping"
TOLD_SECONDS_MAX = 30.0


@pytest.fixture
def its(kafka: Broker, shop_database_url: str, topic_prefix: str, tmp_path: Path) -> Iterator[Shop]:
    with shop(kafka.bootstrap_servers, shop_database_url, topic_prefix, tmp_path, seed=6) as opened:
        yield opened


def test_a_participant_waits_for_a_person_and_goes_on_behind_what_it_forgot(
    its: Shop, postgres: Postgres, shop_database_url: str
) -> None:
    database = shop_database_url.rpartition("/")[2].format(service=SERVICE)
    its.open()
    instance = its.first(SERVICE)
    _place(its)
    instance.terminate(30)
    postgres.query("postgres", f'CREATE DATABASE "{database}_then" TEMPLATE "{database}"')
    instance.start()
    instance.wait_until_ready()
    _place(its)
    confirmed = {order["id"] for order in its.orders() if order["status"] == "confirmed"}

    instance.kill()
    postgres.query("postgres", f'DROP DATABASE "{database}" WITH (FORCE)')
    postgres.query("postgres", f'ALTER DATABASE "{database}_then" RENAME TO "{database}"')
    instance.start()
    until(lambda: any("earlier moment" in why for why in instance.reasons()), TOLD_SECONDS_MAX, "it says so")
    asked = its.sagactl("offsets", "check", SERVICE)
    assert asked.returncode == 1
    assert "its database does not know what it said itself" in asked.stdout

    instance.terminate(30)
    for topic in sorted({*ALL_ACCESS[SERVICE].reads} - {f"{SERVICE}.dlq", "sagas.definitions"}):
        repair = ("offsets", "repair", SERVICE, "--to", "latest", "--topic", topic, "--reason-why", "restored", "--yes")
        done = its.sagactl(*repair)
        assert done.returncode in (0, 4), done.stderr
    instance.start()
    instance.wait_until_ready()
    assert its.sagactl("offsets", "check", SERVICE).returncode == 0
    _place(its)
    now = {order["id"] for order in its.orders() if order["status"] == "confirmed"}
    assert confirmed < now, "no confirmed order was taken back, and others were confirmed"


def _place(its: Shop) -> None:
    """Have customers order for a moment, and let every saga end."""
    with its.under_load():
        its.served_seconds(SERVICE, time.monotonic())
    its.settle()
