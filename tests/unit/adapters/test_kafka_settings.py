"""What is wrong with the settings for Kafka is said before anything else goes wrong, and in one line."""

from pathlib import Path

import pytest
from tests.real.engine import free_port

from sagakit.adapters.kafka import KafkaLog, KafkaSettings, WrongSettingsError
from sagakit.ports import LogUnavailableError


async def refusal(settings: KafkaSettings) -> str:
    with pytest.raises((WrongSettingsError, LogUnavailableError)) as caught:
        await KafkaLog.open(settings, ["t"])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_password_is_shown_nowhere() -> None:
    settings = KafkaSettings(security_protocol="SASL_SSL", sasl_username="order", sasl_password="open sesame")
    assert "sesame" not in repr(settings) + str(settings)


async def test_a_certificate_that_is_missing_is_named() -> None:
    settings = KafkaSettings(security_protocol="SSL", ca_file="missing.pem")
    assert await refusal(settings) == "SAGAPLANE_KAFKA_CA_FILE=missing.pem: no such file or directory"


async def test_a_certificate_without_its_key_is_half_a_setting(tmp_path: Path) -> None:
    settings = KafkaSettings(security_protocol="SSL", cert_file=str(tmp_path / "own.pem"))
    assert "SAGAPLANE_KAFKA_CERT_FILE and SAGAPLANE_KAFKA_KEY_FILE belong together" in await refusal(settings)


async def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    file = tmp_path / "authority.pem"
    file.write_text("not a certificate")
    settings = KafkaSettings(security_protocol="SSL", ca_file=str(file))
    assert await refusal(settings) == f"SAGAPLANE_KAFKA_CA_FILE={file} holds no certificate in PEM form"


async def test_files_that_are_no_certificate_and_its_key_are_named(tmp_path: Path) -> None:
    own, key = tmp_path / "own.pem", tmp_path / "key.pem"
    own.write_text("not a certificate")
    key.write_text("not a key")
    settings = KafkaSettings(security_protocol="SSL", cert_file=str(own), key_file=str(key))
    assert f"SAGAPLANE_KAFKA_CERT_FILE={own} and SAGAPLANE_KAFKA_KEY_FILE={key}" in await refusal(settings)


async def test_a_certificate_is_for_nothing_where_nothing_is_encrypted() -> None:
    assert "SAGAPLANE_KAFKA_SECURITY_PROTOCOL=PLAINTEXT encrypts nothing" in await refusal(
        KafkaSettings(ca_file="ca.pem")
    )


async def test_a_password_that_is_missing_is_asked_for() -> None:
    settings = KafkaSettings(security_protocol="SASL_PLAINTEXT", sasl_username="order")
    assert "needs SAGAPLANE_KAFKA_SASL_USERNAME and SAGAPLANE_KAFKA_SASL_PASSWORD" in await refusal(settings)


async def test_where_nobody_listens_the_address_is_in_question() -> None:
    address = f"127.0.0.1:{free_port()}"
    assert await refusal(KafkaSettings(bootstrap_servers=address)) == (
        f"{address}: nobody listens there; look at SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS, and whether the broker runs"
    )


async def test_a_name_that_means_no_machine_is_in_question() -> None:
    told = await refusal(KafkaSettings(bootstrap_servers="kafka.invalid:9092"))
    assert told.startswith("kafka.invalid:9092: ")
    assert told.endswith("look at SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS")
