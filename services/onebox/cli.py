"""sagactl: the command line of Sagaplane. This module only says which commands there are; it imports little."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from onebox.commands import (
    analytics,
    books,
    dead_letters,
    definitions,
    demo,
    dev,
    doctor,
    look,
    many,
    metrics,
    offsets,
    place,
    platform,
    steer,
    top,
    trace,
    versions,
)
from onebox.errors import MEANINGS, ExitCode

SETTINGS = (
    "Services are found at 127.0.0.1, or where SAGACTL_ORDER_URL, SAGACTL_PAYMENT_URL, SAGACTL_INVENTORY_URL, "
    "SAGACTL_SHIPPING_URL, SAGACTL_NOTIFICATION_URL and SAGACTL_ANALYTICS_URL say; Jaeger likewise by "
    "SAGACTL_JAEGER_URL. Prometheus is asked where SAGACTL_PROMETHEUS_URL names it. SAGACTL_ACTOR names who asks; "
    "SAGACTL_TIMEOUT_SECONDS bounds each answer."
)
EPILOG = "\n\n".join(
    [
        "Exit codes:",
        *(f"{code.value}  {meaning}" for code, meaning in MEANINGS.items()),
        SETTINGS,
    ]
)

app = typer.Typer(
    name="sagactl",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog=EPILOG,
)


def tell_version(context: typer.Context, asked: bool) -> None:
    """Print the program and the version, if that is asked, and end."""
    if asked:
        from importlib.metadata import version

        print(f"{context.find_root().info_name} {version('sagaplane')}")
        raise typer.Exit


@app.callback()
def sagactl(
    _version: Annotated[
        bool, typer.Option("--version", callback=tell_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    _no_color: Annotated[
        bool, typer.Option("--no-color", help="Print no colours; works behind a command too, as does NO_COLOR=1.")
    ] = False,
) -> None:
    """Run the shop on this machine, place orders, and see and steer their sagas."""


def add(to: typer.Typer, name: str, command: Callable[..., Any], *examples: str, panel: str | None = None) -> None:
    """Make a command known, with its examples."""
    epilog = "\n\n".join(["Example:" if len(examples) == 1 else "Examples:", *examples])
    to.command(name, epilog=epilog, rich_help_panel=panel)(command)


LOOK, RUN, STEER = "Look", "Run", "Steer"

add(app, "demo", demo.demo, "sagactl demo", "sagactl demo --seed 42 --stay", "sagactl demo --here", panel=RUN)
add(app, "dev", dev.dev, "sagactl dev", "sagactl dev --fresh --processes 2", panel=RUN)
add(app, "submit", place.submit, "sagactl submit --item prod-1:2:9.99 --item prod-2:1:5 --wait", panel=RUN)
add(app, "audit", books.audit, "sagactl audit", "sagactl audit --all-lines -o json", panel=LOOK)
add(app, "list", look.list_, "sagactl list --phase NeedsIntervention", "sagactl list --orders -o json", panel=LOOK)
add(app, "describe", look.describe, "sagactl describe order-7", panel=LOOK)
add(app, "timeline", look.timeline, "sagactl timeline order-7 --width 120", panel=LOOK)
add(app, "graph", look.graph, "sagactl graph order/1 --format mermaid", "sagactl graph order-7", panel=LOOK)
add(app, "events", look.events, "sagactl events order-7 -o jsonl", panel=LOOK)
add(app, "replay", look.replay, "sagactl replay order-7", panel=LOOK)
add(app, "trace", trace.trace, "sagactl trace order-7", "sagactl trace order-7 -o json", panel=LOOK)
add(app, "metrics", metrics.metrics, "sagactl metrics order-7", panel=LOOK)
add(app, "top", top.top, "sagactl top", "sagactl top --once", "sagactl top -o json", panel=LOOK)
add(app, "doctor", doctor.doctor, "sagactl doctor", "sagactl doctor --skip kubernetes -o json", panel=LOOK)

because = "--reason 'the provider is back'"
add(app, "retry", steer.retry, f"sagactl retry order-7 --step payment {because}", panel=STEER)
add(app, "skip", steer.skip, f"sagactl skip order-7 --step stock {because}", panel=STEER)
add(app, "mark-done", steer.mark_done, "sagactl mark-done order-7 --reason 'refunded at the counter'", panel=STEER)
add(app, "cancel", steer.cancel, "sagactl cancel order-7 --reason 'the customer called'", panel=STEER)
add(app, "kill", steer.kill, "sagactl kill order-7 --reason 'a test order' --yes", panel=STEER)
add(app, "suspend", steer.suspend, "sagactl suspend order-7 --reason 'stocktaking'", panel=STEER)
add(app, "resume", steer.resume, "sagactl resume order-7 --reason 'stock is counted'", panel=STEER)

batch = typer.Typer(no_args_is_help=True, help="Steer many sagas at once, at a rate, with what failed and why.")
app.add_typer(batch, name="batch", rich_help_panel=STEER)
add(batch, "create", many.create, f"sagactl batch create --verb retry --phase NeedsIntervention {because} --dry-run")
add(batch, "show", many.show, "sagactl batch show BATCH --watch")
add(batch, "list", many.list_, "sagactl batch list -o json")
add(batch, "stop", many.stop, "sagactl batch stop BATCH")

letters = typer.Typer(no_args_is_help=True, help="See messages that could not be handled; redrive or discard them.")
app.add_typer(letters, name="dlq", rich_help_panel=STEER)
add(letters, "list", dead_letters.list_, "sagactl dlq list", "sagactl dlq list --service payment --since 2h -o json")
add(letters, "show", dead_letters.show, "sagactl dlq show LETTER")
mended = "--reason-why 'the reader is mended'"
add(
    letters,
    "redrive",
    dead_letters.redrive_,
    f"sagactl dlq redrive LETTER {mended}",
    f"sagactl dlq redrive --service payment --type ChargePayment {mended} --rate 20 --yes",
)
add(letters, "discard", dead_letters.discard_, "sagactl dlq discard LETTER --reason-why 'a test message'")

sagas = typer.Typer(no_args_is_help=True, help="See the definitions that sagas follow, and make new ones known.")
app.add_typer(sagas, name="definitions", rich_help_panel=LOOK)
add(sagas, "list", definitions.list_, "sagactl definitions list", "sagactl definitions list -o name")
add(sagas, "apply", definitions.apply, "sagactl definitions apply careful.yaml")

add(app, "service", platform.service, "sagactl service payment", panel=RUN)
topics = typer.Typer(no_args_is_help=True, help="Make and check the topics of a Kafka cluster.")
app.add_typer(topics, name="topics", rich_help_panel=RUN)
add(topics, "apply", platform.apply_topics, "sagactl topics apply", "sagactl topics apply --replication 3")
add(topics, "check", platform.check_topics, "sagactl topics check")
databases = typer.Typer(no_args_is_help=True, help="Make and check the schemas of PostgreSQL databases.")
app.add_typer(databases, name="database", rich_help_panel=RUN)
add(databases, "apply", platform.apply_databases, "sagactl database apply", "sagactl database apply payment")
add(databases, "check", platform.check_databases, "sagactl database check")

stored = typer.Typer(no_args_is_help=True, help="Check where the services stand in the log, and repair it.")
app.add_typer(stored, name="offsets", rich_help_panel=STEER)
add(stored, "check", offsets.check, "sagactl offsets check", "sagactl offsets check payment -o json")
add(
    stored,
    "repair",
    offsets.repair,
    "sagactl offsets repair payment --to earliest --reason-why 'the topic was made anew'",
    "sagactl offsets repair payment --to 42 --topic orders.events --partition 3 --reason-why 'read before' --yes",
)

figures = typer.Typer(no_args_is_help=True, help="See the shop's figures, and check them against the log.")
app.add_typer(figures, name="analytics", rich_help_panel=LOOK)
add(figures, "report", analytics.report, "sagactl analytics report", "sagactl analytics report -o json")
add(
    figures,
    "windows",
    analytics.windows,
    "sagactl analytics windows --metric revenue --size 1h",
    "sagactl analytics windows --type hopping --size 5m --step 1m",
    "sagactl analytics windows --type session --gap 30m --user user-1",
    "sagactl analytics windows --size 1d --tz Europe/Paris --from 2026-11-01 --to 2026-12-01",
)
add(figures, "order", analytics.order, "sagactl analytics order order-7")
add(figures, "unmatched", analytics.unmatched, "sagactl analytics unmatched --min-age 60")
add(figures, "high-value", analytics.high_value, "sagactl analytics high-value")
add(figures, "products", analytics.products, "sagactl analytics products -o jsonl")
add(figures, "watch", analytics.watch, "sagactl analytics watch", "sagactl analytics watch --once")
add(figures, "rebuild", versions.rebuild, "sagactl analytics rebuild", "sagactl analytics rebuild --no-wait")
add(figures, "versions", versions.versions, "sagactl analytics versions")
add(figures, "accept", versions.accept, "sagactl analytics accept 2")
add(figures, "drop", versions.drop, "sagactl analytics drop 1 --yes")
add(figures, "verify", analytics.verify, "sagactl analytics verify", "sagactl analytics verify --data-dir data -o json")


def main() -> None:
    """Run the command line."""
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: Sequence[str], commands: typer.Typer = app, program: str = "sagactl") -> int:
    """Run one command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that knows no ✔ shows a question mark, and no traceback
    options = list(arguments)
    while "--no-color" in options:
        options.remove("--no-color")
        os.environ["NO_COLOR"] = "1"
    try:
        commands(options, prog_name=program)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.OK if end.code is None else ExitCode.BUG
    return ExitCode.OK
