"""How the sagas fare as a whole: what was promised, how they end, what is under way, how long they take."""

from grafana_foundation_sdk.builders import stat

from observability.names import RATE, SHOP, grown, most, of, quantile, rate, total
from observability.objectives import (
    COMPLETED_SECONDS,
    IN_TIME,
    PUNCTUAL,
    PUNCTUAL_SECONDS,
    QUICK,
    READ_SECONDS,
    READ_SOON,
    TAKEN_BACK,
    Objective,
)
from observability.pages import DEFINITION, NAMESPACE, Page, Row
from observability.panels import FIFTH, HALF, SIXTH, THIRD, Limits, Query, heat, lines, number, rows

COMPLETED, KILLED = 'outcome="completed"', 'outcome="killed"'
OVERDUE, SLOW = 'code="DEADLINE_PASSED"', 'code="STEP_TIMED_OUT"'
SUCCEEDED, EXHAUSTED = 'result="succeeded"', 'result="exhausted"'
STATUS = {digit: f'status=~"{digit}.."' for digit in "245"}
WAITING, NOT_WAITING = 'phase="NeedsIntervention"', 'phase!="NeedsIntervention"'
UNHAPPY = " or ".join(
    f"increase({of(name, *matchers)}[$__range])"
    for name, matchers in (
        ("saga_finished_total", (KILLED,)),
        ("saga_timeouts_total", (OVERDUE,)),
        ("saga_step_stuck_total", ()),
        ("saga_compensations_total", (EXHAUSTED,)),
    )
)
"""Every saga that did not end in time by itself; the series differ in their labels, so that `or` keeps them all."""
ENDED = f"sum({grown('definition', 'saga_finished_total')})"
QUICKLY = grown("definition", "saga_duration_seconds_bucket", COMPLETED, f'le="{COMPLETED_SECONDS}"')
ALL_COMPLETED = grown("definition", "saga_duration_seconds_count", COMPLETED)
ASKED_PUNCTUALLY = grown("definition", "saga_timeout_lateness_seconds_bucket", f'le="{PUNCTUAL_SECONDS}"')
ALL_ASKED = grown("definition", "saga_timeout_lateness_seconds_count")
COMPENSATED = grown("definition", "saga_compensations_total", SUCCEEDED)
ALL_COMPENSATIONS = grown("definition", "saga_compensations_total")
READ_LATE = 'cluster_namespace_loop:saga_not_read_soon:bool{namespace=~"$namespace"}'
CHOSEN = ("namespace", "definition")
"""The labels that a reader chooses by."""


def burning(objective: Objective) -> list[Query]:
    """Ask how many times faster than allowed the budget is spent."""
    windows = ("5m", "1h", "6h", "3d")
    chosen = ", ".join(f'{label}=~"${label}"' for label in objective.labels if label in CHOSEN)
    return [
        Query(f"max({objective.series(window)}{{{chosen}}}) / {objective.budget:g}", f"over {window}")
        for window in windows
    ]


def wants(objective: Objective, what: str) -> str:
    """Say what the alerts want beside a burn rate."""
    return f"Alerts also want {objective.least.number} {what} in the longer window."


def kept(objective: Objective, title: str, share: str, asks: str, *, width: int = FIFTH) -> stat.Panel:
    """Show which share of what was promised is kept; some is lost below the whole, too much below the promise."""
    promise = objective.promise
    told = f"{share} Promised: {promise * 100:.6g}% over 30 days."
    limits = Limits(warns=1.0, alarms=promise, low=True)
    return number(title, told, "percentunit", Query(asks), width=width, limits=limits)


