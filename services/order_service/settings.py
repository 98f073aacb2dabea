"""Settings of the order service."""

from pathlib import Path
from typing import Annotated

import msgspec

from sagakit.runtime.settings import Port, variable


class OrderSettings(msgspec.Struct, frozen=True):
    """What can be set, and what holds when nothing is."""

    host: Annotated[str, variable("SAGAPLANE_HOST")] = "127.0.0.1"
    port: Annotated[Port, variable("ORDER_PORT")] = 3002
    data_dir: Annotated[str, variable("SAGAPLANE_DATA_DIR")] = "data"
    instance: Annotated[str, variable("SAGAPLANE_INSTANCE")] = "0"

    @property
    def database(self) -> Path:
        """The file of the service's own database."""
        return Path(self.data_dir) / "order.db"

    @property
    def log(self) -> Path:
        """The file of the event log that all services of the machine share."""
        return Path(self.data_dir) / "log.db"
