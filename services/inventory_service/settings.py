"""Settings of the inventory service."""

from typing import Annotated

from sagakit.runtime.settings import Port, Rate, ServiceSettings, variable


class InventorySettings(ServiceSettings, frozen=True, kw_only=True):
    """What can be set, and what holds when nothing is."""

    port: Annotated[Port, variable("INVENTORY_PORT")] = 3004
    success_rate: Annotated[Rate, variable("INVENTORY_SUCCESS_RATE")] = 1.0
