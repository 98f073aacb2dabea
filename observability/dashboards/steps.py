"""How steps and compensations fare, and how late deadlines are acted upon."""

from observability.names import RATE, grown, most, of, quantile, rate
from observability.objectives import PUNCTUAL_SECONDS, TAKEN_BACK
from observability.pages import DEFINITION, NAMESPACE, Page, Row
from observability.panels import HALF, Limits, Query, heat, lines, number

OUTCOMES = rate("step, outcome", "saga_step_duration_seconds_count")
REFUSED, SOON = 'outcome="refused"', f'le="{PUNCTUAL_SECONDS}"'
SUCCEEDED, DOUBTFUL = 'result="succeeded"', 'result="unknown"'
ENDED = grown("result", "saga_compensations_total")

PAGE = Page(
    name="steps",
    title="Sagas: steps and compensation",
    description="Durations and outcomes of steps, what is taken back and whether that works, deadlines, and the "
    "payment provider.",
    variables=(NAMESPACE, DEFINITION),
    rows=(
        Row(
            "Steps",
            (
                lines(
                    "Outcomes",
                    "Steps that ended per second: succeeded, refused, or barred because the saga had been aborted.",
                    "ops",
                    Query(OUTCOMES, "{{step}} {{outcome}}"),
                ),
                lines(
                    "p99 by step",
                    "What 99 of 100 steps did not exceed: the way through log and queue, and the work.",
                    "s",
                    Query(quantile(0.99, "step", "saga_step_duration_seconds"), "{{step}}"),
                    exemplars=True,
                ),
                lines(
                    "p50 by step",
                    "What half of the steps did not exceed.",
                    "s",
                    Query(quantile(0.5, "step", "saga_step_duration_seconds"), "{{step}}"),
                ),
                heat(
                    "How long steps took",
                    "From what a step was caused by to its answer. Each dot opens the trace of a saga.",
                    "s",
                    Query(rate("le", "saga_step_duration_seconds_bucket"), "{{le}}"),
                ),
                lines(
                    "Refused",
                    "Share of the steps that were refused: declined cards, no stock.",
                    "percentunit",
                    Query(
                        f"{rate('step', 'saga_step_duration_seconds_count', REFUSED)} / "
                        f"{rate('step', 'saga_step_duration_seconds_count')}",
                        "{{step}}",
                    ),
                    width=HALF,
                ),
                lines(
                    "Mean by step",
                    "How long a step took on average.",
                    "s",
                    Query(
                        f"{rate('step', 'saga_step_duration_seconds_sum')} / "
                        f"{rate('step', 'saga_step_duration_seconds_count')}",
                        "{{step}}",
                    ),
                ),
                lines(
                    "Tried again",
                    "Attempts of which no outcome is known, so that they are tried again, per second.",
                    "ops",
                    Query(rate("command", "saga_step_attempts_total", DOUBTFUL), "{{command}}"),
                ),
                lines(
                    "Attempts",
                    "Attempts at steps and at their compensations per second, by how they ended.",
                    "ops",
                    Query(rate("step, result", "saga_step_attempts_total"), "{{step}} {{result}}"),
                ),
                lines(
                    "Stuck steps",
                    "Actions whose attempts were used up, in the last quarter of an hour.",
                    "short",
                    Query(f"sum by (step) (increase({of('saga_step_stuck_total')}[15m]))", "{{step}}"),
                    limits=Limits(alarms=1),
                ),
            ),
        ),
        Row(
            "Compensation",
            (
                number(
                    "Taken back",
                    "Compensations that succeeded in the time shown.",
                    "short",
                    Query(f"sum({grown('result', 'saga_compensations_total', SUCCEEDED)})"),
                ),
                number(
                    "Exhausted",
                    "Compensations whose attempts were used up: see docs/runbooks/compensation-exhausted.md.",
                    "short",
                    Query(f"sum({grown('step', 'saga_compensation_exhausted_total')})"),
                    limits=Limits(alarms=0.5),
                ),
                number(
                    "Successful",
                    "Share of compensations that succeeded without a person.",
                    "percentunit",
                    Query(f"sum({grown('result', 'saga_compensations_total', SUCCEEDED)}) / (sum({ENDED}) > 0)"),
                    limits=Limits(warns=1.0, alarms=TAKEN_BACK.promise, low=True),
                ),
                lines(
                    "Compensations",
                    "Compensations per second, by step and result.",
                    "ops",
                    Query(rate("step, result", "saga_compensations_total"), "{{step}} {{result}}"),
                    width=HALF,
                ),
                heat(
                    "How long compensations took",
                    "From what demanded a compensation to its answer. Each dot opens the trace of a saga.",
                    "s",
                    Query(rate("le", "saga_compensation_duration_seconds_bucket"), "{{le}}"),
                ),
                lines(
                    "Compensation p99",
                    "What 99 of 100 compensations did not exceed.",
                    "s",
                    Query(quantile(0.99, "step", "saga_compensation_duration_seconds"), "{{step}}"),
                    width=HALF,
                    exemplars=True,
                ),
            ),
        ),
        Row(
            "Deadlines",
            (
                lines(
                    "Timed out",
                    "Sagas asked to abort per second: their deadline passed, or a step took too long.",
                    "ops",
                    Query(rate("code", "saga_timeouts_total"), "{{code}}"),
                ),
                lines(
                    "Lateness p99",
                    "From when a saga was due to when it was asked to abort. Above 2 s the scan of deadlines is late.",
                    "s",
                    Query(quantile(0.99, "code", "saga_timeout_lateness_seconds"), "{{code}}"),
                    limits=Limits(warns=1, alarms=2),
                ),
                lines(
                    "Later than 2 s",
                    "Share of the sagas that were asked to abort more than 2 s after they were due.",
                    "percentunit",
                    Query(
                        f"1 - {rate('code', 'saga_timeout_lateness_seconds_bucket', SOON)} / "
                        f"{rate('code', 'saga_timeout_lateness_seconds_count')}",
                        "{{code}}",
                    ),
                ),
            ),
        ),
        Row(
            "Payment provider",
            (
                lines(
                    "Calls",
                    "Requests to the provider per second, repeated ones too. The built-in bank is no provider.",
                    "reqps",
                    Query(f"sum(rate({of('saga_payment_provider_calls_total')}[{RATE}]))", "calls"),
                    Query(f"sum(rate({of('saga_payment_provider_retries_total')}[{RATE}]))", "of them repeated"),
                ),
                lines(
                    "No answers",
                    "Charges and refunds of which the provider told no outcome, per second.",
                    "ops",
                    Query(f"sum(rate({of('saga_payment_provider_no_answers_total')}[{RATE}]))", "no answer"),
                ),
                lines(
                    "Circuit",
                    "1 while the provider is left alone, or only tried.",
                    "short",
                    Query(most("instance", "saga_payment_provider_circuit_open"), "{{instance}}"),
                    limits=Limits(alarms=1),
                ),
            ),
        ),
    ),
)
