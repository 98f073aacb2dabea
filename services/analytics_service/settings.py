"""Settings of the analytics service."""

from decimal import Decimal, InvalidOperation
from typing import Annotated

from msgspec import Meta

from analytics_service.views import Bounds
from sagakit.runtime.settings import Port, Seconds, ServiceSettings, SettingsError, variable
from shop_contracts.money import DEFAULT_CURRENCY, MoneyError, exponent, to_minor

Days = Annotated[int, Meta(ge=1, le=36_500)]
Batch = Annotated[int, Meta(ge=1, le=100_000)]


class AnalyticsSettings(ServiceSettings, frozen=True, kw_only=True):
    """What can be set, and what holds when nothing is.

    `high_value_over` is an amount in the default currency, and may go on with others: `1000,EUR=900,JPY=150000`. An
    order in a currency without a threshold is never of high value, for nothing is converted.
    """

    port: Annotated[Port, variable("ANALYTICS_PORT")] = 3005
    currency: Annotated[str, variable("ANALYTICS_CURRENCY")] = DEFAULT_CURRENCY
    high_value_over: Annotated[str, variable("ANALYTICS_HIGH_VALUE_OVER")] = "1000"
    allowed_lateness_seconds: Annotated[Seconds, variable("ANALYTICS_ALLOWED_LATENESS_SECONDS")] = 60.0
    idle_seconds: Annotated[Seconds, variable("ANALYTICS_IDLE_SECONDS")] = 10.0
    future_seconds: Annotated[Seconds, variable("ANALYTICS_FUTURE_SECONDS")] = 60.0
    past_days: Annotated[Days, variable("ANALYTICS_PAST_DAYS")] = 7
    gather_seconds: Annotated[Seconds, variable("ANALYTICS_GATHER_SECONDS")] = 0.25
    report_seconds: Annotated[Seconds, variable("ANALYTICS_REPORT_SECONDS")] = 10.0
    batch_records_max: Annotated[Batch, variable("ANALYTICS_BATCH_RECORDS_MAX")] = 5000
    profiles_seconds: Annotated[Seconds, variable("ANALYTICS_PROFILES_CACHED_SECONDS")] = 60.0

    @property
    def bounds(self) -> Bounds:
        """Which events are late or have a time that nobody believes."""
        return Bounds(
            lateness_ms=round(self.allowed_lateness_seconds * 1000),
            future_ms=round(self.future_seconds * 1000),
            past_ms=self.past_days * 86_400_000,
        )

    def thresholds(self) -> dict[str, int]:
        """Return above which amount in minor units an order is of high value, by currency.

        Raises:
            SettingsError: when a currency or an amount means nothing.
        """
        return thresholds(self.high_value_over, self.currency)

    def checked(self) -> "AnalyticsSettings":
        """Return these settings, once all of them mean something.

        Raises:
            SettingsError: with the variable that does not.
        """
        try:
            exponent(self.currency)
        except MoneyError as error:
            raise SettingsError(f"ANALYTICS_CURRENCY={self.currency}: {error}") from None
        self.thresholds()
        return self


def thresholds(text: str, default_currency: str) -> dict[str, int]:
    """Return amounts in minor units by currency, from `1000,EUR=900`; a bare amount is in the default currency.

    Raises:
        SettingsError: when a part means nothing.
    """
    found: dict[str, int] = {}
    for part in text.split(","):
        currency, equals, amount = part.strip().rpartition("=")
        name = currency.strip() if equals else default_currency
        try:
            found[name] = to_minor(Decimal(amount.strip()), name)
        except (MoneyError, InvalidOperation) as error:
            rule = error if isinstance(error, MoneyError) else f"{amount!r} is not an amount"
            raise SettingsError(f"ANALYTICS_HIGH_VALUE_OVER={text}: {rule}") from None
    return found
