"""Who tells a span, as OpenTelemetry's own `Resource` has it: with what `OTEL_RESOURCE_ATTRIBUTES` adds.

No instance is named: whoever tells a span again, after another was killed, tells the same one.
"""

from collections.abc import Mapping

from opentelemetry.sdk.resources import (
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    SERVICE_NAMESPACE,
    SERVICE_VERSION,
    TELEMETRY_SDK_VERSION,
    Resource,
)

from sagakit.core.traces import Value

NAMESPACE = "sagaplane"
TELLER = {"telemetry.sdk.language": "python", "telemetry.sdk.name": NAMESPACE}
"""The name `opentelemetry` is for spans that its own SDK made; ours are not."""


def resource_of(service: str, version: str) -> Mapping[str, Value]:
    """Return what is said of a service beside its spans; the name is ours, for a process may hold several services."""
    own = {SERVICE_NAME: service, SERVICE_NAMESPACE: NAMESPACE, SERVICE_VERSION: version}
    told = Resource.create(own).attributes
    kept = {
        name: value
        for name, value in told.items()
        if name not in _NOT_OURS and isinstance(value, str | int | float | bool)
    }
    return dict(sorted({**kept, **TELLER}.items()))


_NOT_OURS = (SERVICE_INSTANCE_ID, TELEMETRY_SDK_VERSION)
