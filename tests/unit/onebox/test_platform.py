"""Commands for topics and schemas say in a line what is wrong with a setting, and end with 2."""

import pytest

from onebox.cli import execute


@pytest.mark.parametrize("command", [["topics", "apply"], ["topics", "check"]])
def test_settings_for_kafka_that_contradict_each_other_are_told(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("SAGAPLANE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    assert execute(command) == 2
    assert "SAGAPLANE_KAFKA_SASL_USERNAME" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["topics", "check"], ["database", "check"]])
def test_a_misspelt_setting_is_told(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAGAPLANE_DATABASE_URI", "postgresql://db/order")
    assert execute(command) == 2
    assert "did you mean SAGAPLANE_DATABASE_URL" in capsys.readouterr().err
