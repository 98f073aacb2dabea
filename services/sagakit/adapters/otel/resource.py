"""Who tells a span, as OpenTelemetry's own `Resource` has it: with what `OTEL_RESOURCE_ATTRIBUTES` adds.

No instance is named: whoever tells a span again, after another was killed, tells the same one.
"""

from collections.abc import Mapping

from opentelemetry.sdk.resources import (
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    SERVICE_NAMESPACE,
    SERVICE_VERSION,
    TELEMETRY_SDK_LANGUAGE,
    TELEMETRY_SDK_NAME,
    TELEMETRY_SDK_VERSION,
    Resource,
)

from sagakit.core.traces import Value

NAMESPACE = "sagaplane"
TELLER = {TELEMETRY_SDK_LANGUAGE: "python", TELEMETRY_SDK_NAME: NAMESPACE}
"""The name `opentelemetry` is for spans that its own SDK made; ours are not, so their version is ours too."""


def resource_of(service: str, version: str) -> Mapping[str, Value]:
    """Return what is said of a service beside its spans; the name is ours, for a process may hold several services."""
    own = {SERVICE_NAME: service, SERVICE_NAMESPACE: NAMESPACE, SERVICE_VERSION: version}
    told = Resource.create(own).attributes
    kept = {
        name: value
        for name, value in told.items()
        if name != SERVICE_INSTANCE_ID and isinstance(value, str | int | float | bool)
    }
    return dict(sorted({**kept, **TELLER, TELEMETRY_SDK_VERSION: version}.items()))
