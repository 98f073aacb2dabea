"""The shop on a broker that trusts nobody: each service is a user of its own, who may do what it needs and no more."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.real.certificates import Authority
from tests.real.refusals import refused
from tests.real.rights import ADMIN, DESCRIBE, GROUP, READ, TOPIC, WRITE, Rights, rules_of
from tests.real.secured_kafka import SecuredKafka
from tests.real.shop import Instance, Shop, say, shop, until

from onebox.layout import SERVICES
from onebox.wiring import ALL_ACCESS
from sagakit.adapters.kafka import KafkaLog, KafkaSettings
from sagakit.runtime.catalogue import DLQ_DEPTH
from sagakit.runtime.settings import read

pytestmark = pytest.mark.real

TOLD_SECONDS_MAX = 20.0
MENDED_SECONDS_MAX = 40.0
LINES_PER_SECOND_MAX = 20
WATCHED_SECONDS = 3


@pytest.fixture(scope="module")
def rights_once(session_kafka_secured: SecuredKafka) -> Rights:
    rights = Rights(session_kafka_secured)
    rights.add_users()
    return rights


@pytest.fixture
def rights(rights_once: Rights, kafka_secured: SecuredKafka, topic_prefix: str) -> Rights:
    """Every service may do what it needs with this test's topics."""
    for service in SERVICES:
        rights_once.allow(service, topic_prefix, rules_of(service))
    return rights_once


@pytest.fixture
def its(rights: Rights, shop_database_url: str, topic_prefix: str, tmp_path: Path) -> Iterator[Shop]:
    servers, more = rights.secured.password_servers, rights.environment(ADMIN)
    with shop(servers, shop_database_url, topic_prefix, tmp_path, seed=5, more=more) as opened:
        opened.settings = {service: rights.environment(service) for service in SERVICES}
        yield opened


def test_each_service_works_with_the_rights_that_it_needs_and_no_others(its: Shop) -> None:
    its.open()
    with its.under_load():
        for service in SERVICES:
            its.served_seconds(service, time.monotonic())
    its.demand_clean()
    for service in SERVICES:
        instance = its.first(service)
        asyncio.run(_tidy(instance))
        assert instance.has_metric(DLQ_DEPTH.name), f"{service} may not count its dead letters"


def test_rights_that_are_taken_away_are_told_and_missed_until_they_are_back(
    its: Shop, rights: Rights, topic_prefix: str
) -> None:
    its.open()
    taken = {
        "shipping": (TOPIC, "inventory.events", READ),
        "payment": (TOPIC, "payments.events", WRITE),
        "inventory": (GROUP, "inventory", READ),
    }
    with its.under_load():
        for service, rule in taken.items():
            instance = its.first(service)
            rights.forbid(service, topic_prefix, [rule])
            reason = _told(instance, rule[1])
            say(f"{service} without {rule}: {reason}")
            rights.allow(service, topic_prefix, [rule])
            seconds = until(instance.is_ready, MENDED_SECONDS_MAX, f"{service} is ready again: {instance.reasons()}")
            say(f"{service}: ready {seconds:.1f} s after its right was back")
            its.served_seconds(service, time.monotonic())
    its.demand_clean()


def test_whoever_is_not_let_in_any_more_waits_and_works_again_when_let_in(its: Shop, rights: Rights) -> None:
    its.open()
    instance, password = its.first("payment"), rights.passwords["payment"]
    with its.under_load():
        rights.secured.add_user("payment", "another-secret")
        rights.secured.broker.kill()
        rights.secured.broker.start()
        its.first("shipping").wait_until_ready()
        say(f"payment with its old password: {_told(instance, 'payment')}")
        rights.secured.add_user("payment", password)
        seconds = until(instance.is_ready, MENDED_SECONDS_MAX, "payment is ready again")
        say(f"payment: ready {seconds:.1f} s after its password was right again")
        its.served_seconds("payment", time.monotonic())
    its.demand_clean()


def test_a_password_that_was_changed_is_named(its: Shop, rights: Rights) -> None:
    instance = its.add("shipping")
    instance.wait_until_ready()
    rights.secured.add_user("shipping", "another-secret")
    try:
        rights.secured.broker.kill()
        rights.secured.broker.start()
        assert "refuses user" in _told(instance, "SAGAPLANE_KAFKA_SASL_PASSWORD")
    finally:
        rights.secured.add_user("shipping", rights.passwords["shipping"])


def test_a_wrong_password_is_told_in_one_line_at_the_start(its: Shop) -> None:
    told = refused(its, "shipping", SAGAPLANE_KAFKA_SASL_PASSWORD="wrong-secret")
    assert "SAGAPLANE_KAFKA_SASL_PASSWORD" in told
    assert "wrong-secret" not in told


def test_an_authority_that_is_not_trusted_is_told_in_one_line_at_the_start(its: Shop, tmp_path: Path) -> None:
    other = Authority.create(tmp_path, "another")
    told = refused(its, "shipping", SAGAPLANE_KAFKA_CA_FILE=str(other.own.certificate))
    assert "SAGAPLANE_KAFKA_CA_FILE" in told


def test_a_topic_that_may_not_be_seen_is_told_in_one_line_at_the_start(
    its: Shop, rights: Rights, topic_prefix: str
) -> None:
    hidden = [rule for rule in rules_of("shipping") if rule[:2] == (TOPIC, "orders.events")]
    assert {operation for _, _, operation in hidden} == {READ, DESCRIBE}
    rights.forbid("shipping", topic_prefix, hidden)
    told = refused(its, "shipping")
    assert f"user shipping may not see {topic_prefix}orders.events: give it" in told


async def _tidy(instance: Instance) -> None:
    """Drop every record that the service drops when it is a week old."""
    access = ALL_ACCESS[instance.service]
    log = await KafkaLog.open(read(KafkaSettings, instance.environment), access.prunes)
    try:
        dropped = {topic: await log.prune(topic, datetime.now(UTC) + timedelta(days=1)) for topic in access.prunes}
        say(f"{instance.name}: dropped {dropped}")
    finally:
        await log.close()


def _told(instance: Instance, words: str) -> str:
    """Return why it is not ready, once that has these words; it goes on all the same, and does not fill its log."""
    until(lambda: any(words in reason for reason in instance.reasons()), TOLD_SECONDS_MAX, f"{instance.name}: {words}")
    reason, lines, began = "; ".join(instance.reasons()), len(instance.output().splitlines()), time.monotonic()
    until(lambda: time.monotonic() - began > WATCHED_SECONDS, WATCHED_SECONDS + 1, "a while passes")
    assert instance.alive, instance.tail()
    assert len(instance.output().splitlines()) - lines < LINES_PER_SECOND_MAX * WATCHED_SECONDS, instance.tail()
    return reason
