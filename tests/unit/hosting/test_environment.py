"""The environment chooses the adapters; what is misspelt in it is told, and no secret is."""

from pathlib import Path

import msgspec
import pytest

from sagakit.adapters.kafka import KafkaSettings
from sagakit.adapters.sqlite import SqliteLog, SqliteStore
from sagakit.hosting import opened
from sagakit.hosting.adapters import named
from sagakit.hosting.settings import DATABASE, KAFKA, KAFKA_VARIABLES, PlatformSettings, refuse_unknown
from sagakit.ports import Store
from sagakit.runtime.settings import SettingsError, read, shown, variable_name
from sagakit.testing.contracts import TABLES

URL = "postgresql://{service}:hush@db:5432/{service}"


async def test_without_servers_everything_is_a_file(tmp_path: Path) -> None:
    async with opened({"SAGAPLANE_DATA_DIR": str(tmp_path)}, []) as adapters:
        store: Store = await adapters.store("order", TABLES)
        assert isinstance(store, SqliteStore)
        assert isinstance(adapters.log, SqliteLog)
        assert adapters.schemas("analytics", TABLES) is None
    assert {path.name for path in tmp_path.glob("*.db")} == {"log.db", "order.db"}  # noqa: ASYNC240 - nothing waits


def test_every_variable_of_kafka_is_known_to_those_who_have_none() -> None:
    assert {variable_name(field.type) for field in msgspec.structs.fields(KafkaSettings)} == KAFKA_VARIABLES


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SAGAPLANE_KAFKA_BOOTSTRAP_SERVER", KAFKA),
        ("SAGAPLANE_DATABASE_URI", DATABASE),
        ("SAGAPLANE_INSTANCES", "SAGAPLANE_INSTANCE"),
        ("SAGAPLANE_HTTP_CONNECTION", "SAGAPLANE_HTTP_CONNECTIONS"),
    ],
)
def test_a_misspelt_variable_is_told_with_the_one_that_was_meant(name: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}: there is no such setting; did you mean {meant}"):
        refuse_unknown({name: "x", "PATH": "/bin"})


def test_what_kubernetes_says_of_services_is_not_ours_to_judge() -> None:
    of_kubernetes = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_3002_TCP", "PORT_3002_TCP_ADDR")
    refuse_unknown({f"SAGAPLANE_ORDER_{name}": "tcp://10.0.0.1:3002" for name in of_kubernetes})


@pytest.mark.parametrize("url", ["mysql://a:hush@b/c", "order", "postgresql:///order", "postgresql://u:hush@host"])
def test_an_address_that_means_nothing_is_told_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match=f"^{DATABASE}=\\*\\*\\*: expected postgresql://") as refused:
        read(PlatformSettings, {DATABASE: url}).checked()
    assert "hush" not in str(refused.value)


def test_each_service_has_a_database_of_its_own_and_its_password_is_never_shown() -> None:
    settings = read(PlatformSettings, {DATABASE: URL}).checked()
    assert settings.database_of("order") == "postgresql://order:hush@db:5432/order"
    assert "hush" not in shown(settings) + repr(settings)


def test_an_instance_is_called_like_its_host_where_it_may_have_others_beside_it() -> None:
    assert "SAGAPLANE_INSTANCE" not in named({})
    assert named({KAFKA: "broker:9092"})["SAGAPLANE_INSTANCE"]
    assert named({KAFKA: "broker:9092", "SAGAPLANE_INSTANCE": "b"})["SAGAPLANE_INSTANCE"] == "b"
