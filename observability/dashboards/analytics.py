"""The analytics: whether its views keep up with what happens. What they say of the shop is on its own page."""

from observability.names import RATE, grown, most, of, rate, total
from observability.pages import NAMESPACE, Page, Row
from observability.panels import HALF, QUARTER, Limits, Query, lines, number

ITS, VIEWS = 'loop=~"analytics.*"', 'loop="analytics views"'

ASKED = 'job=~".*analytics"'
BEGUN = of("saga_started_total").replace(', definition=~"$definition"', "")

PAGE = Page(
    name="analytics",
    title="Sagas: analytics",
    description="Whether the views of the analytics service keep up with the log, and what is asked of it.",
    variables=(NAMESPACE,),
    rows=(
        Row(
            "Now",
            (
                number(
                    "Behind",
                    "How long the oldest record of the last batch of the views had waited in the log.",
                    "s",
                    Query(f"max({of('saga_event_lag_seconds', VIEWS)})"),
                    width=QUARTER,
                    limits=Limits(warns=5, alarms=30),
                ),
                number(
                    "Records behind",
                    "Records that the views have not counted yet.",
                    "short",
                    Query(f"sum({of('saga_consumer_lag_records', VIEWS)})"),
                    width=QUARTER,
                    limits=Limits(warns=10_000),
                ),
                number(
                    "Read in the time shown",
                    "Records taken from the log.",
                    "short",
                    Query(f"sum({grown('loop', 'saga_records_read_total', ITS)})"),
                    width=QUARTER,
                ),
                number(
                    "Loops that fail",
                    "Loops of the service whose last step failed.",
                    "short",
                    Query(f"count({of('saga_loop_failing', ITS)} > 0) or vector(0)"),
                    width=QUARTER,
                    limits=Limits(warns=1),
                ),
            ),
        ),
        Row(
            "Event time",
            (
                number(
                    "Not counted since",
                    "How long the oldest event that the views have not counted has been in the log.",
                    "s",
                    Query(f"max({of('saga_analytics_lag_seconds')})"),
                    width=QUARTER,
                    limits=Limits(warns=5, alarms=30),
                ),
                number(
                    "Late in the time shown",
                    "Events that came after their partition had closed what they belong to: windows have them apart.",
                    "short",
                    Query(f"sum({grown('topic', 'saga_analytics_late_events_total')})"),
                    width=QUARTER,
                    limits=Limits(warns=1),
                ),
                number(
                    "Oldest unmatched",
                    "The age of the oldest order of which something is missing: a payment, a reservation, its end.",
                    "s",
                    Query(f"max({of('saga_analytics_oldest_unmatched_age_seconds')})"),
                    width=QUARTER,
                    limits=Limits(warns=900),
                ),
                number(
                    "Version",
                    "The number of the version of the views that answers: a rebuild brings the next.",
                    "none",
                    Query(f"max({of('saga_analytics_version')})"),
                    width=QUARTER,
                ),
                lines(
                    "Watermark age",
                    "How far event time is behind the clock, by topic. While nothing is ordered it grows everywhere.",
                    "s",
                    Query(most("topic", "saga_analytics_watermark_age_seconds"), "{{topic}}"),
                ),
                lines(
                    "Late",
                    "Events per second that came after their partition had closed what they belong to, by topic.",
                    "ops",
                    Query(rate("topic", "saga_analytics_late_events_total"), "{{topic}}"),
                    limits=Limits(warns=0.001),
                ),
                lines(
                    "Odd",
                    "Events per second that were heard before, or have a time that nobody believes.",
                    "ops",
                    Query(rate("kind", "saga_analytics_odd_events_total"), "{{kind}}"),
                ),
                lines(
                    "Results",
                    "Orders per second of which nothing is missing any more, and those of high value that were said.",
                    "ops",
                    Query(rate("result", "saga_analytics_results_total"), "{{result}}"),
                    width=HALF,
                ),
                lines(
                    "State",
                    "Orders that the views hold a row of.",
                    "short",
                    Query(total("", "saga_analytics_state_rows"), "orders"),
                    width=HALF,
                ),
                lines(
                    "Taken in",
                    "Events per second that the views took in, by topic.",
                    "ops",
                    Query(rate("topic", "saga_analytics_events_total"), "{{topic}}"),
                    width=HALF,
                    stacked=True,
                ),
                lines(
                    "Unmatched over time",
                    "The age of the oldest order of which something is missing.",
                    "s",
                    Query(f"max({of('saga_analytics_oldest_unmatched_age_seconds')})", "oldest"),
                    width=HALF,
                    limits=Limits(warns=900),
                ),
            ),
        ),
        Row(
            "Over time",
            (
                lines(
                    "Read",
                    "Records taken from the log per second.",
                    "ops",
                    Query(rate("loop", "saga_records_read_total", ITS), "{{loop}}"),
                ),
                lines(
                    "Records per batch",
                    "How many records shared a transaction: views gather them in pauses.",
                    "short",
                    Query(
                        f"{rate('loop', 'saga_records_read_total', ITS)} / {rate('loop', 'saga_batches_total', ITS)}",
                        "{{loop}}",
                    ),
                ),
                lines(
                    "Lag in seconds",
                    "How long the oldest record of the last batch had waited in the log.",
                    "s",
                    Query(most("loop", "saga_event_lag_seconds", ITS), "{{loop}}"),
                    limits=Limits(warns=5, alarms=30),
                ),
                lines(
                    "Lag in records",
                    "Records that are not counted yet, by the views and by the desk, which looks out for high values.",
                    "short",
                    Query(f"sum by (loop) ({of('saga_consumer_lag_records', ITS)})", "{{loop}}"),
                ),
                lines(
                    "Dead letters",
                    "Messages that the service could not handle, in five minutes.",
                    "short",
                    Query(f"sum by (loop) (increase({of('saga_dlq_messages_total', ITS)}[5m]))", "{{loop}}"),
                    limits=Limits(alarms=0.5),
                ),
                lines(
                    "Failing loops",
                    "Steps that failed in a row; 0 is well.",
                    "short",
                    Query(most("loop", "saga_loop_failing", ITS), "{{loop}}"),
                    limits=Limits(warns=1, alarms=5),
                ),
                lines(
                    "Requests",
                    "What is asked of the service per second, by route.",
                    "reqps",
                    Query(
                        f"sum by (route) (rate({of('saga_http_requests_total', ASKED)}[{RATE}]))",
                        "{{route}}",
                    ),
                    width=HALF,
                ),
                lines(
                    "Begun and counted",
                    "Sagas begun per second, beside records that the analytics read.",
                    "ops",
                    Query(
                        f"sum(rate({BEGUN}[{RATE}]))",
                        "sagas",
                    ),
                    Query(f"sum(rate({of('saga_records_read_total', ITS)}[{RATE}]))", "records"),
                    width=HALF,
                ),
            ),
        ),
    ),
)
