"""Every metric of the kit and every name of its spans, in this one place: kind, unit, meaning, labels, who tells it.

No label holds an id, but for the one small family of live sagas. What a service counts beside this, it names itself.
"""

from dataclasses import dataclass
from typing import Literal

MESSAGE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""What OpenTelemetry advises for messaging."""
SAGA_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
LATE_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
API_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""What Kubernetes' own clients have."""

Teller = Literal["service", "initiator", "operator"]


@dataclass(frozen=True, slots=True)
class Named:
    """One metric. Its name ends with its unit where that is one of seconds or bytes, a counter's with `_total`."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    teller: Teller = "service"


STARTED = Named("saga_started_total", "counter", "sagas", "Sagas begun.", ("definition", "mode"), teller="initiator")
FINISHED = Named(
    "saga_finished_total",
    "counter",
    "sagas",
    "Sagas ended: completed, compensated or killed.",
    ("definition", "mode", "outcome"),
    teller="initiator",
)
DURATION = Named(
    "saga_duration_seconds",
    "histogram",
    "seconds",
    "From the beginning of a saga to its end.",
    ("definition", "mode", "outcome"),
    SAGA_SECONDS,
    "initiator",
)
ACTIVE = Named(
    "saga_active",
    "gauge",
    "sagas",
    "Sagas that have not ended; every instance says the same, so take the greatest.",
    ("phase",),
    teller="initiator",
)
OLDEST = Named(
    "saga_oldest_active_age_seconds",
    "gauge",
    "seconds",
    "The age of the oldest saga in this phase; 0 when there is none.",
    ("phase",),
    teller="initiator",
)
STUCK = Named("saga_stuck", "gauge", "sagas", "Sagas that wait for a person.", teller="initiator")
TIMEOUTS = Named(
    "saga_timeouts_total",
    "counter",
    "sagas",
    "Sagas asked to abort because a deadline passed or a step took too long.",
    ("definition", "code"),
    teller="initiator",
)
LATENESS = Named(
    "saga_timeout_lateness_seconds",
    "histogram",
    "seconds",
    "From the moment a saga was due to the moment it was asked to abort.",
    ("definition", "code"),
    LATE_SECONDS,
    "initiator",
)
INSTANCE_PHASE = Named(
    "saga_instance_phase",
    "gauge",
    "sagas",
    "1 for each saga that has lived for 2 s or is stuck, up to a cap; the series ends with the saga.",
    ("correlation_id", "definition", "phase"),
    teller="initiator",
)
INSTANCE_DEADLINE = Named(
    "saga_instance_deadline_timestamp_seconds",
    "gauge",
    "seconds",
    "When such a saga is due to be aborted, in seconds since 1970.",
    ("correlation_id", "definition"),
    teller="initiator",
)
INSTANCE_DROPPED = Named(
    "saga_instance_series_dropped",
    "gauge",
    "sagas",
    "Sagas that live for 2 s or are stuck, without series because there are more than the cap; some may be younger.",
    teller="initiator",
)
STEP_DURATION = Named(
    "saga_step_duration_seconds",
    "histogram",
    "seconds",
    "From what a step was caused by to its answer: the way through log and queue, and the work.",
    ("definition", "step", "outcome"),
    MESSAGE_SECONDS,
)
STEP_WAIT = Named(
    "saga_step_schedule_to_start_seconds",
    "histogram",
    "seconds",
    "From when the cause of a step was said to when the step is taken up: the way through outbox, log and queue.",
    ("definition", "step"),
    MESSAGE_SECONDS,
)
STEP_ATTEMPTS = Named(
    "saga_step_attempts_total",
    "counter",
    "attempts",
    "Attempts at the action of a step or at its compensation, as the command says, that are on record: succeeded, "
    "refused, unknown and so tried again, or exhausted: unknown, and no attempt is left.",
    ("definition", "step", "command", "result"),
)
STEP_STUCK = Named(
    "saga_step_stuck_total",
    "counter",
    "steps",
    "Actions whose attempts were used up, so that a person must decide.",
    ("definition", "step"),
)
COMPENSATIONS = Named(
    "saga_compensations_total",
    "counter",
    "steps",
    "Compensations that succeeded, or whose attempts were used up (exhausted).",
    ("definition", "step", "result"),
)
COMPENSATION_EXHAUSTED = Named(
    "saga_compensation_exhausted_total",
    "counter",
    "steps",
    "Compensations whose attempts were used up, so that a person must decide.",
    ("definition", "step"),
)
COMPENSATION_DURATION = Named(
    "saga_compensation_duration_seconds",
    "histogram",
    "seconds",
    "From what demanded a compensation to its answer.",
    ("definition", "step"),
    MESSAGE_SECONDS,
)
RECORDS = Named("saga_records_read_total", "counter", "records", "Records taken from the log.", ("loop",))
BATCHES = Named("saga_batches_total", "counter", "batches", "Batches of records, one transaction each.", ("loop",))
CONSUMED = Named("saga_messages_consumed_total", "counter", "messages", "Messages handled.", ("loop", "topic"))
DUPLICATES = Named(
    "saga_message_duplicates_total",
    "counter",
    "messages",
    "Messages that were no news: heard before.",
    ("loop", "topic"),
)
DEAD = Named(
    "saga_dlq_messages_total",
    "counter",
    "messages",
    "Messages sent to the dead letters: unreadable, unhandled, refused, or expired in the parking.",
    ("loop", "topic", "reason"),
)
DLQ_DEPTH = Named(
    "saga_dlq_depth",
    "gauge",
    "messages",
    "Dead letters that the log holds and nobody has redriven or discarded; every instance says the same, so take the "
    "greatest.",
    ("topic",),
)
FENCED = Named("saga_fenced_total", "counter", "batches", "Batches dropped: another instance had them.", ("loop",))
SENT = Named(
    "saga_messages_sent_total", "counter", "messages", "Messages published from the outbox.", ("loop", "topic")
)
PROCESS_DURATION = Named(
    "messaging_process_duration_seconds",
    "histogram",
    "seconds",
    "From when a batch was read to when what it led to was durable, or failed. The destination is told where a batch "
    "has one.",
    (
        "messaging_system",
        "messaging_operation_name",
        "messaging_consumer_group_name",
        "messaging_destination_name",
        "error_type",
    ),
    MESSAGE_SECONDS,
)
CLIENT_DURATION = Named(
    "messaging_client_operation_duration_seconds",
    "histogram",
    "seconds",
    "How long the log took to have a batch of the outbox, or failed. The destination is told where a batch has one.",
    ("messaging_system", "messaging_operation_name", "messaging_destination_name", "error_type"),
    MESSAGE_SECONDS,
)
PARKED = Named("saga_parked_messages", "gauge", "messages", "Messages that wait for their saga or its definition.")
FAILURES = Named("saga_loop_failing", "gauge", "steps", "Steps that failed in a row; 0 is well.", ("loop",))
PENDING = Named("saga_outbox_pending", "gauge", "messages", "Messages that wait in the outbox.")
OUTBOX_AGE = Named(
    "saga_outbox_oldest_age_seconds", "gauge", "seconds", "The age of the oldest message in the outbox; 0 without one."
)
LAG_RECORDS = Named(
    "saga_consumer_lag_records", "gauge", "records", "Records of our partitions that are not handled yet.", ("loop",)
)
PARTITIONS = Named(
    "saga_consumer_partitions",
    "gauge",
    "partitions",
    "Partitions that the consumer handles here; 0 while it has none, or has given them up and not taken them up again.",
    ("loop",),
)
LAG_SECONDS = Named(
    "saga_event_lag_seconds",
    "gauge",
    "seconds",
    "How long the oldest record of the topic in the last batch had waited in the log; 0 when none was in it.",
    ("loop", "topic"),
)
REQUESTS = Named(
    "saga_http_requests_total", "counter", "requests", "HTTP requests answered.", ("method", "route", "status")
)
SPANS = Named("saga_spans_exported_total", "counter", "spans", "Spans that the collector took.")
SPANS_DROPPED = Named(
    "saga_spans_dropped_total", "counter", "spans", "Spans dropped: the collector was away, or slower than we are."
)
SPANS_WAITING = Named("saga_spans_waiting", "gauge", "spans", "Spans that the collector has not taken yet.")
BUILD_INFO = Named("saga_build_info", "gauge", "programs", "1, with the version in a label.", ("version", "service"))
RECONCILES = Named(
    "saga_operator_reconcile_total",
    "counter",
    "reconciliations",
    "Resources looked at: ok, put off by what the world did, or by a bug of ours.",
    ("result",),
    teller="operator",
)
RECONCILE_DURATION = Named(
    "saga_operator_reconcile_duration_seconds",
    "histogram",
    "seconds",
    "How long looking at a resource took, with everything that was done for it.",
    (),
    MESSAGE_SECONDS,
    "operator",
)
FAILED_IN_A_ROW = Named(
    "saga_operator_failing",
    "gauge",
    "reconciliations",
    "How often looking at a resource was put off in a row, for the one that was put off most; 0 is well.",
    teller="operator",
)
QUEUE_DEPTH = Named(
    "saga_operator_queue_depth", "gauge", "resources", "Resources that wait to be looked at.", teller="operator"
)
QUEUE_LATENCY = Named(
    "saga_operator_queue_latency_seconds",
    "histogram",
    "seconds",
    "How long a resource waited to be looked at.",
    (),
    MESSAGE_SECONDS,
    "operator",
)
LONGEST_RUNNING = Named(
    "saga_operator_longest_running_seconds",
    "gauge",
    "seconds",
    "For how long the resource is looked at that has been for longest; 0 when none is.",
    teller="operator",
)
LEADS = Named(
    "saga_operator_is_leader", "gauge", "operators", "1 while this operator leads, else 0.", teller="operator"
)
RESOURCES = Named(
    "saga_operator_resources", "gauge", "resources", "OrderSagas that are watched.", ("phase",), teller="operator"
)
MALFORMED = Named(
    "saga_operator_invalid_resources", "gauge", "resources", "OrderSagas whose spec means nothing.", teller="operator"
)
K8S_REQUESTS = Named(
    "saga_operator_k8s_requests_total",
    "counter",
    "requests",
    "Requests to the API server, those of the lease and of the watches too, by the HTTP status of the answer, or where "
    "there was none by `timeout`, `unreachable` or `cancelled`.",
    ("verb", "code"),
    teller="operator",
)
K8S_DURATION = Named(
    "saga_operator_k8s_request_duration_seconds",
    "histogram",
    "seconds",
    "From a request to the API server to its answer; a watch, whose answer has no end, is not timed.",
    ("verb",),
    API_SECONDS,
    "operator",
)
WATCH_RESTARTS = Named(
    "saga_operator_watch_restarts_total",
    "counter",
    "requests",
    "Watches that were asked for again: each ends by itself after ten minutes, and else when the API server or the way "
    "to it breaks off, or says that too much was missed.",
    teller="operator",
)
API_WRITES = Named(
    "saga_operator_api_writes_total",
    "counter",
    "requests",
    "Writes to the API server; those of the lease are not counted.",
    ("verb", "resource"),
    teller="operator",
)
API_FAILURES = Named(
    "saga_operator_api_failures_total",
    "counter",
    "requests",
    "Requests that the API server did not do, by what we made of its answer.",
    ("why",),
    teller="operator",
)
STATUSES_REFUSED = Named(
    "saga_operator_statuses_refused_total",
    "counter",
    "requests",
    "Statuses that the API server refused for a rule of the resource: somebody else had written another end.",
    teller="operator",
)
EVENTS_LOST = Named(
    "saga_operator_events_lost_total",
    "counter",
    "events",
    "Events of Kubernetes that the API server did not take; nothing else waits for them.",
    teller="operator",
)
ABORTS = Named(
    "saga_operator_aborts_total",
    "counter",
    "sagas",
    "Sagas that the operator asked to abort; the order service asks too, under the same id.",
    teller="operator",
)
HEARD = Named(
    "saga_operator_messages_total",
    "counter",
    "messages",
    "Messages heard of the sagas that resources stand for.",
    teller="operator",
)
MATERIALIZED = Named(
    "saga_operator_materialized_total",
    "counter",
    "resources",
    "Resources made for sagas that came in bulk.",
    teller="operator",
)

PROCESS = (
    Named("process_cpu_seconds_total", "counter", "seconds", "CPU time used, user and system."),
    Named("process_resident_memory_bytes", "gauge", "bytes", "Memory that is in use."),
    Named("process_virtual_memory_bytes", "gauge", "bytes", "Address space that is taken."),
    Named("process_start_time_seconds", "gauge", "seconds", "When it was started, in seconds since 1970."),
    Named("process_open_fds", "gauge", "files", "Open files and connections."),
    Named("process_max_fds", "gauge", "files", "How many of them there may be."),
)
"""What Prometheus' client tells of a process, on Linux; services that share one tell the same."""

