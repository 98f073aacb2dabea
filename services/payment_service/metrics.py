"""What is counted about an external provider, as metrics: their names, kinds, units and meanings."""

from collections.abc import Iterable

from payment_service.calling import CALLS, RETRIES, SILENCES, Caller
from payment_service.circuit import CircuitState
from sagakit.runtime.catalogue import Named

PROVIDER_CALLS = Named(
    "saga_payment_provider_calls_total", "counter", "requests", "Requests to the payment provider, repeated ones too."
)
PROVIDER_RETRIES = Named(
    "saga_payment_provider_retries_total", "counter", "requests", "Requests repeated within one call."
)
PROVIDER_SILENCES = Named(
    "saga_payment_provider_no_answers_total", "counter", "operations", "Charges and refunds whose outcome is unknown."
)
PROVIDER_CIRCUIT = Named(
    "saga_payment_provider_circuit_open", "gauge", "circuits", "1 while the provider is left alone, or only tried."
)
CATALOGUE = (PROVIDER_CALLS, PROVIDER_RETRIES, PROVIDER_SILENCES, PROVIDER_CIRCUIT)


def samples(caller: Caller) -> Iterable[tuple[Named, tuple[str, ...], float]]:
    """Return what was counted since the process began, and how the circuit stands."""
    yield PROVIDER_CALLS, (), caller.counts[CALLS]
    yield PROVIDER_RETRIES, (), caller.counts[RETRIES]
    yield PROVIDER_SILENCES, (), caller.counts[SILENCES]
    yield PROVIDER_CIRCUIT, (), float(caller.circuit.state is not CircuitState.CLOSED)
