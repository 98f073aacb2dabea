"""Messages: how they flow, what waits, what nobody could handle, and whether the loops that carry them do well."""

from observability.names import SHOP, grown, most, of, quantile, rate, total
from observability.pages import NAMESPACE, Page, Row
from observability.panels import FULL, HALF, QUARTER, Limits, Query, heat, lines, number, rows, states

FAILED, NO_PROBE = 'status=~"5.."', 'route!~"/readyz|/healthz|/metrics"'
GROUP, FAILED_BATCH = "messaging_consumer_group_name", 'error_type!=""'

PAGE = Page(
    name="messaging",
    title="Sagas: messaging and dead letters",
    description="Outbox, log, consumers, dead letters and the loops of every service.",
    variables=(NAMESPACE,),
    rows=(
        Row(
            "Now",
            (
                number(
                    "Dead letters",
                    "Messages that nobody could handle, in the time shown: see docs/runbooks/dead-letters.md.",
                    "short",
                    Query(f"sum({grown('loop', 'saga_dlq_messages_total')})"),
                    width=QUARTER,
                    limits=Limits(alarms=0.5),
                ),
                number(
                    "Parked",
                    "Messages that wait for their saga or its definition.",
                    "short",
                    Query(f"sum({most(f'{SHOP}, job', 'saga_parked_messages')})"),
                    width=QUARTER,
                    limits=Limits(warns=1),
                ),
                number(
                    "Oldest in an outbox",
                    "The age of the oldest message that is not published yet.",
                    "s",
                    Query(f"max({of('saga_outbox_oldest_age_seconds')})"),
                    width=QUARTER,
                    limits=Limits(warns=5, alarms=30),
                ),
                number(
                    "Loops that fail",
                    "Loops whose last step failed.",
                    "short",
                    Query(f"count({of('saga_loop_failing')} > 0) or vector(0)"),
                    width=QUARTER,
                    limits=Limits(warns=1),
                ),
            ),
        ),
        Row(
            "What nobody could handle",
            (
                number(
                    "Dead letters that wait",
                    "Dead letters that nobody has redriven or discarded: see docs/runbooks/dead-letters.md.",
                    "short",
                    Query(f"sum({most(f'{SHOP}, topic', 'saga_dlq_depth')})"),
                    width=QUARTER,
                    limits=Limits(warns=1),
                ),
                lines(
                    "Waiting by topic",
                    "Dead letters that nobody has redriven or discarded, as far as the log keeps them.",
                    "short",
                    Query(total("topic", "saga_dlq_depth"), "{{topic}}"),
                    limits=Limits(warns=1),
                ),
                lines(
                    "Dead letters over time",
                    "Messages sent to the dead letters in five minutes, by consumer.",
                    "short",
                    Query(f"sum by (loop) (increase({of('saga_dlq_messages_total')}[5m]))", "{{loop}}"),
                    limits=Limits(alarms=0.5),
                ),
            ),
        ),
        Row(
            "Flow",
            (
                lines(
                    "Published",
                    "Messages published from the outbox per second.",
                    "ops",
                    Query(rate("loop", "saga_messages_sent_total"), "{{loop}}"),
                ),
                lines(
                    "Handled",
                    "Messages handled per second.",
                    "ops",
                    Query(rate("loop", "saga_messages_consumed_total"), "{{loop}}"),
                ),
                lines(
                    "Published by topic",
                    "Messages published per second, by topic.",
                    "ops",
                    Query(rate("topic", "saga_messages_sent_total"), "{{topic}}"),
                ),
                lines(
                    "Handled by topic",
                    "Messages handled per second, by topic: each consumer that listens counts its own.",
                    "ops",
                    Query(rate("topic", "saga_messages_consumed_total"), "{{topic}}"),
                ),
                lines(
                    "Read",
                    "Records taken from the log per second; some are nothing to whoever reads them.",
                    "ops",
                    Query(rate("loop", "saga_records_read_total"), "{{loop}}"),
                ),
                lines(
                    "Records per batch",
                    "How many records shared a transaction.",
                    "short",
                    Query(
                        f"{rate('loop', 'saga_records_read_total')} / {rate('loop', 'saga_batches_total')}", "{{loop}}"
                    ),
                ),
                lines(
                    "Duplicates",
                    "Messages per second that were no news: heard before. They are harmless, and rise after a restart.",
                    "ops",
                    Query(rate("loop", "saga_message_duplicates_total"), "{{loop}}"),
                ),
                lines(
                    "Fenced",
                    "Batches per second that were dropped, because another instance had their partitions.",
                    "ops",
                    Query(rate("loop", "saga_fenced_total"), "{{loop}}"),
                ),
            ),
        ),
        Row(
            "How long it takes",
            (
                heat(
                    "Batches handled",
                    "From when a batch was read to when what it led to was durable.",
                    "s",
                    Query(rate("le", "messaging_process_duration_seconds_bucket"), "{{le}}"),
                ),
                lines(
                    "Handling p99",
                    "What 99 of 100 batches did not exceed, by consumer group: reading, deciding, and one transaction.",
                    "s",
                    Query(quantile(0.99, GROUP, "messaging_process_duration_seconds"), f"{{{{{GROUP}}}}}"),
                    width=HALF,
                ),
                lines(
                    "Publishing p99",
                    "What 99 of 100 batches of the outbox did not exceed until the log had them, by service.",
                    "s",
                    Query(quantile(0.99, "job", "messaging_client_operation_duration_seconds"), "{{job}}"),
                    width=HALF,
                ),
                lines(
                    "Batches that failed",
                    "Batches per second that were not handled or not published, by the kind of error. They come again.",
                    "ops",
                    Query(
                        rate("error_type", "messaging_process_duration_seconds_count", FAILED_BATCH),
                        "handling: {{error_type}}",
                    ),
                    Query(
                        rate("error_type", "messaging_client_operation_duration_seconds_count", FAILED_BATCH),
                        "publishing: {{error_type}}",
                    ),
                    width=HALF,
                ),
            ),
        ),
        Row(
            "What waits",
            (
                lines(
                    "Outbox",
                    "Messages that wait in the outbox, by service.",
                    "short",
                    Query(total("job", "saga_outbox_pending"), "{{job}}"),
                ),
                lines(
                    "Outbox age",
                    "The age of the oldest message in the outbox, by service: see docs/runbooks/outbox-stale.md.",
                    "s",
                    Query(most("job", "saga_outbox_oldest_age_seconds"), "{{job}}"),
                    limits=Limits(warns=5, alarms=30),
                ),
                lines(
                    "Parked over time",
                    "Messages that wait for their saga or its definition, by service.",
                    "short",
                    Query(total("job", "saga_parked_messages"), "{{job}}"),
                ),
                lines(
                    "Lag in records",
                    "Records that are not handled yet, by consumer: each instance counts its own partitions.",
                    "short",
                    Query(f"sum by (loop) ({of('saga_consumer_lag_records')})", "{{loop}}"),
                    width=HALF,
                ),
                lines(
                    "Lag in seconds",
                    "How long the oldest record of the last batch had waited in the log.",
                    "s",
                    Query(most("loop", "saga_event_lag_seconds"), "{{loop}}"),
                    width=HALF,
                    limits=Limits(warns=5, alarms=30),
                ),
                lines(
                    "Lag by topic",
                    "How long the oldest record of the last batch had waited in the log, by topic.",
                    "s",
                    Query(most("topic", "saga_event_lag_seconds"), "{{topic}}"),
                    limits=Limits(warns=5, alarms=30),
                ),
                lines(
                    "Partitions",
                    "Partitions that all instances of a consumer handle together: below what it should have, nobody "
                    "reads the others. See docs/runbooks/consumer-lag.md.",
                    "short",
                    Query(f"sum by (loop) ({of('saga_consumer_partitions')})", "{{loop}}"),
                ),
            ),
        ),
        Row(
            "What went wrong",
            (
                lines(
                    "Failing loops",
                    "Steps that failed in a row; 0 is well. They are tried again, with longer and longer pauses.",
                    "short",
                    Query(f"{most('loop', 'saga_loop_failing')} > 0", "{{loop}}"),
                    width=HALF,
                    limits=Limits(warns=1, alarms=5),
                ),
                lines(
                    "HTTP failures",
                    "Share of requests that a service answered with 5xx; probes and scrapes are left out.",
                    "percentunit",
                    Query(
                        f"({rate('job', 'saga_http_requests_total', FAILED, NO_PROBE)} "
                        f"or 0 * {rate('job', 'saga_http_requests_total', NO_PROBE)}) / "
                        f"{rate('job', 'saga_http_requests_total', NO_PROBE)}",
                        "{{job}}",
                    ),
                    width=HALF,
                    limits=Limits(warns=0.01, alarms=0.05),
                ),
                rows(
                    "HTTP by route",
                    "Requests answered in the time shown, by service, route and status.",
                    "short",
                    Query(f"topk(20, {grown('job, method, route, status', 'saga_http_requests_total')} > 0)"),
                    width=FULL,
                ),
            ),
        ),
        Row(
            "What sees",
            (
                states(
                    "Scraped",
                    "Whether Prometheus reaches each instance.",
                    "none",
                    Query('up{namespace=~"$namespace", job=~"sagaplane-.+"}', "{{job}} {{instance}}"),
                ),
                lines(
                    "Spans",
                    "Spans per second that the collector took.",
                    "ops",
                    Query(rate("job", "saga_spans_exported_total"), "{{job}}"),
                    width=HALF,
                ),
                lines(
                    "Spans waiting",
                    "Spans that the collector has not taken yet: many, and more and more, when it takes none.",
                    "short",
                    Query(f"sum by (job) ({of('saga_spans_waiting')})", "{{job}}"),
                    width=HALF,
                ),
                lines(
                    "Spans dropped",
                    "Spans per second that were dropped: the collector was away, or slower than we are.",
                    "ops",
                    Query(rate("job", "saga_spans_dropped_total"), "{{job}}"),
                    width=HALF,
                    limits=Limits(warns=0.001),
                ),
            ),
        ),
    ),
)
