"""Settings of the shipping service."""

from typing import Annotated

from sagakit.runtime.settings import Port, Rate, ServiceSettings, variable


class ShippingSettings(ServiceSettings, frozen=True, kw_only=True):
    """What can be set, and what holds when nothing is."""

    port: Annotated[Port, variable("SHIPPING_PORT")] = 3006
    success_rate: Annotated[Rate, variable("SHIPPING_SUCCESS_RATE")] = 1.0
