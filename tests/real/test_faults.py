"""Processes of the shop are killed, ended and multiplied under load, and records come twice; the books balance."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.real.duplicates import copy_everything
from tests.real.kafka import Broker
from tests.real.shop import Instance, Shop, say, shop, until

from onebox.layout import SERVICES

pytestmark = pytest.mark.real

KILLED_SECONDS_MAX = 90.0
DRAIN_SECONDS_MAX = 15.0
GUESTS = 5
ORDERS_COPIED = 100
CONSUMED = "saga_messages_consumed_total"


@pytest.fixture
def its(kafka: Broker, shop_database_url: str, topic_prefix: str, tmp_path: Path) -> Iterator[Shop]:
    with shop(kafka.bootstrap_servers, shop_database_url, topic_prefix, tmp_path, seed=1) as opened:
        yield opened


def test_a_service_that_is_killed_and_started_again_serves_the_next_order_soon(its: Shop) -> None:
    its.open()
    with its.under_load() as load:
        for service in its.random.sample(SERVICES, len(SERVICES)):
            instance = its.first(service)
            killed_at = time.monotonic()
            instance.kill()
            instance.start()
            seconds = its.served_seconds(service, killed_at, KILLED_SECONDS_MAX)
            say(f"{service}: {seconds:.1f} s from the kill to the first order that needed it")
            instance.wait_until_ready()
        say(f"{load.retries} requests were tried again")
    its.demand_clean()


def test_a_service_that_is_asked_to_end_under_load_drains_and_loses_nothing(its: Shop) -> None:
    its.open()
    with its.under_load() as load:
        for service in its.random.sample(SERVICES, len(SERVICES)):
            instance = its.first(service)
            asked_at = time.monotonic()
            code = instance.terminate(DRAIN_SECONDS_MAX)
            say(f"{service}: ended with {code} after {time.monotonic() - asked_at:.1f} s")
            assert code == 0, instance.tail()
            instance.start()
            instance.wait_until_ready()
            its.served_seconds(service, time.monotonic())
        say(f"{load.retries} requests were tried again")
    its.demand_clean()


def test_instances_that_join_and_leave_share_the_work_with_those_that_stay(its: Shop) -> None:
    its.open(each=2)
    with its.under_load():
        for service in its.random.sample(SERVICES, GUESTS):
            guest = its.add(service)
            guest.wait_until_ready()
            began = time.monotonic()
            until(lambda guest=guest: guest.metric(CONSUMED) > 0, 20, f"{guest.name} has work")  # type: ignore[misc]
            say(f"{guest.name}: has work {time.monotonic() - began:.1f} s after it was ready")
            _part(guest, its)
            its.served_seconds(service, time.monotonic())
        for service in SERVICES:
            both = its.instances[service][:2]
            until(lambda both=both: all(each.metric(CONSUMED) > 0 for each in both), 30, f"both of {service} have work")  # type: ignore[misc]
    its.demand_clean()


def test_records_that_come_twice_change_nothing(its: Shop) -> None:
    its.open()
    with its.under_load() as load:
        until(lambda: len(load.placed) >= ORDERS_COPIED, 60, f"{ORDERS_COPIED} orders are placed")
        copied = copy_everything(its.environment, its.random)
        say(f"{copied} records copied")
        assert copied > ORDERS_COPIED
        its.served_seconds("shipping", time.monotonic())
    copied = copy_everything(its.environment, its.random)
    say(f"{copied} records copied, of which some were copies")
    its.demand_clean()


def _part(guest: Instance, its: Shop) -> None:
    """Let it leave in good order, or die: by chance."""
    if its.random.random() < 0.5:
        assert guest.terminate(DRAIN_SECONDS_MAX) == 0, guest.tail()
    else:
        guest.send(signal.SIGKILL)
        guest.wait(5)