CATALOGUE = (
    STARTED,
    FINISHED,
    DURATION,
    ACTIVE,
    OLDEST,
    STUCK,
    TIMEOUTS,
    LATENESS,
    INSTANCE_PHASE,
    INSTANCE_DEADLINE,
    INSTANCE_DROPPED,
    STEP_DURATION,
    STEP_WAIT,
    STEP_ATTEMPTS,
    STEP_STUCK,
    COMPENSATIONS,
    COMPENSATION_EXHAUSTED,
    COMPENSATION_DURATION,
    RECORDS,
    BATCHES,
    CONSUMED,
    DUPLICATES,
    DEAD,
    DLQ_DEPTH,
    FENCED,
    SENT,
    PROCESS_DURATION,
    CLIENT_DURATION,
    PARKED,
    FAILURES,
    PENDING,
    OUTBOX_AGE,
    LAG_RECORDS,
    PARTITIONS,
    LAG_SECONDS,
    REQUESTS,
    SPANS,
    SPANS_DROPPED,
    SPANS_WAITING,
    BUILD_INFO,
    RECONCILES,
    RECONCILE_DURATION,
    FAILED_IN_A_ROW,
    QUEUE_DEPTH,
    QUEUE_LATENCY,
    LONGEST_RUNNING,
    LEADS,
    RESOURCES,
    MALFORMED,
    K8S_REQUESTS,
    K8S_DURATION,
    WATCH_RESTARTS,
    API_WRITES,
    API_FAILURES,
    STATUSES_REFUSED,
    EVENTS_LOST,
    ABORTS,
    HEARD,
    MATERIALIZED,
)


