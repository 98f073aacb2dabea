"""What cannot be right about servers is told as a setting, before anybody is asked."""

import socket
from pathlib import Path

import pytest

from sagakit.hosting import opened
from sagakit.hosting.settings import DATABASE, KAFKA, PlatformSettings
from sagakit.ports import StoreUnavailableError
from sagakit.runtime.settings import SettingsError, read
from sagakit.testing.contracts import TABLES


@pytest.mark.parametrize("servers", ["broker:port", "broker:0", ",", "broker:9092,", ":9092", "a:1,b:70000"])
def test_an_address_of_brokers_that_means_nothing_is_told(servers: str) -> None:
    with pytest.raises(SettingsError, match=f"^{KAFKA}={servers}: expected host:port"):
        read(PlatformSettings, {KAFKA: servers}).checked()


@pytest.mark.parametrize("servers", ["broker:9092", "broker", "a:9092, b:9092", "[::1]:9092"])
def test_one_broker_or_several_may_be_named(servers: str) -> None:
    assert read(PlatformSettings, {KAFKA: servers}).checked().kafka == servers


async def test_settings_of_kafka_that_contradict_each_other_are_told_as_settings() -> None:
    environment = {KAFKA: "broker:9092", "SAGAPLANE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
    with pytest.raises(SettingsError, match="needs SAGAPLANE_KAFKA_SASL_USERNAME and SAGAPLANE_KAFKA_SASL_PASSWORD"):
        async with opened(environment, []):
            pass


async def test_a_database_that_does_not_answer_is_told_with_its_variable(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"postgresql://u:hush@127.0.0.1:{taken.getsockname()[1]}/order"
        async with opened({"SAGAPLANE_DATA_DIR": str(tmp_path), DATABASE: url}, []) as adapters:
            with pytest.raises(StoreUnavailableError, match=f"look at {DATABASE}, and whether") as refused:
                await adapters.store("order", TABLES)
    assert "hush" not in str(refused.value)