PAGE = Page(
    name="overview",
    title="Sagas: overview",
    description="Objectives, outcomes, what is under way, and durations of all sagas.",
    variables=(NAMESPACE, DEFINITION),
    rows=(
        Row(
            "Objectives",
            (
                kept(
                    IN_TIME,
                    "Ended in time",
                    "Share of sagas that ended completed or compensated, within their deadline and without a person, "
                    "in the time shown.",
                    f"1 - clamp_max(sum({UNHAPPY}) / ({ENDED} > 0), 1)",
                ),
                kept(
                    QUICK,
                    "Quickly completed",
                    f"Share of completed sagas that took at most {COMPLETED_SECONDS:g} s, in the time shown.",
                    f"sum({QUICKLY}) / (sum({ALL_COMPLETED}) > 0)",
                ),
                kept(
                    PUNCTUAL,
                    "Punctually asked to abort",
                    f"Share of the requests to abort that came at most {PUNCTUAL_SECONDS:g} s after a saga was due, in "
                    "the time shown.",
                    f"sum({ASKED_PUNCTUALLY}) / (sum({ALL_ASKED}) > 0)",
                ),
                kept(
                    TAKEN_BACK,
                    "Taken back",
                    "Share of compensations that succeeded before their attempts were used up, in the time shown.",
                    f"sum({COMPENSATED}) / (sum({ALL_COMPENSATIONS}) > 0)",
                ),
                kept(
                    READ_SOON,
                    "Read soon",
                    f"Share of the time shown in which what was read had waited for at most {READ_SECONDS:g} s, for "
                    "the consumer that is worst.",
                    f"1 - max(avg_over_time({READ_LATE}[$__range]))",
                    width=SIXTH,
                ),
                lines(
                    "Burn rate: ended in time",
                    "How many times faster than allowed the budget of 30 days is spent. 14.4 over 5 min and 1 h calls "
                    "a person; 1 spends exactly the budget. "
                    f"{wants(IN_TIME, 'that were not in time')}",
                    "none",
                    *burning(IN_TIME),
                    width=HALF,
                    limits=Limits(warns=1, alarms=14.4),
                ),
                lines(
                    "Burn rate: quickly completed",
                    f"The same for how long completed sagas take. {wants(QUICK, 'that were slow')}",
                    "none",
                    *burning(QUICK),
                    width=HALF,
                    limits=Limits(warns=1, alarms=14.4),
                ),
                lines(
                    "Burn rate: punctually asked to abort",
                    f"The same for requests to abort. {wants(PUNCTUAL, 'late ones')}",
                    "none",
                    *burning(PUNCTUAL),
                    limits=Limits(warns=1, alarms=14.4),
                ),
                lines(
                    "Burn rate: taken back",
                    f"The same for compensations. {wants(TAKEN_BACK, 'that were given up')}",
                    "none",
                    *burning(TAKEN_BACK),
                    limits=Limits(warns=1, alarms=14.4),
                ),
                lines(
                    "Burn rate: read soon",
                    f"The same for how long records wait, of the worst consumer. {wants(READ_SOON, 'minutes')}",
                    "none",
                    *burning(READ_SOON),
                    limits=Limits(warns=1, alarms=14.4),
                ),
                rows(
                    "Alerts that fire",
                    "Alerts of the platform that fire now; the page of each is docs/runbooks.",
                    "none",
                    Query('ALERTS{namespace=~"$namespace", alertstate="firing", alertname=~"Saga.+"}'),
                    ("job", "instance", "alertstate"),
                    width=24,
                ),
            ),
        ),
        Row(
            "Outcomes",
            (
                lines(
                    "Begun",
                    "Sagas begun per second, by who coordinates them.",
                    "ops",
                    Query(rate("mode", "saga_started_total"), "{{mode}}"),
                    stacked=True,
                ),
                lines(
                    "Ended",
                    "Sagas ended per second, by outcome.",
                    "ops",
                    Query(rate("outcome", "saga_finished_total"), "{{outcome}}"),
                    stacked=True,
                ),
                lines(
                    "Share of outcomes",
                    "How much of what ended was completed, compensated or killed. Compensated is no mistake: a card "
                    "was declined, or the stock was out.",
                    "percentunit",
                    Query(
                        f"{rate('outcome', 'saga_finished_total')} / ignoring (outcome) group_left "
                        f"sum({rate('outcome', 'saga_finished_total')})",
                        "{{outcome}}",
                    ),
                    stacked=True,
                ),
                number(
                    "Begun in the time shown",
                    "Sagas begun.",
                    "short",
                    Query(f"sum({grown('mode', 'saga_started_total')})"),
                ),
                number("Ended in the time shown", "Sagas ended.", "short", Query(ENDED)),
                number(
                    "Completed",
                    "Share of the sagas that ended that were completed.",
                    "percentunit",
                    Query(f"sum({grown('outcome', 'saga_finished_total', COMPLETED)}) / ({ENDED} > 0)"),
                ),
                number(
                    "Killed",
                    "Sagas that a person ended without taking anything back.",
                    "short",
                    Query(f"sum({grown('outcome', 'saga_finished_total', KILLED)})"),
                    limits=Limits(alarms=0.5),
                ),
                number(
                    "Deadlines passed",
                    "Sagas asked to abort because their deadline passed.",
                    "short",
                    Query(f"sum({grown('code', 'saga_timeouts_total', OVERDUE)})"),
                    limits=Limits(warns=0.5),
                ),
                number(
                    "Steps that took too long",
                    "Sagas asked to abort because one step took longer than it may.",
                    "short",
                    Query(f"sum({grown('code', 'saga_timeouts_total', SLOW)})"),
                    limits=Limits(warns=0.5),
                ),
            ),
        ),
        Row(
            "Under way",
            (
                number(
                    "Active",
                    "Sagas of all definitions that have not ended.",
                    "short",
                    Query(f"sum({most(f'{SHOP}, phase', 'saga_active')})"),
                ),
                number(
                    "Stuck",
                    "Sagas of all definitions that wait for a person: see docs/runbooks/stuck-sagas.md.",
                    "short",
                    Query(total("", "saga_stuck")),
                    limits=Limits(alarms=1),
                ),
                number(
                    "Oldest",
                    "The age of the oldest saga, of all definitions, that neither has ended nor waits for a person.",
                    "s",
                    Query(f"max({of('saga_oldest_active_age_seconds', NOT_WAITING)})"),
                    limits=Limits(warns=300, alarms=900),
                ),
                number(
                    "Oldest stuck",
                    "The age of the oldest saga, of all definitions, that waits for a person.",
                    "s",
                    Query(f"max({of('saga_oldest_active_age_seconds', WAITING)})"),
                    limits=Limits(warns=1, alarms=3600),
                ),
                number(
                    "Without a series",
                    "Live sagas of all definitions beyond the cap of those that have series of their own; look them up "
                    "with sagactl.",
                    "short",
                    Query(total("", "saga_instance_series_dropped")),
                ),
                number(
                    "Services",
                    "Programs of the platform that are scraped.",
                    "short",
                    Query(f"count(count by ({SHOP}, service) ({of('saga_build_info')}))"),
                ),
                lines(
                    "Active by phase",
                    "Sagas of all definitions that have not ended, by phase.",
                    "short",
                    Query(total("phase", "saga_active"), "{{phase}}"),
                    width=THIRD,
                    stacked=True,
                ),
                lines(
                    "Oldest by phase",
                    "The age of the oldest saga of each phase, of all definitions; 0 when there is none.",
                    "s",
                    Query(most("phase", "saga_oldest_active_age_seconds"), "{{phase}}"),
                ),
                lines(
                    "Stuck over time",
                    "Sagas of all definitions that wait for a person.",
                    "short",
                    Query(total("", "saga_stuck"), "stuck"),
                ),
            ),
        ),
        Row(
            "Durations",
            (
                heat(
                    "How long sagas took",
                    "From the beginning of a saga to its end. Each dot is a saga: it opens its trace in Jaeger.",
                    "s",
                    Query(rate("le", "saga_duration_seconds_bucket"), "{{le}}"),
                ),
                lines(
                    "Quantiles",
                    "What half, 90 and 99 of 100 completed sagas did not exceed; with exemplars.",
                    "s",
                    *(
                        Query(quantile(share, "", "saga_duration_seconds", COMPLETED), f"p{share * 100:g}")
                        for share in (0.5, 0.9, 0.99)
                    ),
                    width=HALF,
                    exemplars=True,
                ),
                lines(
                    "p99 by outcome",
                    "What 99 of 100 sagas did not exceed, by outcome.",
                    "s",
                    Query(quantile(0.99, "outcome", "saga_duration_seconds"), "{{outcome}}"),
                    width=HALF,
                ),
                lines(
                    "p99 by coordination",
                    "What 99 of 100 completed sagas did not exceed, by who coordinates them.",
                    "s",
                    Query(quantile(0.99, "mode", "saga_duration_seconds", COMPLETED), "{{mode}}"),
                    width=HALF,
                ),
                rows(
                    "Versions",
                    "What runs, and since which version.",
                    "short",
                    Query(f"count by ({SHOP}, service, version) ({of('saga_build_info')})"),
                    width=HALF,
                ),
                lines(
                    "HTTP requests",
                    "Requests answered per second, by the first digit of the status.",
                    "reqps",
                    *(
                        Query(
                            f"sum(rate({of('saga_http_requests_total', STATUS[digit])}[{RATE}])) or vector(0)",
                            f"{digit}xx",
                        )
                        for digit in STATUS
                    ),
                    width=HALF,
                ),
            ),
        ),
    ),
)
