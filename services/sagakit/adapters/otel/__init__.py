"""Spans for a collector that speaks OTLP over HTTP, as JSON.

Which traces are told and who tells them, OpenTelemetry's SDK says. Spans come whole and after the fact, so its tracer
has nothing to do here; and encoding one costs a fifth of what its own exporter takes.
"""

from sagakit.adapters.otel.exporter import CollectorUnavailableError, OtlpSpans
from sagakit.adapters.otel.otlp import encode
from sagakit.adapters.otel.resource import resource_of
from sagakit.adapters.otel.sampling import by_ratio

__all__ = ["CollectorUnavailableError", "OtlpSpans", "by_ratio", "encode", "resource_of"]
