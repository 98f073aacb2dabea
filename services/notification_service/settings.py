"""Settings of the notification service."""

from typing import Annotated

from sagakit.runtime.settings import Port, ServiceSettings, variable


class NotificationSettings(ServiceSettings, frozen=True, kw_only=True):
    """What can be set, and what holds when nothing is."""

    port: Annotated[Port, variable("NOTIFICATION_PORT")] = 3007