@dataclass(frozen=True, slots=True)
class SpanNamed:
    """One kind of span: its name as a pattern, and when there is one."""

    name: str
    meaning: str


ROOT_SPAN = SpanNamed("saga begins", "The root, of no length: told at once, so that a saga that runs is found.")
END_SPAN = SpanNamed("saga ends", "From the beginning to the end, with the outcome.")
STEP_SPAN = SpanNamed("process {step}", "From what caused a step to its answer; handling and sending share it.")
COMPENSATION_SPAN = SpanNamed("compensate {step}", "The same of a compensation; it links to what it takes back.")
STUCK_SPAN = SpanNamed("stuck {step}", "A step or a compensation whose attempts are used up.")
ABORT_SPAN = SpanNamed("abort", "From when a saga was due to the request that it stops; for a person's, of no length.")
PLACE_SPAN = SpanNamed("place", "The operator stands for the saga with a resource; of no length, when the saga begins.")
CONTROL_SPAN = SpanNamed("{control}", "A person suspended, resumed or killed the saga; of no length.")
LISTEN_SPAN = SpanNamed("process {topic}", "A service that only listens handled one message of the saga.")
POLL_SPAN = SpanNamed(
    "poll {group}", "A batch, in a trace of its own, with links to the roots of its sagas: of 128 of them at most."
)
SPAN_CATALOGUE = (
    ROOT_SPAN,
    END_SPAN,
    STEP_SPAN,
    COMPENSATION_SPAN,
    STUCK_SPAN,
    ABORT_SPAN,
    PLACE_SPAN,
    CONTROL_SPAN,
    LISTEN_SPAN,
    POLL_SPAN,
)

