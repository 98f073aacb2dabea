"""Spans for a collector that speaks OTLP over HTTP, as JSON: what OpenTelemetry asks for, and nothing of its machinery.

Spans come whole, so there is no context to carry and nothing to open or close. Encoding one costs a tenth of what it
costs as protocol buffers in Python, and needs no library.
"""

from sagakit.adapters.otel.exporter import CollectorUnavailableError, OtlpSpans
from sagakit.adapters.otel.otlp import encode

__all__ = ["CollectorUnavailableError", "OtlpSpans", "encode"]
