"""Who tells a span, as OpenTelemetry's own `Resource` has it: with what `OTEL_RESOURCE_ATTRIBUTES` adds.

Neither an instance nor a version is named: whoever tells a span again, after another was killed, tells the same one.
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
"""The name `opentelemetry` is for spans that its own SDK made; ours are not."""
OF_ONE_PROCESS = frozenset({SERVICE_INSTANCE_ID, SERVICE_VERSION, TELEMETRY_SDK_VERSION})
OF_ONE_PLACE = ("container.", "host.", "k8s.container.", "k8s.node.", "k8s.pod.", "k8s.replicaset.", "os.", "process.")
"""What OpenTelemetry's operator and detectors say of it: another instance, or the next version, is elsewhere."""


def resource_of(service: str) -> Mapping[str, Value]:
    """Return what is said of a service beside its spans; the name is ours, for a process may hold several services."""
    told = Resource.create({SERVICE_NAME: service, SERVICE_NAMESPACE: NAMESPACE}).attributes
    kept = {
        name: value
        for name, value in told.items()
        if not _differs(name) and isinstance(value, str | int | float | bool)
    }
    return dict(sorted({**kept, **TELLER}.items()))


def _differs(name: str) -> bool:
    return name in OF_ONE_PROCESS or name.startswith(OF_ONE_PLACE)
