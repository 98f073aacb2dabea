"""Settings of the payment service."""

import re
from typing import Annotated

import httpx
from msgspec import Meta

from payment_service.calling import CallSettings
from sagakit.runtime.settings import Port, Rate, Seconds, ServiceSettings, SettingsError, variable

Patience = Annotated[float, Meta(gt=0, le=8)]
"""All attempts of a call have to end before another process may ask again (`participant.CALL_SECONDS_MAX`)."""
Wait = Annotated[float, Meta(ge=0, le=8)]
VISIBLE = re.compile(r"[!-~]+")


class PaymentSettings(ServiceSettings, frozen=True, kw_only=True):
    """What can be set, and what holds when nothing is; without a provider's URL, the provider is the built-in bank.

    In `provider_method`, `{user_id}` stands for the user who pays. `provider_seconds` bounds a whole call, repetitions
    and waiting included.
    """

    port: Annotated[Port, variable("PAYMENT_PORT")] = 3003
    success_rate: Annotated[Rate, variable("PAYMENT_SUCCESS_RATE")] = 1.0
    limit_minor: Annotated[int, Meta(ge=0, le=10**15), variable("PAYMENT_LIMIT_MINOR")] = 1_000_000
    latency_seconds: Annotated[Seconds, variable("PAYMENT_LATENCY_SECONDS")] = 0.0
    unknown_rate: Annotated[Rate, variable("PAYMENT_UNKNOWN_RATE")] = 0.0
    provider_url: Annotated[str, variable("PAYMENT_PROVIDER_URL")] = ""
    provider_key: Annotated[str, variable("PAYMENT_PROVIDER_KEY", secret=True)] = ""
    provider_method: Annotated[str, variable("PAYMENT_PROVIDER_METHOD")] = "pm_card_visa"
    provider_connect_seconds: Annotated[Patience, variable("PAYMENT_PROVIDER_CONNECT_SECONDS")] = 1.0
    provider_read_seconds: Annotated[Patience, variable("PAYMENT_PROVIDER_READ_SECONDS")] = 5.0
    provider_seconds: Annotated[Patience, variable("PAYMENT_PROVIDER_SECONDS")] = 7.5
    provider_attempts_max: Annotated[int, Meta(ge=1, le=10), variable("PAYMENT_PROVIDER_ATTEMPTS_MAX")] = 3
    provider_backoff_seconds: Annotated[Wait, variable("PAYMENT_PROVIDER_BACKOFF_SECONDS")] = 0.2
    provider_backoff_seconds_max: Annotated[Wait, variable("PAYMENT_PROVIDER_BACKOFF_SECONDS_MAX")] = 2.0
    provider_concurrency: Annotated[int, Meta(ge=1, le=1000), variable("PAYMENT_PROVIDER_CONCURRENCY")] = 50
    breaker_failures: Annotated[int, Meta(ge=1, le=10_000), variable("PAYMENT_BREAKER_FAILURES")] = 10
    breaker_pause_seconds: Annotated[Seconds, variable("PAYMENT_BREAKER_PAUSE_SECONDS")] = 10.0

    def calls(self) -> CallSettings:
        """Return how the external provider is asked.

        Raises:
            SettingsError: with the variable that means nothing.
        """
        self._check_url()
        if not VISIBLE.fullmatch(self.provider_key):
            rule = "the provider's secret key is needed, in visible ASCII characters"
            raise SettingsError(f"PAYMENT_PROVIDER_KEY={'***' if self.provider_key else ''}: {rule}")
        if not self.provider_method.strip():
            raise SettingsError(f"PAYMENT_PROVIDER_METHOD={self.provider_method}: names no means of payment")
        return CallSettings(
            url=self.provider_url,
            key=self.provider_key,
            connect_seconds=self.provider_connect_seconds,
            read_seconds=self.provider_read_seconds,
            attempts_max=self.provider_attempts_max,
            backoff_seconds=self.provider_backoff_seconds,
            backoff_seconds_max=self.provider_backoff_seconds_max,
            concurrency=self.provider_concurrency,
            breaker_failures=self.breaker_failures,
            breaker_pause_seconds=self.breaker_pause_seconds,
        )

    def _check_url(self) -> None:
        try:
            url = httpx.URL(self.provider_url)
        except httpx.InvalidURL as error:
            raise SettingsError(f"PAYMENT_PROVIDER_URL={self.provider_url!r}: {error}") from None
        if url.userinfo:
            raise SettingsError("PAYMENT_PROVIDER_URL=***: a URL is shown; put the key into PAYMENT_PROVIDER_KEY")
        if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
            rule = "expected the address of an API, such as https://api.stripe.com"
            raise SettingsError(f"PAYMENT_PROVIDER_URL={self.provider_url}: {rule}")
