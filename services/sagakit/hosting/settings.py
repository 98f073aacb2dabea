"""What can be set about the adapters of a process."""

from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from sagakit.runtime.settings import ServiceSettings, SettingsError, variable

KAFKA = "SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS"
"""With brokers in it, the log is theirs; without, it is a file."""
DATABASE = "SAGAPLANE_DATABASE_URL"
SERVICE = "{service}"


class PlatformSettings(ServiceSettings, frozen=True, kw_only=True):
    """Where a process keeps things, and what holds when nothing is set.

    In `database_url`, `{service}` stands for the service whose database it is. `partitions` is the number that a new
    log in a file begins with; in Kafka it is that of the topics.
    """

    database_url: Annotated[str, variable(DATABASE, secret=True)] = ""
    kafka: Annotated[str, variable(KAFKA)] = ""
    partitions: Annotated[int, Meta(ge=1, le=10_000), variable("SAGAPLANE_PARTITIONS")] = 4

    def database_of(self, service: str) -> str:
        """Return the address of a service's database."""
        return self.database_url.replace(SERVICE, service)

    def checked(self) -> "PlatformSettings":
        """Return these settings, once the address means something.

        Raises:
            SettingsError: when it does not.
        """
        if self.database_url:
            parts = urlsplit(self.database_of("x"))
            if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or not parts.path.strip("/"):
                rule = "expected postgresql://user:password@host:5432/database"
                raise SettingsError(f"{DATABASE}=***: {rule}; {SERVICE} stands for the service")
        return self
