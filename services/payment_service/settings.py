"""Settings of the payment service."""

from typing import Annotated

from msgspec import Meta

from sagakit.runtime.settings import Port, Rate, Seconds, ServiceSettings, variable


class PaymentSettings(ServiceSettings, frozen=True, kw_only=True):
    """What can be set, and what holds when nothing is; all but the port is about the built-in bank."""

    port: Annotated[Port, variable("PAYMENT_PORT")] = 3003
    success_rate: Annotated[Rate, variable("PAYMENT_SUCCESS_RATE")] = 1.0
    limit_minor: Annotated[int, Meta(ge=0, le=10**15), variable("PAYMENT_LIMIT_MINOR")] = 1_000_000
    latency_seconds: Annotated[Seconds, variable("PAYMENT_LATENCY_SECONDS")] = 0.0
    unknown_rate: Annotated[Rate, variable("PAYMENT_UNKNOWN_RATE")] = 0.0
