"""Where sagactl finds the services, and who asks: read once from the environment, with values that fit a box."""

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from onebox.errors import BadInput
from onebox.layout import PORTS, Layout

TIMEOUT_SECONDS = 30.0
JAEGER, JAEGER_URL = "SAGACTL_JAEGER_URL", "http://127.0.0.1:16686"
PROMETHEUS, PROMETHEUS_URL = "SAGACTL_PROMETHEUS_URL", "http://127.0.0.1:9090"
ACTOR_LENGTH_MAX = 100


@dataclass(frozen=True, slots=True)
class CtlSettings:
    """What a command needs to know before it asks anything; Prometheus is asked where it is named."""

    urls: Mapping[str, str] = field(default_factory=lambda: {name: Layout().url(name) for name in PORTS})
    actor: str = "sagactl"
    timeout_seconds: float = TIMEOUT_SECONDS
    jaeger_url: str = JAEGER_URL
    prometheus_url: str | None = None


def ctl_settings(environment: Mapping[str, str] | None = None) -> CtlSettings:
    """Return the settings that the environment asks for.

    Raises:
        BadInput: with the name of the variable that means nothing.
    """
    given = os.environ if environment is None else environment
    urls = {name: given.get(f"SAGACTL_{name.upper()}_URL", url).rstrip("/") for name, url in CtlSettings().urls.items()}
    for name, url in urls.items():
        _require_address(f"SAGACTL_{name.upper()}_URL", url, Layout().url(name))
    jaeger, prometheus = (given.get(name, "").rstrip("/") for name in (JAEGER, PROMETHEUS))
    _require_address(JAEGER, jaeger or JAEGER_URL, JAEGER_URL)
    _require_address(PROMETHEUS, prometheus or PROMETHEUS_URL, PROMETHEUS_URL)
    return CtlSettings(urls, _actor(given), _seconds(given), jaeger or JAEGER_URL, prometheus or None)


def _require_address(variable: str, url: str, usual: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise BadInput(f"{variable} is {url!r}, which is no address", f"set {variable}={usual}")


def _actor(given: Mapping[str, str]) -> str:
    """Return who asks: a name that a header can carry."""
    name = given.get("SAGACTL_ACTOR", "")
    if not name:
        try:
            name = getpass.getuser()
        except (OSError, KeyError):
            name = ""
    printable = "".join(letter for letter in name if " " <= letter <= "~").strip()
    return printable[:ACTOR_LENGTH_MAX].strip() or "sagactl"


def _seconds(given: Mapping[str, str]) -> float:
    text = given.get("SAGACTL_TIMEOUT_SECONDS", str(TIMEOUT_SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise BadInput(f"SAGACTL_TIMEOUT_SECONDS is {text!r}", "set it to seconds above 0, such as 30")
    return seconds
