"""What can be set about the operator, and what is refused in which words."""

import pytest

from saga_operator.settings import PREFIX, OperatorSettings, refuse_unknown
from sagakit.runtime.settings import SettingsError, read


def settings(**variables: str) -> OperatorSettings:
    return read(OperatorSettings, {PREFIX + name: value for name, value in variables.items()})


def test_the_defaults_agree_with_each_other() -> None:
    chosen = settings().checked()
    assert chosen.renew_seconds + chosen.request_seconds < chosen.lease_seconds


@pytest.mark.parametrize(
    "times",
    [("15", "10", "5"), ("15", "11", "4"), ("10", "10", "4"), ("3", "2", "2"), ("20", "19.5", "0.5")],
    ids=" ".join,
)
def test_times_by_which_two_operators_could_act_at_once_are_refused(times: tuple[str, str, str]) -> None:
    lease, renew, request = times
    chosen = settings(LEASE_SECONDS=lease, RENEW_SECONDS=renew, REQUEST_SECONDS=request)
    with pytest.raises(SettingsError, match=f"LEASE_SECONDS={lease}.*RENEW_SECONDS.*REQUEST_SECONDS"):
        chosen.checked()


def test_a_little_more_lease_than_both_is_enough() -> None:
    settings(LEASE_SECONDS="15", RENEW_SECONDS="10.9", REQUEST_SECONDS="4").checked()


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(SettingsError, match="expected http://host:port"):
        settings(ORDER_URL="order:3002").checked()


def test_a_misspelt_setting_is_refused_with_what_was_probably_meant() -> None:
    with pytest.raises(SettingsError, match=f"did you mean {PREFIX}LEASE_SECONDS"):
        refuse_unknown({PREFIX + "LEASE_SECOND": "15"})
    with pytest.raises(SettingsError, match=f"there are {PREFIX}HOST"):
        refuse_unknown({PREFIX + "ZZZZ": "15"})


def test_what_others_read_is_none_of_our_business() -> None:
    refuse_unknown({"SAGAPLANE_LOG": "memory", "PATH": "/bin", PREFIX + "PORT": "8080"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEASE_SECONDS", "2"), ("LEASE_SECONDS", "301"), ("REQUEST_SECONDS", "0"), ("MATERIALIZE", "Sometimes"),
        ("MATERIALIZE_MAX", "-1"), ("WRITES_PER_SECOND", "0"), ("WORKERS", "many"), ("PORT", "70000"),
    ],
)  # fmt: skip
def test_a_value_beyond_its_bounds_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=PREFIX + name):
        settings(**{name: value})


def test_namespaces_are_a_list_and_none_means_all() -> None:
    assert settings().watched == ()
    assert settings(NAMESPACES="shop, ,lab,").watched == ("shop", "lab")


def test_what_kubernetes_puts_into_a_container_for_a_service_of_that_name_is_no_misspelt_setting() -> None:
    refuse_unknown(
        {"SAGAPLANE_OPERATOR_SERVICE_HOST": "10.0.0.1", "SAGAPLANE_OPERATOR_PORT_8080_TCP": "tcp://10.0.0.1:8080"}
    )
