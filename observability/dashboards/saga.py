"""One saga, by its correlation id; and beside it those that live now."""

from observability.names import of, total
from observability.pages import DEFINITION, NAMESPACE, Page, Row, Variable
from observability.panels import FULL, HALF, QUARTER, Limits, Query, lines, note, number, rows, states

ITS = 'correlation_id="$correlation_id"'
JAEGER = "${jaeger}/search?service=order&lookback=2d&tags=%7B%22saga.correlation_id%22%3A%22$correlation_id%22%7D"
WORDS = f"""
[Its trace in Jaeger]({JAEGER}), which has every service in it.

```sh
sagactl describe $correlation_id    # how it stands, what it waits for, what helps
sagactl timeline $correlation_id    # which step took how long
sagactl events $correlation_id      # everything that was said
```

Log lines of all services: those with `"correlation_id":"$correlation_id"`.
"""

PAGE = Page(
    name="saga",
    title="Sagas: one saga",
    description="One saga that lives or is stuck, by its correlation id. A saga that has ended has no series: its "
    "trace and its story stay.",
    variables=(
        NAMESPACE,
        DEFINITION,
        Variable(
            "correlation_id",
            "Correlation id",
            "The id that the caller knows the saga by; any may be typed.",
            "saga_instance_phase",
            several=False,
        ),
        Variable("jaeger", "Jaeger", "Where Jaeger's pages are.", begins="http://localhost:16686"),
    ),
    rows=(
        Row(
            "This saga",
            (
                number(
                    "Phase",
                    "Where it stands. None: it has ended, or lives beyond the cap of sagas with series.",
                    "none",
                    Query(f"max by (phase) ({of('saga_instance_phase', ITS)})", "{{phase}}"),
                    width=QUARTER,
                ),
                number(
                    "Until its deadline",
                    "How long until it is asked to abort; below 0 that is overdue.",
                    "s",
                    Query(f"min({of('saga_instance_deadline_timestamp_seconds', ITS)}) - time()"),
                    width=QUARTER,
                    limits=Limits(warns=5, alarms=0, low=True),
                ),
                number(
                    "Deadline",
                    "When it is due.",
                    "dateTimeAsIso",
                    Query(f"1000 * min({of('saga_instance_deadline_timestamp_seconds', ITS)})"),
                    width=QUARTER,
                ),
                number(
                    "Definition",
                    "Which definition it follows, and its version.",
                    "none",
                    Query(f"max by (definition) ({of('saga_instance_phase', ITS)})", "{{definition}}"),
                    width=QUARTER,
                ),
                states(
                    "Phases",
                    "Which phases it was in while it was scraped; a phase shorter than that is in the trace only.",
                    "none",
                    Query(f"max by (phase) ({of('saga_instance_phase', ITS)})", "{{phase}}"),
                ),
                note("More of it", "Where the rest of its story is.", WORDS, width=FULL),
            ),
        ),
        Row(
            "Sagas that live",
            (
                rows(
                    "Live and stuck",
                    "Sagas with series of their own: at most the cap, the stuck ones first, then the oldest.",
                    "none",
                    Query(f"max by (correlation_id, definition, phase) ({of('saga_instance_phase')})"),
                    ("Value",),
                ),
                rows(
                    "Due next",
                    "Live sagas by how long is left until their deadline.",
                    "s",
                    Query(
                        "sort(min by (correlation_id, definition) "
                        f"({of('saga_instance_deadline_timestamp_seconds')}) - time())"
                    ),
                ),
                lines(
                    "With and without series",
                    "Live sagas of all definitions that have series, and those beyond the cap.",
                    "short",
                    Query(f"count(max by (correlation_id) ({of('saga_instance_phase')}))", "with"),
                    Query(total("", "saga_instance_series_dropped"), "without"),
                    width=HALF,
                    stacked=True,
                ),
                lines(
                    "Least time left",
                    "How long the live saga that is due next has left; below 0 it is overdue.",
                    "s",
                    Query(f"min({of('saga_instance_deadline_timestamp_seconds')}) - time()", "left"),
                    width=HALF,
                ),
            ),
        ),
    ),
)
