"""The operator: who leads, what it looks after, what it writes, and what it could not do."""

from observability.names import RATE, SHOP, grown, most, of, quantile, rate, total
from observability.pages import NAMESPACE, Page, Row
from observability.panels import HALF, QUARTER, Limits, Query, heat, lines, number, states

BUGS = 'result="bugs"'
RESTARTS = of("saga_operator_watch_restarts_total")

PAGE = Page(
    name="operator",
    title="Sagas: operator",
    description="The operator that keeps OrderSagas and their sagas in step.",
    variables=(NAMESPACE,),
    rows=(
        Row(
            "Leadership",
            (
                number(
                    "Leaders",
                    "Operators that lead: one in each namespace should. See docs/runbooks/operator-without-leader.md.",
                    "short",
                    Query(f"sum by ({SHOP}) ({of('saga_operator_is_leader')})", "{{namespace}}"),
                    width=QUARTER,
                    limits=Limits(alarms=2, least=1),
                ),
                number(
                    "Operators",
                    "Operators that are scraped.",
                    "short",
                    Query(f"count({of('saga_operator_is_leader')})"),
                    width=QUARTER,
                ),
                number(
                    "Malformed",
                    "OrderSagas that mean nothing: their condition Validated says why.",
                    "short",
                    Query(total("", "saga_operator_invalid_resources")),
                    width=QUARTER,
                    limits=Limits(warns=1),
                ),
                number(
                    "Waiting",
                    "OrderSagas that wait to be looked at.",
                    "short",
                    Query(total("", "saga_operator_queue_depth")),
                    width=QUARTER,
                    limits=Limits(warns=100, alarms=1000),
                ),
                states(
                    "Who leads",
                    "Which operator led when: a hand-over takes as long as the lease.",
                    "none",
                    Query(f"max by (instance) ({of('saga_operator_is_leader')}) == 1", "{{instance}}"),
                ),
            ),
        ),
        Row(
            "Resources",
            (
                lines(
                    "By phase",
                    "OrderSagas that are watched, by phase.",
                    "short",
                    Query(total("phase", "saga_operator_resources"), "{{phase}}"),
                    width=HALF,
                    stacked=True,
                ),
                lines(
                    "Waiting over time",
                    "OrderSagas that wait to be looked at, by operator.",
                    "short",
                    Query(most("instance", "saga_operator_queue_depth"), "{{instance}}"),
                    width=HALF,
                ),
                heat(
                    "How long a resource waited",
                    "How long a resource waited to be looked at.",
                    "s",
                    Query(rate("le", "saga_operator_queue_latency_seconds_bucket"), "{{le}}"),
                ),
                lines(
                    "Longest look",
                    "For how long the resource is looked at that has been for longest, by operator.",
                    "s",
                    Query(most("instance", "saga_operator_longest_running_seconds"), "{{instance}}"),
                    width=HALF,
                    limits=Limits(warns=30),
                ),
                lines(
                    "Messages heard",
                    "Messages heard per second of the sagas that are watched.",
                    "ops",
                    Query(f"sum(rate({of('saga_operator_messages_total')}[{RATE}]))", "messages"),
                ),
                lines(
                    "Aborts",
                    "Sagas per second that the operator asked to abort because they were due.",
                    "ops",
                    Query(f"sum(rate({of('saga_operator_aborts_total')}[{RATE}]))", "aborts"),
                ),
                lines(
                    "Made for the bulk",
                    "Resources made per second for sagas that came without one.",
                    "ops",
                    Query(f"sum(rate({of('saga_operator_materialized_total')}[{RATE}]))", "resources"),
                ),
            ),
        ),
        Row(
            "Kubernetes API",
            (
                lines(
                    "Writes",
                    "Writes to the API server per second, by verb and resource.",
                    "reqps",
                    Query(rate("verb, resource", "saga_operator_api_writes_total"), "{{verb}} {{resource}}"),
                ),
                lines(
                    "Not done",
                    "What the API server did not do, per second, and why.",
                    "reqps",
                    Query(rate("why", "saga_operator_api_failures_total"), "{{why}}"),
                ),
                lines(
                    "Requests",
                    "Requests to the API server per second, of the lease and of the watches too, by verb and answer.",
                    "reqps",
                    Query(rate("verb, code", "saga_operator_k8s_requests_total"), "{{verb}} {{code}}"),
                ),
                lines(
                    "Request p99",
                    "What 99 of 100 requests to the API server did not exceed, by verb. Watches are not timed.",
                    "s",
                    Query(quantile(0.99, "verb", "saga_operator_k8s_request_duration_seconds"), "{{verb}}"),
                ),
                lines(
                    "Watches begun again",
                    "Watches that were asked for again in ten minutes: each is once, for it ends by itself after that.",
                    "short",
                    Query(f"sum by (instance) (increase({RESTARTS}[10m]))", "{{instance}}"),
                ),
                lines(
                    "Looked at",
                    "Resources looked at per second: done, put off by what the world did, or by a bug of ours.",
                    "ops",
                    Query(rate("result", "saga_operator_reconcile_total"), "{{result}}"),
                ),
                heat(
                    "How long a look took",
                    "How long looking at a resource took, with everything that was done for it.",
                    "s",
                    Query(rate("le", "saga_operator_reconcile_duration_seconds_bucket"), "{{le}}"),
                ),
                lines(
                    "Look p99",
                    "What 99 of 100 looks at a resource did not exceed.",
                    "s",
                    Query(quantile(0.99, "", "saga_operator_reconcile_duration_seconds"), "p99"),
                    width=HALF,
                ),
                number(
                    "Writes in the time shown",
                    "Writes to the API server.",
                    "short",
                    Query(f"sum({grown('verb', 'saga_operator_api_writes_total')})"),
                    width=QUARTER,
                ),
                number(
                    "Bugs",
                    "Looks that failed for a reason that nobody had thought of: look into the log.",
                    "short",
                    Query(f"sum({grown('result', 'saga_operator_reconcile_total', BUGS)})"),
                    width=QUARTER,
                    limits=Limits(alarms=0.5),
                ),
                lines(
                    "Refused and lost",
                    "Statuses per second that were refused as somebody else had written another end, and Events of "
                    "Kubernetes that were not taken.",
                    "reqps",
                    Query(f"sum(rate({of('saga_operator_statuses_refused_total')}[{RATE}]))", "statuses refused"),
                    Query(f"sum(rate({of('saga_operator_events_lost_total')}[{RATE}]))", "Events lost"),
                    width=HALF,
                    limits=Limits(warns=0.001),
                ),
            ),
        ),
    ),
)
