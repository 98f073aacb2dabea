"""Settings of the order service."""

from typing import Annotated

from sagakit.runtime.settings import Port, ServiceSettings, variable


class OrderSettings(ServiceSettings, frozen=True, kw_only=True):
    """What can be set, and what holds when nothing is."""

    port: Annotated[Port, variable("ORDER_PORT")] = 3002