SYSTEM = "messaging.system"
OPERATION = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
GROUP = "messaging.consumer.group.name"
MESSAGE_ID = "messaging.message.id"
CONVERSATION = "messaging.message.conversation_id"
BATCH_COUNT = "messaging.batch.message_count"
ERROR_TYPE = "error.type"
CORRELATION_ID = "saga.correlation_id"
SAGA_ID = "saga.id"
RESOURCE = "saga.resource"
DEFINITION = "saga.definition"
MODE = "saga.mode"
STEP = "saga.step"
ATTEMPT = "saga.attempt"
OUTCOME = "saga.outcome"
COMPENSATION = "saga.compensation"
PHASE = "saga.phase"
DEADLINE = "saga.deadline"
MESSAGE_TYPE = "saga.message_type"
ATTRIBUTES = {
    SYSTEM: "What carries the messages: kafka, or sagaplane where the log is a file.",
    OPERATION: "send, process or poll.",
    OPERATION_TYPE: "The same, in the convention's words.",
    DESTINATION: "The topic that the answer was said on, or that was heard.",
    GROUP: "The consumer group that handled it.",
    MESSAGE_ID: "The id of the message that was said, or heard.",
    CONVERSATION: "The correlation id.",
    BATCH_COUNT: "How many messages a batch had.",
    ERROR_TYPE: "Why it failed, in one word.",
    CORRELATION_ID: "The id that the caller knows the saga by.",
    SAGA_ID: "The saga.",
    RESOURCE: "The OrderSaga that stands for it, with its namespace.",
    DEFINITION: "Its definition and version.",
    MODE: "choreography or orchestration.",
    STEP: "The step.",
    ATTEMPT: "Which asking of the step this answers, from 0; what its participant repeats by itself has no span.",
    OUTCOME: "How the step or the saga ended.",
    COMPENSATION: "True for what takes something back.",
    PHASE: "The phase that this message alone puts the saga in; what others said meanwhile may have put it further.",
    DEADLINE: "When the saga is due to be aborted: RFC 3339, in UTC. On its root.",
    MESSAGE_TYPE: "The type of the message that was said.",
}
"""Every attribute of our spans. Those of messaging are OpenTelemetry's."""
