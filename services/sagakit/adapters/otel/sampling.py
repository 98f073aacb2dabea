"""Which traces are told, as OpenTelemetry's own sampler decides it: whoever joins one decides the same."""

from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from sagakit.core.traces import Chosen


def by_ratio(rate: float) -> Chosen:
    """Return the choice of this share of all traces. A greater share has every trace that a smaller one has."""
    sampler = TraceIdRatioBased(rate)

    def chosen(trace_id: str) -> bool:
        return sampler.should_sample(None, int(trace_id, 16), "").decision is Decision.RECORD_AND_SAMPLE

    return chosen
