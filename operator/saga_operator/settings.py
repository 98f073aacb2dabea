"""What can be set about the operator; where the log is, `sagakit.hosting` reads."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sagakit.hosting.settings import require_known, variables
from sagakit.runtime.settings import Port, Seconds, SettingsError, variable

PREFIX = "SAGAPLANE_OPERATOR_"


class OperatorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One operator's settings; times are in seconds.

    A leader that could not renew its lease for `renew_seconds` does nothing any more; no request of it lasts longer
    than `request_seconds`, and their sum is less than `lease_seconds`, after which somebody else may lead.
    """

    host: Annotated[str, variable(PREFIX + "HOST")] = "127.0.0.1"
    port: Annotated[Port, variable(PREFIX + "PORT")] = 8080
    order_url: Annotated[str, variable(PREFIX + "ORDER_URL")] = "http://127.0.0.1:3002"
    namespaces: Annotated[str, variable(PREFIX + "NAMESPACES")] = ""
    identity: Annotated[str, variable(PREFIX + "IDENTITY")] = ""
    lease_name: Annotated[str, variable(PREFIX + "LEASE_NAME")] = "sagaplane-operator"
    lease_namespace: Annotated[str, variable(PREFIX + "LEASE_NAMESPACE")] = "default"
    lease_seconds: Annotated[int, Meta(ge=3, le=300), variable(PREFIX + "LEASE_SECONDS")] = 15
    renew_seconds: Annotated[Seconds, variable(PREFIX + "RENEW_SECONDS")] = 10.0
    request_seconds: Annotated[float, Meta(gt=0, le=60), variable(PREFIX + "REQUEST_SECONDS")] = 4.0
    materialize: Annotated[Literal["Never", "OnFailure", "Always"], variable(PREFIX + "MATERIALIZE")] = "OnFailure"
    materialize_max: Annotated[int, Meta(ge=0, le=1500), variable(PREFIX + "MATERIALIZE_MAX")] = 100
    materialize_namespace: Annotated[str, variable(PREFIX + "MATERIALIZE_NAMESPACE")] = ""
    writes_per_second: Annotated[int, Meta(ge=1, le=10_000), variable(PREFIX + "WRITES_PER_SECOND")] = 100
    workers: Annotated[int, Meta(ge=1, le=1000), variable(PREFIX + "WORKERS")] = 32

    @property
    def watched(self) -> tuple[str, ...]:
        """The namespaces it looks after; none means all."""
        return tuple(name for part in self.namespaces.split(",") if (name := part.strip()))

    def checked(self) -> "OperatorSettings":
        """Return these settings, once they agree with each other.

        Raises:
            SettingsError: when they do not.
        """
        if self.renew_seconds + self.request_seconds >= self.lease_seconds:
            raise SettingsError(
                f"{PREFIX}LEASE_SECONDS={self.lease_seconds}: must be more than {PREFIX}RENEW_SECONDS "
                f"({self.renew_seconds:g}) and {PREFIX}REQUEST_SECONDS ({self.request_seconds:g}) together, "
                "or two operators could act at once"
            )
        if not self.order_url.startswith(("http://", "https://")):
            raise SettingsError(f"{PREFIX}ORDER_URL={self.order_url}: expected http://host:port")
        return self


def refuse_unknown(environment: Mapping[str, str]) -> None:
    """Make sure that every variable of the operator is read: a misspelt one would silently leave its default.

    Raises:
        SettingsError: with the first that is not, and the one that was probably meant.
    """
    require_known(environment, PREFIX, variables(OperatorSettings))
