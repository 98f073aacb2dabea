"""How a provider is connected: by settings of which one is a secret that nobody gets to see."""

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta
from tests.unit.http.services import HandClock

from payment_service.http_provider import HttpProvider
from payment_service.provider import Bank
from payment_service.settings import PaymentSettings
from payment_service.wiring import VAULT_TABLES, open_provider
from sagakit.adapters.memory import MemoryStore
from sagakit.runtime.participant import CALL_SECONDS_MAX
from sagakit.runtime.settings import SettingsError, read, shown, variable, variable_name

DOCUMENT = Path(__file__).parents[2] / "docs" / "payment-provider.md"
KEY = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
CONNECTED = {"PAYMENT_PROVIDER_URL": "https://api.stripe.com", "PAYMENT_PROVIDER_KEY": KEY}


def test_without_an_address_the_provider_is_the_built_in_bank() -> None:
    settings = read(PaymentSettings, {"PAYMENT_PROVIDER_KEY": KEY})
    assert isinstance(open_provider(settings, MemoryStore(VAULT_TABLES), HandClock()), Bank)


async def test_with_an_address_and_a_key_it_is_the_external_one() -> None:
    settings = read(PaymentSettings, CONNECTED)
    provider = open_provider(settings, MemoryStore(VAULT_TABLES), HandClock())
    assert isinstance(provider, HttpProvider)
    await provider.close()


def test_a_call_ends_before_somebody_else_may_ask_again() -> None:
    assert PaymentSettings().provider_seconds < CALL_SECONDS_MAX
    with pytest.raises(SettingsError, match=r"PAYMENT_PROVIDER_SECONDS=9: expected float <= 8\.0"):
        read(PaymentSettings, {"PAYMENT_PROVIDER_SECONDS": "9"})


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("PAYMENT_PROVIDER_URL", "api.stripe.com", "api.stripe.com: expected the address of an API"),
        ("PAYMENT_PROVIDER_URL", "ftp://api.stripe.com", "ftp://api.stripe.com: expected the address of an API"),
        ("PAYMENT_PROVIDER_URL", "https://", "https://: expected the address of an API"),
        ("PAYMENT_PROVIDER_URL", "http://a:b", "'http://a:b': Invalid port: 'b'"),
        ("PAYMENT_PROVIDER_URL", f"https://{KEY}:@api.stripe.com", "***: a URL is shown; put the key into"),
        ("PAYMENT_PROVIDER_KEY", "", ": the provider's secret key is needed"),
        ("PAYMENT_PROVIDER_KEY", f"{KEY}\n", "***: the provider's secret key is needed"),
        ("PAYMENT_PROVIDER_METHOD", " ", " : names no means of payment"),
    ],
)
def test_a_wrong_value_is_told_in_one_line_without_the_secret(name: str, text: str, told: str) -> None:
    settings = read(PaymentSettings, CONNECTED | {name: text})
    with pytest.raises(SettingsError) as error:
        open_provider(settings, MemoryStore(VAULT_TABLES), HandClock())
    line = str(error.value)
    assert line.startswith(f"{name}={told}")
    assert KEY not in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PAYMENT_PROVIDER_CONNECT_SECONDS", "0"),
        ("PAYMENT_PROVIDER_READ_SECONDS", "nan"),
        ("PAYMENT_PROVIDER_ATTEMPTS_MAX", "0"),
        ("PAYMENT_PROVIDER_BACKOFF_SECONDS", "-1"),
        ("PAYMENT_PROVIDER_CONCURRENCY", "1001"),
        ("PAYMENT_BREAKER_FAILURES", "0"),
        ("PAYMENT_BREAKER_PAUSE_SECONDS", "soon"),
    ],
)
def test_a_number_out_of_its_bounds_is_told_in_one_line(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}={text}: expected [^\n]+$"):
        read(PaymentSettings, {name: text})


def test_a_secret_is_shown_nowhere_but_whether_there_is_one() -> None:
    settings = read(PaymentSettings, CONNECTED)
    assert " PAYMENT_PROVIDER_KEY=*** " in shown(settings)
    assert " PAYMENT_PROVIDER_KEY= " in shown(PaymentSettings())
    assert KEY not in f"{shown(settings)} {settings!r} {settings} {settings.calls()!r}"


def test_a_secret_of_the_wrong_form_is_not_told() -> None:
    class Guarded(msgspec.Struct, frozen=True):
        pin: Annotated[int, Meta(ge=0), variable("PIN", secret=True)] = 0

    with pytest.raises(SettingsError) as error:
        read(Guarded, {"PIN": "-1234"})
    assert str(error.value) == "PIN=***: expected int >= 0"


def test_the_document_names_every_setting_of_the_provider_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(PAYMENT_[A-Z_]+)` \|.*\| ?(.*) \|$", DOCUMENT.read_text(), re.MULTILINE))
    defaults = {variable_name(f.type): f.default for f in msgspec.structs.fields(PaymentSettings)}
    ours = {name: value for name, value in defaults.items() if re.match("PAYMENT_(PROVIDER|BREAKER)_", name)}
    assert {name: text.strip("`") for name, text in rows.items()} == {
        name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in ours.items()
    }


def test_a_process_shows_its_settings_without_the_secret(tmp_path: Path) -> None:
    ours = {**CONNECTED, "SAGAPLANE_DATA_DIR": str(tmp_path), "PAYMENT_PORT": "0"}
    command = [sys.executable, "-m", "payment_service"]
    with subprocess.Popen(command, env={**os.environ, **ours}, stderr=subprocess.PIPE, text=True) as process:
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        try:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "PAYMENT_PROVIDER_URL=" in line)
        finally:
            watchdog.cancel()
            process.kill()
    assert "PAYMENT_PROVIDER_URL=https://api.stripe.com PAYMENT_PROVIDER_KEY=*** " in line
    assert KEY not in line


def test_a_process_with_a_provider_that_cannot_be_asked_says_so_in_one_line(tmp_path: Path) -> None:
    wrong = {"PAYMENT_PROVIDER_URL": "nowhere", "PAYMENT_PROVIDER_KEY": KEY, "SAGAPLANE_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "payment_service"],
        env={**os.environ, **wrong, "PAYMENT_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    told = "PAYMENT_PROVIDER_URL=nowhere: expected the address of an API, such as https://api.stripe.com"
    assert json.loads(done.stderr.splitlines()[-1])["message"].endswith(told)
    assert KEY not in done.stderr
