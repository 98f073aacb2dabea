"""What the operator counts, by the names of the catalogue."""

from collections.abc import Iterable

from saga_operator.engine import Engine
from saga_operator.following import Follower
from saga_operator.lease import Leadership
from saga_operator.materializing import Materializer
from sagakit.runtime.metrics import Named

LEADS = Named("saga_operator_leader", "gauge", "operators", "1 while this operator leads.")
HELD = Named("saga_operator_resources", "gauge", "resources", "OrderSagas that are watched, by phase.", ("phase",))
MALFORMED = Named("saga_operator_malformed", "gauge", "resources", "OrderSagas that mean nothing.")
QUEUE = Named("saga_operator_queue_depth", "gauge", "resources", "OrderSagas that wait to be looked at.")
WRITES = Named(
    "saga_operator_api_writes_total", "counter", "requests", "Writes to the API server.", ("verb", "resource")
)
REFUSED = Named("saga_operator_api_failures_total", "counter", "requests", "What the API server did not do.", ("why",))
ABORTS = Named("saga_operator_aborts_total", "counter", "sagas", "Sagas that the operator asked to abort.")
FAILURES = Named("saga_operator_failures_total", "counter", "moves", "Moves that have to be made again.", ("why",))
HEARD = Named("saga_operator_messages_total", "counter", "messages", "Messages heard of the sagas watched.")
MADE = Named("saga_operator_materialized_total", "counter", "resources", "Resources made for sagas of the bulk.")

Sample = tuple[Named, tuple[str, ...], float]


def samples(engine: Engine, leadership: Leadership, follower: Follower, materializer: Materializer) -> Iterable[Sample]:
    """Yield what is to be read now."""
    acts = engine.acts
    yield LEADS, (), float(leadership.leads)
    phases: dict[str, int] = {}
    for held in list(engine.held.values()):
        state = held.known.state
        phase = state.phase if state is not None else held.resource.status.phase
        name = phase.value if phase is not None else "Pending"
        phases[name] = phases.get(name, 0) + 1
    for name, number in phases.items():
        yield HELD, (name,), number
    yield MALFORMED, (), len(engine.malformed)
    yield QUEUE, (), engine.depth
    for (verb, what), number in acts.cluster.writes.items():
        yield WRITES, (verb, what), number
    for why, number in acts.cluster.failures.items():
        yield REFUSED, (why,), number
    yield ABORTS, (), acts.counts["aborts"]
    yield FAILURES, ("expected",), engine.counts["failures"]
    yield FAILURES, ("bug",), engine.counts["bugs"]
    yield HEARD, (), follower.counts["messages"]
    yield MADE, (), materializer.counts["materialized"]
