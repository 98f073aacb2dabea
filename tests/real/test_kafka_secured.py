"""Brokers that trust nobody: whoever may, gets in; whoever does not, reads one line that says what to do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.real.certificates import Authority
from tests.real.secured_kafka import PASSWORDS, SecuredKafka

from sagakit.adapters.kafka import KafkaLog, KafkaSettings, WrongSettingsError, WrongTopicsError
from sagakit.ports import LogUnavailableError
from sagakit.testing.contracts.things import draft
from sagakit.testing.contracts.world import everything

pytestmark = pytest.mark.real


@pytest.fixture
def topic(kafka_secured: SecuredKafka, topic_prefix: str) -> str:
    kafka_secured.broker.create_topic(f"{topic_prefix}t", 2)
    return "t"


def with_password(secured: SecuredKafka, prefix: str, **changes: str) -> KafkaSettings:
    values = {
        "bootstrap_servers": secured.password_servers,
        "security_protocol": "SASL_SSL",
        "sasl_username": "order",
        "sasl_password": PASSWORDS["order"],
        "ca_file": str(secured.ca_file),
        "topic_prefix": prefix,
    }
    return settings_of({**values, **changes})


def settings_of(values: dict[str, str]) -> KafkaSettings:
    return KafkaSettings(**values)  # type: ignore[arg-type]


async def refusal(settings: KafkaSettings, topic: str = "t") -> str:
    with pytest.raises((LogUnavailableError, WrongSettingsError, WrongTopicsError)) as caught:
        await KafkaLog.open(settings, [topic])
    assert "\n" not in str(caught.value)
    return str(caught.value)


@asynccontextmanager
async def opened(settings: KafkaSettings, topic: str) -> AsyncIterator[KafkaLog]:
    log = await KafkaLog.open(settings, [topic])
    try:
        yield log
    finally:
        await log.close()


async def test_a_user_with_password_and_rights_publishes_reads_and_joins(
    kafka_secured: SecuredKafka, topic_prefix: str, topic: str
) -> None:
    kafka_secured.allow("order", "Read", "Write", "Describe", on=f"topic={topic_prefix}*")
    kafka_secured.allow("order", "Read", on=f"group={topic_prefix}*")
    async with opened(with_password(kafka_secured, topic_prefix), topic) as log:
        await log.publish([draft("t", "k")])
        assert len(await everything(log, "t")) == 1
        member = await log.join("g", "a", ["t"])
        assert await member.assignment() <= {0, 1}
        await member.leave()


async def test_a_user_with_a_certificate_and_rights_publishes_and_reads(
    kafka_secured: SecuredKafka, topic_prefix: str, topic: str
) -> None:
    own = kafka_secured.client("payment")
    kafka_secured.allow("payment", "Read", "Write", "Describe", on=f"topic={topic_prefix}*")
    settings = KafkaSettings(
        bootstrap_servers=kafka_secured.certificate_servers,
        security_protocol="SSL",
        ca_file=str(kafka_secured.ca_file),
        cert_file=str(own.certificate),
        key_file=str(own.key),
        topic_prefix=topic_prefix,
    )
    async with opened(settings, topic) as log:
        await log.publish([draft("t", "k")])
        assert len(await everything(log, "t")) == 1


async def test_a_wrong_password_is_named(kafka_secured: SecuredKafka, topic_prefix: str, topic: str) -> None:
    told = await refusal(with_password(kafka_secured, topic_prefix, sasl_password="wrong"), topic)
    assert told == (
        f"{kafka_secured.password_servers}: it refuses user 'order';"
        " look at SAGAPLANE_KAFKA_SASL_USERNAME and SAGAPLANE_KAFKA_SASL_PASSWORD"
    )


async def test_an_authority_that_is_not_ours_is_named(
    kafka_secured: SecuredKafka, topic_prefix: str, topic: str, tmp_path: Path
) -> None:
    other = Authority.create(tmp_path, "another")
    told = await refusal(with_password(kafka_secured, topic_prefix, ca_file=str(other.own.certificate)), topic)
    assert told.startswith(f"{kafka_secured.password_servers}: its certificate is not trusted (")
    assert told.endswith("; look at SAGAPLANE_KAFKA_CA_FILE")


async def test_a_certificate_that_is_asked_for_is_named(
    kafka_secured: SecuredKafka, topic_prefix: str, topic: str
) -> None:
    settings = KafkaSettings(
        bootstrap_servers=kafka_secured.certificate_servers,
        security_protocol="SSL",
        ca_file=str(kafka_secured.ca_file),
        topic_prefix=topic_prefix,
    )
    assert "SAGAPLANE_KAFKA_CERT_FILE and SAGAPLANE_KAFKA_KEY_FILE" in await refusal(settings, topic)


async def test_a_mechanism_that_brokers_do_not_know_is_named(
    kafka_secured: SecuredKafka, topic_prefix: str, topic: str
) -> None:
    told = await refusal(with_password(kafka_secured, topic_prefix, sasl_mechanism="PLAIN"), topic)
    assert told.endswith(": it does not know SAGAPLANE_KAFKA_SASL_MECHANISM=PLAIN")


async def test_speaking_in_the_clear_to_whoever_speaks_tls_is_named(
    kafka_secured: SecuredKafka, topic_prefix: str, topic: str
) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka_secured.password_servers, topic_prefix=topic_prefix)
    assert "SAGAPLANE_KAFKA_SECURITY_PROTOCOL" in await refusal(settings, topic)


async def test_a_user_who_may_not_see_a_topic_is_told_which_right_is_missing(
    kafka_secured: SecuredKafka, topic_prefix: str, topic: str
) -> None:
    told = await refusal(with_password(kafka_secured, topic_prefix), topic)
    assert f"{topic_prefix}t" in told
    assert "Describe" in told


async def test_a_user_who_may_only_read_is_told_when_publishing(
    kafka_secured: SecuredKafka, topic_prefix: str, topic: str
) -> None:
    kafka_secured.allow("order", "Read", "Describe", on=f"topic={topic_prefix}*")
    async with opened(with_password(kafka_secured, topic_prefix), topic) as log:
        with pytest.raises(LogUnavailableError) as caught:
            await log.publish([draft("t", "k")])
        assert str(caught.value).startswith("user order is not allowed to; give it Read, Write and Describe on ")


async def test_a_user_who_may_not_join_a_group_is_told(
    kafka_secured: SecuredKafka, topic_prefix: str, topic: str
) -> None:
    kafka_secured.allow("order", "Read", "Write", "Describe", on=f"topic={topic_prefix}*")
    async with opened(with_password(kafka_secured, topic_prefix), topic) as log:
        with pytest.raises(LogUnavailableError, match=f"group {topic_prefix}g: .*give our user Read on the group"):
            await log.join("g", "a", ["t"])
