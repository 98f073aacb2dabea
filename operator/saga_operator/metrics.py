"""What the operator tells when somebody scrapes it, by the names of the catalogue."""

from collections import Counter
from collections.abc import Iterable

from saga_operator.engine import Engine
from saga_operator.following import Follower
from saga_operator.lease import Leadership
from saga_operator.materializing import Materializer
from sagakit.runtime.catalogue import (
    ABORTS,
    API_FAILURES,
    API_WRITES,
    BUILD_INFO,
    EVENTS_LOST,
    FAILED_IN_A_ROW,
    HEARD,
    K8S_REQUESTS,
    LATENESS,
    LEADS,
    LONGEST_RUNNING,
    MALFORMED,
    MATERIALIZED,
    QUEUE_DEPTH,
    RECONCILES,
    RESOURCES,
    STATUSES_REFUSED,
    WATCH_RESTARTS,
)
from sagakit.runtime.metrics import Sample, exported
from sagakit.runtime.observation import program_version

PENDING = "Pending"


def samples(engine: Engine, leadership: Leadership, follower: Follower, materializer: Materializer) -> Iterable[Sample]:
    """Yield what is to be read now."""
    yield BUILD_INFO, (program_version(), "operator"), 1
    yield LEADS, (), float(leadership.leads)
    for phase, number in _phases(engine).items():
        yield RESOURCES, (phase,), number
    yield MALFORMED, (), len(engine.malformed)
    yield QUEUE_DEPTH, (), engine.depth
    yield LONGEST_RUNNING, (), engine.longest_running_seconds
    for result in ("ok", "failures", "bugs"):
        yield RECONCILES, (result,), engine.counts[result]
    # Whoever does not lead looks at nothing, and keeps what it knew when it last did.
    failed = max((held.failures for held in engine.held.values()), default=0)
    yield FAILED_IN_A_ROW, (), failed if leadership.leads else 0
    yield from engine.durations.samples()
    yield from engine.waits.samples()
    cluster = engine.acts.cluster
    for labels, number in cluster.requests.counts.items():
        yield K8S_REQUESTS, labels, number
    yield from cluster.requests.durations.samples()
    yield WATCH_RESTARTS, (), cluster.requests.watch_restarts
    for (verb, what), number in cluster.writes.items():
        yield API_WRITES, (verb, what), number
    for why, number in cluster.failures.items():
        yield API_FAILURES, (why,), number
    yield HEARD, (), follower.counts["messages"]
    yield MATERIALIZED, (), materializer.counts["materialized"]
    yield STATUSES_REFUSED, (), engine.acts.counts["statuses refused"]
    yield EVENTS_LOST, (), engine.acts.counts["events lost"]
    yield ABORTS, (), engine.acts.counts["aborts"]
    yield from exported(engine.acts.witness.spans)
    # Aborts are counted once, by the order service, which finds out too; how late ours were, only we know.
    yield from (sample for sample in engine.acts.witness.samples() if sample[0] is LATENESS)


def _phases(engine: Engine) -> Counter[str]:
    """Return how many resources there are in each phase."""
    phases: Counter[str] = Counter()
    for held in engine.held.values():
        state = held.known.state
        phase = state.phase if state is not None else held.resource.status.phase
        phases[phase.value if phase is not None else PENDING] += 1
    return phases
