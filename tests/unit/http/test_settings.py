"""Settings come from the environment, all have defaults, and a wrong one is told in one line."""

from typing import Annotated

import msgspec
import pytest

from inventory_service.settings import InventorySettings
from notification_service.settings import NotificationSettings
from payment_service.settings import PaymentSettings
from sagakit.runtime.settings import SettingsError, read, shown, variable
from shipping_service.settings import ShippingSettings


@pytest.mark.parametrize(
    ("settings", "port"),
    [(PaymentSettings, 3003), (InventorySettings, 3004), (ShippingSettings, 3006), (NotificationSettings, 3007)],
)
def test_every_setting_has_a_default(
    settings: type[PaymentSettings | InventorySettings | ShippingSettings | NotificationSettings], port: int
) -> None:
    made = read(settings, {})
    assert (made.port, made.host) == (port, "127.0.0.1")


def test_a_setting_is_read_from_its_variable() -> None:
    made = read(PaymentSettings, {"PAYMENT_SUCCESS_RATE": "0.7", "SAGAPLANE_SEED": "42", "PAYMENT_PORT": ""})
    assert (made.success_rate, made.seed, made.port) == (0.7, 42, 3003)


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("PAYMENT_SUCCESS_RATE", "7", "expected float <= 1.0"),
        ("PAYMENT_SUCCESS_RATE", "nan", "expected float >= 0.0"),
        ("PAYMENT_SUCCESS_RATE", "most", "expected float"),
        ("PAYMENT_PORT", "tcp://10.0.0.1:3003", "expected int"),
        ("PAYMENT_PORT", "65536", "expected int <= 65535"),
        ("PAYMENT_LATENCY_SECONDS", "-1", "expected float >= 0.0"),
        ("SAGAPLANE_HTTP_CONNECTIONS", "0", "expected int >= 1"),
        ("SAGAPLANE_HTTP_STREAMS", "many", "expected int"),
    ],
)
def test_a_wrong_value_is_told_in_one_line_with_its_variable(name: str, text: str, rule: str) -> None:
    with pytest.raises(SettingsError) as told:
        read(PaymentSettings, {name: text})
    assert str(told.value) == f"{name}={text}: {rule}"


def test_all_settings_are_shown_by_the_names_that_set_them() -> None:
    assert "PAYMENT_PORT=3003 PAYMENT_SUCCESS_RATE=1.0" in shown(PaymentSettings())


def test_a_setting_without_a_variable_is_a_mistake_of_ours() -> None:
    class Wrong(msgspec.Struct, frozen=True):
        named: Annotated[int, variable("NAMED")] = 1
        nameless: int = 1

    with pytest.raises(TypeError, match="names no environment variable"):
        read(Wrong, {})
