"""Write the page of all metrics and spans, or check that it is current: `python -m onebox.metrics_page [--check]`."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import analytics_service.measures as analytics
import payment_service.metrics as payment
from sagakit.runtime.catalogue import ATTRIBUTES, CATALOGUE, PROCESS, SPAN_CATALOGUE, Named

PAGE = Path("docs/metrics.md")
COMMAND = "python -m onebox.metrics_page"
TELLERS = {
    "service": "every service",
    "initiator": "the initiator (order)",
    "operator": "the operator",
}
INTRODUCTION = f"""\
# Metrics, spans and attributes

Written by `{COMMAND}` from the catalogues in the code; a test holds that each metric here is
told in a run, and that nothing else is. How to use them: [observability.md](observability.md).

`/metrics` of each service answers as text, or as OpenMetrics with exemplars for whoever asks for that (`Accept:
application/openmetrics-text`). An exemplar has `trace_id`, `span_id` and `correlation_id`. No label holds an id, but
for the one family `saga_instance_…`, which is capped and ends with the saga.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when the page is current in the end."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when something would be written")
    parser.add_argument("page", type=Path, nargs="?", default=PAGE, help="where the page is")
    given = parser.parse_args(arguments)
    text = rendered()
    if given.page.exists() and given.page.read_text(encoding="utf-8") == text:
        return 0
    if given.check:
        print(f"{given.page} is not current: run {COMMAND}", file=sys.stderr)
        return 1
    given.page.write_text(text, encoding="utf-8")
    print(f"wrote {given.page}")
    return 0


def all_metrics() -> dict[str, tuple[Named, ...]]:
    """Return every catalogue by whose it is."""
    return {
        "The kit": CATALOGUE,
        "The payment service, with a provider over HTTP": payment.CATALOGUE,
        "The analytics service": analytics.CATALOGUE,
        "The process, as Prometheus' client tells it on Linux": PROCESS,
    }


def rendered() -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    for title, metrics in all_metrics().items():
        parts.append(f"## {title}\n\n" + "\n".join(_metrics(metrics)) + "\n")
    parts.append("## Spans\n\n" + "\n".join(_table(("span", "meaning"), ((s.name, s.meaning) for s in SPAN_CATALOGUE))))
    parts.append("\n## Attributes\n\n" + "\n".join(_table(("attribute", "meaning"), ATTRIBUTES.items())) + "\n")
    return "\n".join(parts)


def _metrics(metrics: Iterable[Named]) -> Iterator[str]:
    yield "| metric | kind | unit | labels | told by | meaning |"
    yield "|---|---|---|---|---|---|"
    for its in metrics:
        labels = ", ".join(f"`{label}`" for label in its.labels)
        yield f"| `{its.name}` | {its.kind} | {its.unit} | {labels} | {TELLERS[its.teller]} | {its.meaning} |"


def _table(heads: tuple[str, str], rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield f"| {heads[0]} | {heads[1]} |"
    yield "|---|---|"
    yield from (f"| `{name}` | {meaning} |" for name, meaning in rows)


if __name__ == "__main__":
    sys.exit(main())
